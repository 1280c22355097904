"""The parts of an evaluation; each can be run alone and leaves `<work>/evaluate/<part>.json`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from services.generator.model.prompt import PromptSegment
from training.corpus.store import SAMPLE_RATE_HZ, Corpus
from training.evaluate import quality, speed
from training.evaluate.clip import Clip, Part
from training.evaluate.ears import Ears, with_length
from training.evaluate.held_out import Contexts, Item, spread
from training.evaluate.voice import Line, Voice

# Speech that is still going on at so many times its teacher's length has missed its end.
_MAX_LENGTH_RATIO = 2.5
_MIN_FRAMES = 25
_SPEED_SENTENCES = 20

Advance = Callable[[int], None]
"""Told of so many further steps."""


@dataclass
class Evaluation:
    """What the parts share."""

    work: Path
    voice: Voice
    items: list[Item]
    ears: Ears
    seed: int = 0

    def run(self, name: str, advance: Advance) -> Part:
        """Run one part of `PARTS` and save it. `advance` hears of `steps(name)` steps in all.

        Raises:
            ValueError: there is no such part.
        """
        if name not in PARTS:
            raise ValueError(f"parts: {name!r} is not allowed, must be of {', '.join(PARTS)}")
        began = time.perf_counter()
        clips, figures = PARTS[name](self, advance)
        part = Part(
            name,
            "" if name == "teacher" else self.voice.digest,
            self.ears.corpus_digest,
            clips,
            figures,
            machine.describe(),
            round(time.perf_counter() - began, 1),
        )
        part.save(self.work / "evaluate")
        return part

    def steps(self, name: str) -> int:
        """Return how many steps a part takes: of each clip, to make it and to listen to it."""
        if name == "speed":
            return len(_some(self.items))
        return len(self.items) * (1 if name == "teacher" else 2)


def _teacher(evaluation: Evaluation, advance: Advance) -> tuple[list[Clip], dict[str, Any]]:
    items, ears = evaluation.items, evaluation.ears
    clips = ears.listen("teacher", items, [item.audio for item in items], advance)
    return clips, {}


def _codec(evaluation: Evaluation, advance: Advance) -> tuple[list[Clip], dict[str, Any]]:
    items, ears = evaluation.items, evaluation.ears
    audios, qualities, frames = [], [], []
    for item in items:
        frames.append(evaluation.voice.encode(item.audio))
        audios.append(evaluation.voice.decode(frames[-1])[: len(item.audio)])
        qualities.append(quality.measure(item.audio, audios[-1], SAMPLE_RATE_HZ))
        advance(1)
    clips = ears.listen("codec", items, audios, advance)
    clips = [replace(c, quality=q) for c, q in zip(clips, qualities, strict=True)]
    books = np.concatenate(frames).T
    figures = {
        "codes_used": [len(np.unique(book)) for book in books],
        "without_stoi": sum(math.isnan(one.stoi) for one in qualities),
        "without_pesq": sum(math.isnan(one.pesq) for one in qualities),
    }
    return clips, figures


def _speech(evaluation: Evaluation, advance: Advance) -> tuple[list[Clip], dict[str, Any]]:
    lines = [line_of(evaluation.voice, item, evaluation.seed) for item in evaluation.items]
    return _spoken(evaluation, "speech", lines, advance)


def _context(evaluation: Evaluation, advance: Advance) -> tuple[list[Clip], dict[str, Any]]:
    contexts = Contexts(Corpus.open(evaluation.work / "corpus", "validation"))
    voice, lines = evaluation.voice, []
    for item in evaluation.items:
        segments = tuple(
            PromptSegment(turn.utterance.speaker, turn.utterance.text, voice.encode(turn.audio))
            for turn in contexts.before(item)
        )
        line = replace(line_of(voice, item, evaluation.seed), context=segments)
        # A small context: rather a lower bound on babble than a context cut off.
        room = voice.max_positions - voice.positions(line)
        lines.append(replace(line, max_frames=line.max_frames + min(0, room)))
    return _spoken(evaluation, "context", lines, advance)


def line_of(voice: Voice, item: Item, seed: int = 0) -> Line:
    """Return the item as a turn to speak; `seed` is added to its own.

    In words, as the gateway gives a text to the model.
    """
    frames = math.ceil(len(item.audio) / voice.frame_samples * _MAX_LENGTH_RATIO)
    return Line(item.speaker, item.text, max(frames, _MIN_FRAMES), seed + item.index)


def _spoken(
    evaluation: Evaluation, name: str, lines: list[Line], advance: Advance
) -> tuple[list[Clip], dict[str, Any]]:
    voice, ears, items = evaluation.voice, evaluation.ears, evaluation.items
    began = time.perf_counter()
    spoken = voice.speak(lines, lambda: advance(1))
    audios = [voice.decode(one.codes) for one in spoken]
    spent_s = time.perf_counter() - began
    clips = ears.listen(name, items, audios, advance)
    audio_s = sum(clip.audio_s for clip in clips)
    ends = zip(clips, items, spoken, strict=True)
    figures = {"real_time_factor_batched": spent_s / audio_s}
    return [with_length(clip, item, one.ended) for clip, item, one in ends], figures


def _speed(evaluation: Evaluation, advance: Advance) -> tuple[list[Clip], dict[str, Any]]:
    items = _some(evaluation.items)
    # Somebody else's work slows ours: the figure stands beside what the machine was doing.
    load = os.getloadavg()[0]
    figures = speed.measure(evaluation.voice.directory, items, lambda: advance(1))
    return [], {**figures, "load_before": load}


def _some(items: list[Item]) -> list[Item]:
    return [items[place] for place in spread(len(items), _SPEED_SENTENCES)]


PARTS: dict[str, Callable[[Evaluation, Advance], tuple[list[Clip], dict[str, Any]]]] = {
    "teacher": _teacher,
    "codec": _codec,
    "speech": _speech,
    "context": _context,
    "speed": _speed,
}
