"""`csm voices add`, `remove` and `test`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from csm.cli import connecting, options
from csm.cli.reporting import CommandError
from csm.cli.text import LexiconOption

if TYPE_CHECKING:
    from csm.audio.levels import Levels
    from csm.client import AsyncClient, AsyncSpeech, VoiceDetails

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody minds."
FAR_LU = 6.0
"""A voice that speaks so much louder or quieter than its recordings is worth a word."""
WORDS_SUFFIX = ".txt"

_AT_A_SERVER = connecting.takes_server(
    "The gateway's host:port. Default: 127.0.0.1:50050.", default="127.0.0.1:50050"
)


@_AT_A_SERVER
def add(
    name: Annotated[str, typer.Argument(help="Its name: 1..64 letters, digits, . _ and -.")],
    recording: Annotated[
        list[Path] | None,
        typer.Option("--recording", "-r", help="A recording, at most 30 s; several may be given."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="The words of each, in order. Default: those of FILE.txt."),
    ] = None,
    server: connecting.ServerChoice = connecting.HERE,
    speaker: Annotated[int | None, typer.Option(help="Speaker number.", min=0, max=65535)] = None,
    description: Annotated[str, typer.Option(help="A line about it.")] = "",
    language: Annotated[str, typer.Option(help="BCP 47, e.g. en-GB.")] = "",
    consent: Annotated[str, typer.Option(help="What was agreed to (with --given-by).")] = "",
    given_by: Annotated[str, typer.Option(help="Who agreed to it.")] = "",
    lexicon: LexiconOption = None,
    temperature: options.Temperature = None,
    depth_temperature: options.DepthTemperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    check: Annotated[bool, typer.Option("--check", help="Say how good it is; make none.")] = False,
) -> None:
    """Make a voice of recordings at a server, and say how good they are."""
    from csm.client import Sampling, VoiceConsent
    from csm.lexicon_file import read_lexicon

    if bool(consent) != bool(given_by):
        raise CommandError("--consent and --given-by: allowed are both or none")
    recordings = list(zip(recording or [], words_of(recording or [], text or []), strict=True))
    sampling = Sampling(temperature, depth_temperature, top_k, top_p)

    async def life() -> None:
        async with server.client() as client:
            made = await client.create_voice(
                name,
                recordings,
                speaker=speaker,
                description=description,
                language=language,
                sampling=sampling,
                consent=VoiceConsent(consent, given_by) if consent else None,
                lexicon=read_lexicon(lexicon) if lexicon else None,
                validate_only=check,
            )
        done = "could be made" if check else "is made"
        typer.echo(f"{made.voice.name} {done}: speaker {made.voice.speaker}")
        for line in report_lines(made):
            typer.echo(line)

    asyncio.run(life())


@_AT_A_SERVER
def remove(
    name: Annotated[str, typer.Argument(help="The voice, by name.")],
    server: connecting.ServerChoice = connecting.HERE,
) -> None:
    """Forget a voice that was made at a server. Calls that speak with it do so to their end."""

    async def life() -> None:
        async with server.client() as client:
            await client.delete_voice(name)
        typer.echo(f"{name} is removed")

    asyncio.run(life())


@connecting.takes_server(options.GATEWAY)
def try_voice(
    name: Annotated[str, typer.Argument(help="The voice, by name or alias.")],
    text: Annotated[str, typer.Option(help="What to say.")] = SENTENCE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A WAV to write; default: none.")
    ] = None,
    server: connecting.ServerChoice = connecting.HERE,
    seed: options.Seed = None,
    model: options.Model = None,
    voices: options.Voices = None,
) -> None:
    """Speak a sentence with a voice, and say how it came out beside its recordings."""
    from csm.cli.place import check_writable
    from csm.client import SoundOptions

    chosen = server.or_here(model=model, voices=voices)
    if output is not None:
        check_writable(output)

    async def life() -> None:
        async with connected(chosen, model, voices) as client:
            details = await client.get_voice(name)
            # As it speaks by itself: evened it would be as loud as all, not as its recordings.
            sound = SoundOptions(even_loudness=False)
            speech = client.synthesize(text, voice=name, seed=seed, sound_options=sound)
            spoken = await _spoken(speech, output)
        _tell(details, spoken)

    asyncio.run(life())


@contextlib.asynccontextmanager
async def connected(
    server: connecting.ServerChoice, model: Path | None, voices: Path | None
) -> AsyncIterator["AsyncClient"]:
    """A client of the server named, else of one that runs in this process meanwhile."""
    from csm.cli.reporting import status

    async with contextlib.AsyncExitStack() as stack:
        if server.target is None:
            from services.all_in_one import AllInOne

            with status("loading the model"):
                running = AllInOne(model=model, slots=1, gateway={"voices_directory": voices})
                await stack.enter_async_context(running)
            server = server.at(running.address)
        yield await stack.enter_async_context(server.client())


@dataclass(frozen=True)
class _Spoken:
    """What came of the sentence."""

    audio_s: float
    first_audio_s: float
    total_s: float
    levels: "Levels"
    ended: str
    problems: tuple[str, ...]


async def _spoken(speech: "AsyncSpeech", output: Path | None) -> _Spoken:
    import time

    import numpy as np

    from csm.audio.levels import levels_of
    from csm.audio.writing import write_audio
    from csm.cli.place import whole_file

    began, first_s = time.perf_counter(), 0.0
    parts = []
    async for chunk in speech:
        first_s = first_s or time.perf_counter() - began
        parts.append(chunk.samples)
        rate_hz = chunk.sample_rate_hz
    total_s = time.perf_counter() - began
    completed = speech.completed
    if not parts or completed is None:
        raise CommandError("the model ended without audio")
    samples = np.concatenate(parts)
    if output is not None:
        with whole_file(output, ".wav") as part:
            write_audio(part, samples, rate_hz)
    return _Spoken(
        len(samples) / rate_hz,
        first_s,
        total_s,
        levels_of(samples, rate_hz),
        completed.finish_reason.value,
        tuple(f"{one.field}: {one.description}" for one in completed.warnings),
    )


def _tell(details: "VoiceDetails", spoken: _Spoken) -> None:
    """Prints the figures and what is odd; raises where nothing is to be heard."""
    from csm.audio.levels import NO_LOUDNESS_LUFS
    from csm.cli.reporting import print_figures, warn

    levels = spoken.levels
    known = [r.loudness_lufs for r in details.recordings if r.loudness_lufs > NO_LOUDNESS_LUFS]
    figures = {
        "time to first audio": f"{spoken.first_audio_s * 1000:.0f} ms",
        "real-time factor": f"{spoken.total_s / spoken.audio_s:.3f}",
        "audio length": f"{spoken.audio_s:.2f} s",
        "loudness": f"{levels.loudness_lufs:.1f} LUFS",
        "peak": f"{levels.peak_dbfs:.1f} dBFS",
        "quietest parts": f"{levels.noise_dbfs:.1f} dBFS",
        "finished": spoken.ended,
    }
    problems = list(spoken.problems)
    if known:
        usual = sum(known) / len(known)
        figures["recordings"] = f"{usual:.1f} LUFS"
        if abs(levels.loudness_lufs - usual) > FAR_LU:
            problems.append(f"it speaks {levels.loudness_lufs - usual:+.0f} LU off its recordings")
    if spoken.ended != "eos":
        problems.append(f"the sentence ended with {spoken.ended}, not by itself")
    print_figures(details.voice.name, figures)
    for problem in problems:
        warn(problem)
    if levels.loudness_lufs <= NO_LOUDNESS_LUFS:
        raise CommandError(f"{details.voice.name}: what it speaks is silent")


def words_of(recordings: list[Path], texts: list[str]) -> list[str]:
    """The words of each recording: as they are given, else those of the file beside it."""
    if texts:
        if len(texts) != len(recordings):
            raise CommandError(
                f"--text: {len(texts)} for {len(recordings)} recordings; allowed are as many, or "
                f"none, where each recording has its words in a file {WORDS_SUFFIX} beside it"
            )
        return texts
    found = []
    for recording in recordings:
        beside = recording.with_suffix(WORDS_SUFFIX)
        if not beside.is_file():
            raise CommandError(f"{recording}: say its words with --text, or in a file {beside}")
        found.append(" ".join(beside.read_text(encoding="utf-8").split()))
    return found


def report_lines(details: "VoiceDetails") -> list[str]:
    """What is known of a voice's recordings, a few lines each."""
    lines = []
    for number, one in enumerate(details.recordings, start=1):
        lines.append(
            f"  recording {number:<2} {one.audio_ms / 1000:.1f} s, {one.loudness_lufs:.1f} LUFS, "
            f"peak {one.peak_dbfs:.1f} dBFS, quietest parts {one.noise_dbfs:.1f} dBFS: {one.text}"
        )
        lines += [f"    warning: {warning}" for warning in one.warnings]
    return lines
