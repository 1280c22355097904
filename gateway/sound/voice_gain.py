"""A gain of its own for each voice: one for all turns, so that nothing pumps.

A voice with recordings has the gain that they need, from its first turn on. One without is measured
in its turns: as long as little is known, its gain moves slowly towards what has been heard so far,
then it stays.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csm.audio.loudness import HOPS_PER_BLOCK, HOPS_PER_S, HopPowers, blocks_of, gated

Samples = NDArray[np.float32]

MAX_GAIN_DB = 12.0
"""Either way: what is further off is a voice that whispers or a recording that went wrong."""
MIN_KNOWN_BLOCKS = 5
"""Loud blocks after which a measured voice's gain begins to move: 0.8 s of speech."""
ENOUGH_BLOCKS = 100
"""Loud blocks after which it stays: 10 s of speech."""
DB_PER_HOP = 0.3
"""It moves 3 dB a second."""


class VoiceGain:
    """The gain of one voice, in dB."""

    def __init__(self, target_lufs: float, known_lufs: float | None = None) -> None:
        """`known_lufs`: the loudness of its recordings; None: it is measured in its turns."""
        self._target_lufs = target_lufs
        self._blocks: list[float] = []
        self.settled = known_lufs is not None
        """Whether it stays as it is."""
        self.wanted_db = 0.0 if known_lufs is None else self._gain_db(known_lufs)
        """What its next turn begins with."""

    def heard(self, blocks: Sequence[float]) -> None:
        """Mean squares of blocks of 400 ms, K-weighted, that the voice spoke."""
        if self.settled:
            return
        self._blocks += blocks
        loudness, count = gated(np.asarray(self._blocks))
        if count >= MIN_KNOWN_BLOCKS:
            self.wanted_db = self._gain_db(loudness)
            self.settled = count >= ENOUGH_BLOCKS
        # Silence does not count, and has no bound of its own.
        self._blocks = self._blocks[-4 * ENOUGH_BLOCKS :]

    def _gain_db(self, loudness: float) -> float:
        return float(np.clip(self._target_lufs - loudness, -MAX_GAIN_DB, MAX_GAIN_DB))


class Gain:
    """What one voice says in a turn, with its gain. As many samples out as in, none late."""

    def __init__(self, voice: VoiceGain, rate_hz: int) -> None:
        self._voice = voice
        self._db = self._next_db = voice.wanted_db
        """At the beginning of the hop of 100 ms that is under way, and at its end."""
        self._powers = None if voice.settled else HopPowers(rate_hz)
        self._recent: list[float] = []
        self._hop = rate_hz // HOPS_PER_S
        self._at = 0
        """Samples of the hop that are done."""

    @property
    def now_db(self) -> float:
        """Of the next sample."""
        return self._db + (self._next_db - self._db) * self._at / self._hop

    def feed(self, samples: Samples) -> Samples:
        """Samples [N] in, N out."""
        if self._powers is None:
            return samples * np.float32(10 ** (self._db / 20))
        made, begin = [], 0
        while begin < len(samples):
            part = samples[begin : begin + self._hop - self._at]
            position = (self._at + np.arange(len(part))) / self._hop
            gain_db = self._db + (self._next_db - self._db) * position
            made.append(part * (10 ** (gain_db / 20)).astype(np.float32))
            begin, self._at = begin + len(part), self._at + len(part)
            self._measure(part)
        return np.concatenate(made) if made else samples

    def _measure(self, part: Samples) -> None:
        assert self._powers is not None
        for power in self._powers.feed(part):
            self._recent = [*self._recent[-HOPS_PER_BLOCK + 1 :], power]
            self._voice.heard([float(b) for b in blocks_of(self._recent)])
            self._db, self._at = self._next_db, 0
            step = float(np.clip(self._voice.wanted_db - self._db, -DB_PER_HOP, DB_PER_HOP))
            self._next_db = self._db + step
