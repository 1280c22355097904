"""Where the words of a sentence are in its sound: an estimate.

The sound says where speech begins, ends and pauses; between those points each word takes time in
proportion to what it is expected to take. While the sentence's end is not known, the pace is that
of the voice so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from gateway.marks.loudness import HOP_MS, Levels
from gateway.marks.words import Word

_SPEECH_RANGE_DB = 30
"""What is so much quieter than the voice at its loudest is no speech."""
_LEAST_SPEECH_DB = 30
"""Above the floor: what is quieter is no speech, whatever comes later."""
_LONGEST_LEAD_MS = 2_000
"""Of silence before speech; what is longer is speech that is taken for silence."""
_PAUSE_HOPS, _LONG_PAUSE_HOPS = 12, 20
"""Shorter silences are within words (before a "t"); long ones are between any two."""
_NEAR_MS = 300
"""A short pause is taken for that of a mark so far from where it is expected."""
_ENDS_MS = 100
"""Silence at the end of a sentence whose sound is still to come."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A word's time within the sound of its sentence."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class SentenceSound:
    """What is known of the sound of a sentence."""

    levels: Levels
    """Of what there is, from its first sample on; see `Loudness`. Empty: nobody listened."""
    loudest_db: float
    """Of the voice so far, above the floor."""
    length_ms: float | None
    """Of the whole; None while it is still made."""


@dataclass(frozen=True, slots=True)
class _Pause:
    start: int
    end: int
    """Hops of the sound."""


def placed(words: Sequence[Word], sound: SentenceSound, pace: float) -> list[Placed]:
    """A time for each word, in order and without overlaps.

    `pace` is how long the voice takes for what is expected to take 1; used while the length is
    unknown.
    """
    if not words:
        return []
    ends = list(accumulate(word.expected_ms for word in words))
    begin_ms, end_ms, pauses = _bounds(sound, ends[-1] * pace)
    spoken_ms = end_ms - begin_ms - sum(p.end - p.start for p in pauses) * HOP_MS
    scale = max(spoken_ms, 1.0) / ends[-1]
    # (expected milliseconds until there, where the word before ends, where the next begins)
    anchors: list[tuple[int, float, float]] = [(0, begin_ms, begin_ms)]
    silent_ms, least = 0.0, 0
    for pause in pauses:
        before_ms = pause.start * HOP_MS - begin_ms - silent_ms
        silent_ms += (pause.end - pause.start) * HOP_MS
        word = _boundary(words, ends, before_ms / scale, pause, scale, least)
        if word is None:
            continue
        least = word + 1
        anchors.append((ends[word], pause.start * HOP_MS, pause.end * HOP_MS))
    anchors.append((ends[-1], end_ms, end_ms))
    return _between(ends, anchors)


def _between(ends: Sequence[int], anchors: Sequence[tuple[int, float, float]]) -> list[Placed]:
    """Words in proportion between two anchors each."""
    starts_ms: list[float] = []
    ends_ms: list[float] = []
    at, begun = 0, 0
    for end in ends:
        while anchors[at + 1][0] <= begun:
            at += 1
        (units, _, start_ms), (until, stop_ms, _) = anchors[at], anchors[at + 1]
        share_ms = max(0.0, stop_ms - start_ms) / (until - units)
        starts_ms.append(start_ms + (begun - units) * share_ms)
        ends_ms.append(start_ms + (end - units) * share_ms)
        begun = end
    return [Placed(start, end) for start, end in zip(starts_ms, ends_ms, strict=True)]


def _boundary(
    words: Sequence[Word],
    ends: Sequence[int],
    expected: float,
    pause: _Pause,
    scale: float,
    least: int,
) -> int | None:
    """The word that a pause comes behind, at or after `least`; None: it is none between words.

    `expected` is what the words before it take at an even pace, by the sound.
    """
    near = _NEAR_MS / max(scale, 1e-3)
    best, cost = None, float("inf")
    for number in range(least, len(words) - 1):
        away = abs(ends[number] - expected)
        if not words[number].pause:
            if pause.end - pause.start < _LONG_PAUSE_HOPS:
                continue
            away += near
        elif pause.end - pause.start < _LONG_PAUSE_HOPS and away > near:
            continue
        if away < cost:
            best, cost = number, away
    return best


def _bounds(sound: SentenceSound, expected_ms: float) -> tuple[float, float, list[_Pause]]:
    """Where speech begins and ends (milliseconds), and its pauses in between."""
    runs = _speech(sound)
    heard_ms = len(sound.levels) * HOP_MS
    if not runs:
        # Nothing but silence so far, or nobody listened.
        over = sound.length_ms is not None and heard_ms + HOP_MS >= sound.length_ms
        begin_ms = 0.0 if over or heard_ms > _LONGEST_LEAD_MS else float(heard_ms)
        end_ms = begin_ms + expected_ms if sound.length_ms is None else sound.length_ms
        return begin_ms, max(begin_ms + 1.0, end_ms), []
    begin_ms = float(runs[0].start * HOP_MS)
    pauses = [_Pause(a.end, b.start) for a, b in pairwise(runs)]
    if sound.length_ms is not None and heard_ms + HOP_MS >= sound.length_ms:
        return begin_ms, float(runs[-1].end * HOP_MS), pauses
    silent_ms = sum(p.end - p.start for p in pauses) * HOP_MS
    if sound.length_ms is not None:
        return begin_ms, max(sound.length_ms - _ENDS_MS, runs[-1].end * HOP_MS), pauses
    return begin_ms, begin_ms + silent_ms + expected_ms, pauses


def _speech(sound: SentenceSound) -> list[_Pause]:
    """The stretches of speech, parted by silences of `_PAUSE_HOPS` and more."""
    loud: NDArray[np.bool_] = sound.levels > max(
        sound.loudest_db - _SPEECH_RANGE_DB, _LEAST_SPEECH_DB
    )
    at = np.flatnonzero(loud)
    if not len(at):
        return []
    parted = np.flatnonzero(np.diff(at) > _PAUSE_HOPS)
    starts = at[np.concatenate(([0], parted + 1))]
    ends = at[np.concatenate((parted, [len(at) - 1]))] + 1
    return [_Pause(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
