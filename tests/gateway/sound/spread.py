"""A watermark for the tests: spread spectrum, deterministic, found whatever the offset."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from gateway.sound.watermark import Detection

Samples = NDArray[np.float32]
LEVEL = 0.01
PERIOD = 8192
DELAY = 700
"""Samples that a stream holds back, as a real one would."""


def make(key: str) -> "Spread":
    if not key:
        raise ValueError("the key is missing")
    return Spread(key)


def make_broken(key: str) -> "Broken":
    return Broken(key)


class Spread:
    name = "spread"

    def __init__(self, key: str) -> None:
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
        signs = np.random.default_rng(seed).integers(0, 2, PERIOD)
        self.sequence = (LEVEL * (2.0 * signs - 1)).astype(np.float32)

    def stream(self, rate_hz: int) -> "SpreadStream":
        return SpreadStream(self)

    def detect(self, samples: Samples, rate_hz: int) -> Detection:
        count = len(samples) // PERIOD
        if not count:
            return Detection(False, 0.0)
        flat = np.diff(samples[: count * PERIOD], prepend=0).reshape(count, PERIOD).mean(axis=0)
        own = np.diff(self.sequence, prepend=self.sequence[-1])
        likeness = np.fft.irfft(np.fft.rfft(flat) * np.conj(np.fft.rfft(own)))
        score = float(likeness.max() / likeness.std())
        return Detection(score > 12, min(1.0, score / 24))


class SpreadStream:
    def __init__(self, mark: Spread) -> None:
        self._mark = mark
        self._waiting = np.zeros(0, np.float32)
        self._at = 0

    def feed(self, samples: Samples) -> Samples:
        self._waiting = np.concatenate([self._waiting, samples])
        return self._give(max(0, len(self._waiting) - DELAY))

    def finish(self) -> Samples:
        return self._give(len(self._waiting))

    def _give(self, count: int) -> Samples:
        given, self._waiting = self._waiting[:count], self._waiting[count:]
        marked = given + self._mark.sequence[(self._at + np.arange(count)) % PERIOD]
        self._at += count
        return marked


class Broken(Spread):
    """Fails from its third chunk of audio on, beyond what the start tries."""

    name = "broken"
    streams = 0

    def stream(self, rate_hz: int) -> SpreadStream:
        self.streams += 1
        return SpreadStream(self) if self.streams == 1 else BrokenStream(self)


class BrokenStream(SpreadStream):
    num_fed = 0

    def feed(self, samples: Samples) -> Samples:
        self.num_fed += 1
        if self.num_fed >= 3:
            raise RuntimeError("cannot mark this")
        return super().feed(samples)
