"""What the judges say of every part, by speaker, each figure with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from training.corpus.store import SPEAKERS
from training.evaluate import bootstrap
from training.evaluate.bootstrap import Interval
from training.evaluate.clip import Clip
from training.evaluate.dnsmos import SCALES

_PAIRS = {
    "teacher_minus_codec": ("teacher", "codec"),
    "codec_minus_pico": ("codec", "speech"),
    "teacher_minus_pico": ("teacher", "speech"),
}


def by_part(clips: Mapping[str, Sequence[Clip]]) -> dict[str, dict[str, Any]]:
    """Return by part, and in it by speaker and for `all`: `clips`, and intervals by bootstrap of
    `word_error_rate`, `ovrl`, `sig`, `bak`, `p808`, and `similarity` to the speaker's own teacher.
    A speaker without a clip is left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for part, own in clips.items():
        groups = {name: [c for c in own if c.speaker == n] for n, name in enumerate(SPEAKERS)}
        groups["all"] = list(own)
        found[part] = {name: _judged(group) for name, group in groups.items() if group}
    return found


def differences(clips: Mapping[str, Sequence[Clip]]) -> dict[str, dict[str, Any] | None]:
    """Return how much each rating falls from one part to the next, on the same sentences.

    By pair of parts: intervals of every scale, None where a part is missing.
    """
    return {name: _difference(clips, *pair) for name, pair in _PAIRS.items()}


def resemblance(clips: Sequence[Clip]) -> list[list[float | None]]:
    """Return mean similarities by the speaker asked for (rows) and the teacher (columns)."""
    rows: list[list[float | None]] = []
    for speaker in range(len(SPEAKERS)):
        own = [clip.similarities for clip in clips if clip.speaker == speaker]
        means = np.mean(own, axis=0).tolist() if own else [None] * len(SPEAKERS)
        rows.append(means)
    return rows


def _judged(clips: Sequence[Clip]) -> dict[str, Any]:
    words = [clip.errors.words for clip in clips]
    edits = [clip.errors.edits for clip in clips]
    figures: dict[str, Interval] = {
        "word_error_rate": bootstrap.ratio(edits, words),
        **{scale: bootstrap.mean([_rated(scale)(clip) for clip in clips]) for scale in SCALES},
        "similarity": bootstrap.mean([clip.similarities[clip.speaker] for clip in clips]),
    }
    return {"clips": len(clips), **{name: asdict(found) for name, found in figures.items()}}


def _difference(
    clips: Mapping[str, Sequence[Clip]], before: str, after: str
) -> dict[str, Any] | None:
    if not clips.get(before) or not clips.get(after):
        return None
    beside = {clip.index: clip for clip in clips[after]}
    pairs = [(clip, beside[clip.index]) for clip in clips[before]]
    return {
        scale: asdict(bootstrap.mean([_rated(scale)(a) - _rated(scale)(b) for a, b in pairs]))
        for scale in SCALES
    }


def _rated(scale: str) -> Callable[[Clip], float]:
    return lambda clip: float(getattr(clip.rating, scale))
