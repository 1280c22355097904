"""From a speech to a file or the loudspeaker, with the figures a listener cares about."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from csm.cli.loudspeaker import Loudspeaker
from csm.cli.output import Output
from csm.cli.place import whole_file
from csm.cli.reporting import CommandError, console, print_figures, text_progress
from csm.client import AsyncSpeech, TurnCompleted, TurnStarted, WarningKind, WordTime
from csm.errors import ServiceError

_NOT_SPOKEN = (WarningKind.UNSPEAKABLE, WarningKind.TOO_LONG)


@dataclass(frozen=True)
class Spoken:
    """What became of a text, timed from the request."""

    started: TurnStarted
    completed: tuple[TurnCompleted, ...]
    """Of each part that the text was said in."""
    audio_s: float
    first_audio_s: float
    total_s: float
    """Of which some was spent waiting for the loudspeaker, where it was played."""
    words: tuple[WordTime, ...] = ()
    """Of the whole text, timed from its first sample; where they were asked for."""
    num_left_out_chars: int = 0
    """Characters of the text that were not sent."""

    @property
    def num_skipped_chars(self) -> int:
        """Characters of the text that were not spoken."""
        return self.num_left_out_chars + sum(
            warning.end_char - warning.first_char
            for one in self.completed
            for warning in one.warnings
            if warning.kind in _NOT_SPOKEN
        )

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of audio."""
        return self.total_s / self.audio_s if self.audio_s else float("nan")


async def write_speech(
    speeches: Iterable[tuple[int, AsyncSpeech]],
    output: Output | None,
    message: str,
    *,
    total_chars: int | None = None,
    left_out: Sequence[tuple[int, int]] = (),
    loudspeaker: Loudspeaker | None = None,
    kept: bool = True,
) -> Spoken | None:
    """Writes and plays the chunks as they come, one speech after the other, each begun when it is
    its turn.

    With each comes where its text begins in the whole, in characters, which has `total_chars`;
    of which [first, end) are `left_out`, as they are code.
    None where the model had nothing to say. Raises the error of a speech; what came before it is
    in the file, and is said to be where it is `kept`.
    """
    began = time.perf_counter()
    first: float | None = None
    audio_s = 0.0
    file = None
    started: TurnStarted | None = None
    completed: list[TurnCompleted] = []
    warnings = [
        f"text, characters {begin} to {end}: not spoken: code or the like"
        for begin, end in left_out
    ]
    words: list[WordTime] = []
    try:
        with text_progress(message, total_chars) as progress:
            for first_char, speech in speeches:
                begun_ms = round(audio_s * 1000)
                try:
                    async for chunk in speech:
                        if first is None:
                            first = time.perf_counter() - began
                            file = output.open(chunk.format) if output else None
                        if file is not None:
                            file.write(chunk.pcm)
                        if loudspeaker is not None:
                            await loudspeaker.play_async(chunk.samples, chunk.sample_rate_hz)
                        audio_s += chunk.duration_s
                        progress.add(chunk.duration_s, first_char + chunk.text_chars)
                        words += _moved(chunk.words, first_char, begun_ms)
                finally:
                    started = started or speech.started
                    if speech.completed is not None:
                        completed.append(speech.completed)
                        warnings += _warnings(speech.completed, first_char)
        total_s = time.perf_counter() - began
    except ServiceError as error:
        if file is None or output is None or not kept:
            raise
        raise CommandError(f"{error}; {output.path} has the audio until then") from None
    finally:
        if file is not None:
            file.close()
        for warning in warnings:
            console().print(f"csm: warning: {warning}", soft_wrap=True)
    if first is None or started is None or not completed:
        return None
    num_left_out = sum(end - begin for begin, end in left_out)
    return Spoken(started, tuple(completed), audio_s, first, total_s, tuple(words), num_left_out)


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


def report(spoken: Spoken, output: Output | None, *, played: bool = False) -> None:
    """Prints the figures; `output` None: it was not written."""
    form = spoken.started.format
    tokens = sum(one.usage.text_tokens for one in spoken.completed)
    frames = sum(one.usage.generated_frames for one in spoken.completed)
    reasons = dict.fromkeys(one.finish_reason.value for one in spoken.completed)
    container = f"{output.container.value}, " if output else ""
    figures = {
        "time to first audio": f"{spoken.first_audio_s * 1000:.0f} ms",
        "real-time factor": f"{spoken.real_time_factor:.3f}",
        "audio length": f"{spoken.audio_s:.2f} s",
        "format": f"{container}{form.sample_rate_hz} Hz"
        + (f", {output.told}" if output and output.told else ""),
        "finished": f"{', '.join(reasons)}, seed {spoken.started.seed}",
        "tokens": f"{tokens} of text, {frames} frames made",
    }
    if played:
        # It went at the loudspeaker's pace.
        del figures["real-time factor"]
    if spoken.num_skipped_chars:
        figures["skipped"] = f"{spoken.num_skipped_chars} characters, named above"
    print_figures(str(output.path) if output else "played", figures)
