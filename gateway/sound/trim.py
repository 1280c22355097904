"""The silence before the first sound of a turn and behind its last, cut to what is allowed.

Silence is what stays below `SILENCE_DBFS` in windows of 10 ms. Pauses that somebody asked for are
passed on in full, wherever they are.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gateway.sound.seams import fade_in, fade_out
from gateway.sound.voice_gain import VoiceGain

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OtherVoice:
    """Another voice speaks from here on."""

    gain: VoiceGain | None


Part = Samples | int | OtherVoice
"""Sound, a pause in milliseconds, or where another voice begins."""

SILENCE_DBFS = -50.0
WINDOWS_PER_S = 100
ONSET_MS = 20
"""What lies so close before the first loud window belongs to it: words may begin softly."""
MAX_HELD_MS = 5000
MAX_HELD_BYTES = 512 << 10
"""Silence that is held back at the most; of a longer one the beginning is let go."""

_NOTHING = np.zeros(0, np.float32)


class _Runs:
    """Samples in runs of windows, loud and silent ones."""

    def __init__(self, rate_hz: int) -> None:
        self._window = max(1, rate_hz // WINDOWS_PER_S)
        self._threshold = 10 ** (SILENCE_DBFS / 20)
        self._rest = _NOTHING

    def feed(self, samples: Samples) -> Iterator[tuple[bool, Samples]]:
        """(whether it is loud, samples) of each run; less than a window is kept."""
        if len(self._rest):
            samples = np.concatenate([self._rest, samples])
        count = len(samples) // self._window
        whole, self._rest = samples[: count * self._window], samples[count * self._window :]
        if not count:
            return
        loud = self._loud(whole.reshape(count, self._window))
        edges = [0, *(np.flatnonzero(np.diff(loud)) + 1), count]
        for begin, end in pairwise(edges):
            yield bool(loud[begin]), whole[begin * self._window : end * self._window]

    def flush(self) -> Iterator[tuple[bool, Samples]]:
        """What is kept, as a run of its own."""
        rest, self._rest = self._rest, _NOTHING
        if len(rest):
            yield bool(self._loud(rest[None, :])[0]), rest

    def _loud(self, windows: Samples) -> NDArray[np.bool_]:
        return np.sqrt(np.mean(windows * windows, axis=1)) >= self._threshold


class LeadingTrim:
    """Sound in, the same with at most so much silence before it out.

    What may stay passes at once, what is more is cut behind it: nothing waits but the last 20 ms.
    """

    def __init__(self, max_ms: int, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._onset = rate_hz * ONSET_MS // 1000
        self._most = rate_hz * max_ms // 1000
        self._runs = _Runs(rate_hz)
        self._held = _NOTHING
        self._num_passed = 0
        self.begun = False
        """Sound has come: nothing is done any more."""
        self.num_cut = 0
        """Samples that were cut."""

    def feed(self, samples: Samples) -> Samples:
        """What is certain to be heard."""
        return samples if self.begun else self._told(self._runs.feed(samples))

    def flush(self) -> Samples:
        """The silence that stays where no sound comes before a pause, or none at all."""
        sound = self._told(self._runs.flush())
        if self.begun:
            return sound
        kept = self._held[: max(0, self._most - self._num_passed)]
        self.num_cut += len(self._held) - len(kept)
        self._num_passed, self._held = self._num_passed + len(kept), _NOTHING
        return np.concatenate([sound, kept])

    def _told(self, runs: Iterator[tuple[bool, Samples]]) -> Samples:
        out: list[Samples] = []
        for loud, run in runs:
            if self.begun:
                out.append(run)
            elif loud:
                self.begun = True
                onset = fade_in(self._held, self._rate_hz) if self.num_cut else self._held
                out += [onset, run]
            else:
                passed = max(0, self._most - self._onset - self._num_passed)
                out.append(run[:passed])
                self._num_passed += len(out[-1])
                held = np.concatenate([self._held, run[passed:]])
                cut = max(0, len(held) - self._onset)
                self._held = held[cut:]
                self.num_cut += cut
        if self.begun:
            out += [run for _, run in self._runs.flush()]
        return np.concatenate(out) if out else _NOTHING


class TrailingTrim:
    """Sound and pauses in, the same with at most so much silence behind the last sound out.

    Silence is held back beyond what may stay, until sound follows it or the turn ends.
    """

    def __init__(self, max_ms: int, rate_hz: int, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._rate_hz = rate_hz
        self._most = rate_hz * max_ms // 1000
        self._max_held = min(rate_hz * MAX_HELD_MS // 1000, max_held_bytes // 4)
        # The last that stays may have to fade.
        self._at_once = max(0, self._most - rate_hz // WINDOWS_PER_S)
        self._runs = _Runs(rate_hz)
        self._held: deque[Part] = deque()
        self._num_held = self._num_passed = 0
        """Samples of the silence that is under way."""
        self.num_cut = 0
        """Samples that were cut."""

    def feed(self, samples: Samples) -> list[Part]:
        """What is certain to be heard, in order."""
        return self._told(self._runs.feed(samples))

    def put(self, part: int | OtherVoice) -> list[Part]:
        """A pause that was asked for, or another voice: it keeps its place."""
        out = self._told(self._runs.flush())
        if not self._held:
            return [*out, part]
        self._held.append(part)
        return out

    def finish(self) -> list[Part]:
        """The end of the turn."""
        out = self._told(self._runs.flush())
        room = max(0, self._most - self._num_passed)
        # What was held in pieces is one silence: its fade may be longer than the last of them.
        for silent, parts in groupby(self._held, lambda part: isinstance(part, np.ndarray)):
            if not silent:
                out += parts
                continue
            silence = np.concatenate(cast(list[Samples], list(parts)))
            kept, room = silence[:room], max(0, room - len(silence))
            if len(kept) < len(silence):
                self.num_cut += len(silence) - len(kept)
                kept = fade_out(kept, self._rate_hz)
            if len(kept):
                out.append(kept)
        self._held.clear()
        return out

    def _told(self, runs: Iterator[tuple[bool, Samples]]) -> list[Part]:
        out: list[Part] = []
        for loud, run in runs:
            if loud:
                out += [*self._held, run]
                self._held.clear()
                self._num_held = self._num_passed = 0
                continue
            passed = 0 if self._held else max(0, self._at_once - self._num_passed)
            if len(run[:passed]):
                out.append(run[:passed])
                self._num_passed += len(run[:passed])
            if len(run[passed:]):
                self._held.append(run[passed:])
                self._num_held += len(run[passed:])
            while self._num_held > self._max_held:
                part = self._held.popleft()
                out.append(part)
                self._num_held -= len(part) if isinstance(part, np.ndarray) else 0
        return out
