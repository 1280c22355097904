"""`csm watermark`: whether a file carries the operator's watermark."""

from pathlib import Path
from typing import Annotated

import typer

from csm.cli.reporting import CommandError

app = typer.Typer(no_args_is_help=True, help="Look for the operator's watermark.")

Target = Annotated[
    str,
    typer.Option(
        "--watermark",
        help="As the gateway's setting: module:attribute.",
        envvar="CSM_GATEWAY_WATERMARK",
    ),
]
Key = Annotated[
    str,
    typer.Option(
        help="The operator's key, as the gateway's setting; better in the environment.",
        envvar="CSM_GATEWAY_WATERMARK_KEY",
        show_envvar=True,
    ),
]
NOT_FOUND = 2
MAX_AUDIO_S = 3600.0
"""Longest file that is looked at."""


@app.callback()
def root() -> None:
    """Look for the watermark that the gateway's settings name."""


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="An audio file.")],
    watermark: Target = "",
    watermark_key: Key = "",
) -> None:
    """Say whether a file carries the watermark; the exit status is 2 where it does not."""
    if not watermark:
        raise CommandError("--watermark or CSM_GATEWAY_WATERMARK is needed: module:attribute")
    from csm.audio.files import read_audio
    from gateway.sound.watermark import load_watermark

    try:
        loaded = load_watermark(watermark, watermark_key)
    except ValueError as error:
        raise CommandError(str(error)) from None
    samples, rate_hz = read_audio(file, max_seconds=MAX_AUDIO_S)
    found = loaded.detect(samples, rate_hz)
    told = "found" if found.found else "not found"
    typer.echo(f"{file}: {loaded.name} {told} (confidence {found.confidence:.2f})")
    if not found.found:
        raise typer.Exit(NOT_FOUND)
