"""From a speech to a file, with the figures a listener cares about."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from csm.cli.output import Output
from csm.cli.place import whole_file
from csm.cli.reporting import CommandError, audio_progress, console, print_figures
from csm.client import AsyncSpeech, TurnCompleted, TurnStarted, WordTime
from csm.errors import ServiceError


@dataclass(frozen=True)
class Spoken:
    """What became of a text, timed from the request."""

    started: TurnStarted
    completed: tuple[TurnCompleted, ...]
    """Of each part that the text was said in."""
    audio_s: float
    first_audio_s: float
    total_s: float
    words: tuple[WordTime, ...] = ()
    """Of the whole text, timed from its first sample; where they were asked for."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of audio."""
        return self.total_s / self.audio_s if self.audio_s else float("nan")


async def write_speech(
    speeches: Iterable[tuple[int, AsyncSpeech]], output: Output, message: str
) -> Spoken | None:
    """Writes the chunks as they come, one speech after the other, each begun when it is its turn.

    With each comes where its text begins in the whole, in characters. None where the model had
    nothing to say. Raises the error of a speech; what came before it is in the file.
    """
    began = time.perf_counter()
    first: float | None = None
    file = None
    started: TurnStarted | None = None
    completed: list[TurnCompleted] = []
    warnings: list[str] = []
    words: list[WordTime] = []
    try:
        with audio_progress(message, None) as progress:
            for first_char, speech in speeches:
                begun_ms = round(file.duration_s * 1000) if file is not None else 0
                try:
                    async for chunk in speech:
                        if file is None:
                            first = time.perf_counter() - began
                            file = output.open(chunk.format)
                        file.write(chunk.pcm)
                        progress.add(chunk.duration_s)
                        words += _moved(chunk.words, first_char, begun_ms)
                finally:
                    started = started or speech.started
                    if speech.completed is not None:
                        completed.append(speech.completed)
                        warnings += _warnings(speech.completed, first_char)
        total_s = time.perf_counter() - began
    except ServiceError as error:
        if file is None:
            raise
        raise CommandError(f"{error}; {output.path} has the audio until then") from None
    finally:
        if file is not None:
            file.close()
        for warning in warnings:
            console().print(f"csm: warning: {warning}", soft_wrap=True)
    if file is None or first is None or started is None or not completed:
        return None
    return Spoken(started, tuple(completed), file.duration_s, first, total_s, tuple(words))


def _moved(words: Iterable[WordTime], chars: int, ms: int) -> Iterator[WordTime]:
    for one in words:
        yield replace(
            one,
            first_char=one.first_char + chars,
            end_char=one.end_char + chars,
            start_ms=one.start_ms + ms,
            end_ms=one.end_ms + ms,
        )


def _warnings(completed: TurnCompleted, first_char: int) -> Iterator[str]:
    for one in completed.warnings:
        place = one.field
        if one.end_char > one.first_char:
            place += f", characters {first_char + one.first_char} to {first_char + one.end_char}"
        yield f"{place}: {one.description}"


def write_words(words: Iterable[WordTime], path: Path) -> None:
    """Writes words and their times: JSON, one word a line."""
    lines = (json.dumps(asdict(word), ensure_ascii=False) for word in words)
    with whole_file(path) as part:
        part.write_text("[" + ",\n ".join(lines) + "]\n", encoding="utf-8")


def report(spoken: Spoken, output: Output) -> None:
    """Prints the figures."""
    form = spoken.started.format
    tokens = sum(one.usage.text_tokens for one in spoken.completed)
    frames = sum(one.usage.generated_frames for one in spoken.completed)
    reasons = dict.fromkeys(one.finish_reason.value for one in spoken.completed)
    print_figures(
        str(output.path),
        {
            "time to first audio": f"{spoken.first_audio_s * 1000:.0f} ms",
            "real-time factor": f"{spoken.real_time_factor:.3f}",
            "audio length": f"{spoken.audio_s:.2f} s",
            "format": f"{output.container.value}, {form.sample_rate_hz} Hz"
            + (f", {output.told}" if output.told else ""),
            "finished": f"{', '.join(reasons)}, seed {spoken.started.seed}",
            "tokens": f"{tokens} of text, {frames} frames made",
        },
    )
