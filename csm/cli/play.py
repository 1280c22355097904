"""`csm play`: an audio file on the loudspeaker."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

MAX_AUDIO_S = 4 * 3600.0
"""Longest file that is played."""
_MAX_INPUT_BYTES = 256 << 20
_BLOCK_S = 0.2


def play(
    file: Annotated[Path, typer.Argument(help="An audio file; - reads standard input.")],
) -> None:
    """Play an audio file: WAV, FLAC, Ogg, Opus, MP3 and what else `csm encode` reads."""
    from csm.audio.files import Recording
    from csm.cli.loudspeaker import Loudspeaker
    from csm.cli.reporting import CommandError, audio_progress, warn

    if str(file) == "-":
        given = sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1)
        if len(given) > _MAX_INPUT_BYTES:
            raise CommandError(f"standard input has more than {_MAX_INPUT_BYTES} bytes")
        source: io.BytesIO | io.BufferedReader = io.BytesIO(given)
    else:
        source = file.open("rb")
    name = "standard input" if str(file) == "-" else str(file)
    with source, Loudspeaker() as loudspeaker:
        recording = Recording(source, name, MAX_AUDIO_S, False)
        # The last of its numbers is the whole.
        *_, num_samples = recording.survey()
        for warning in recording.warnings:
            warn(f"{name}: {warning}")
        step = round(_BLOCK_S * recording.rate_hz)
        seconds = num_samples / recording.rate_hz
        with audio_progress(f"playing {name}", seconds) as progress:
            for block in recording.blocks(None):
                # In small steps, so that Ctrl-C and the bar do not wait for a long block.
                for first in range(0, len(block), step):
                    part = block[first : first + step]
                    loudspeaker.play(part, recording.rate_hz)
                    progress.add(len(part) / recording.rate_hz)
