"""The gains of a turn's voices, one after the other: each voice has its own, and no step is heard.

Another voice begins at a sample. There the gain goes from that of the voice before to that of the
next within `RAMP_MS`, which lie in the silence that sentences begin with; behind a pause, or at the
beginning of the turn, nothing need be gone through.
"""

import numpy as np
from numpy.typing import NDArray

from gateway.sound.voice_gain import Gain, VoiceGain

Samples = NDArray[np.float32]

RAMP_MS = 10.0
"""Of 24 dB at the most: long enough that no click is heard, shorter than any sound of speech."""


class TurnGains:
    """As many samples out as in, none late. Any chunking gives the same output."""

    def __init__(self, first: VoiceGain | None, rate_hz: int, *, amid_sound: bool = False) -> None:
        """`first` is that of who speaks first; None: nothing is done. `amid_sound`: something was
        heard before, as it was."""
        self._rate_hz = rate_hz
        self._gains: dict[VoiceGain, Gain] = {}
        """Of each voice that has spoken."""
        self._current = self._of(first)
        self._ramp_db = 0.0
        """How much the gain lies over the voice's own where the ramp begins."""
        self._ramp = max(1, round(rate_hz * RAMP_MS / 1000))
        self._at = self._ramp
        """Samples since another voice began."""
        self._between = not amid_sound
        """Nothing was heard since the turn began, or since a pause."""

    def change(self, gain: VoiceGain | None) -> None:
        """What comes next is spoken by the voice of that gain; None: nothing is done to it."""
        before_db = self._now_db()
        self._current = self._of(gain)
        own_db = 0.0 if self._current is None else self._current.now_db
        self._ramp_db = 0.0 if self._between else before_db - own_db
        self._at = 0

    def pause(self) -> None:
        """Nothing is heard before what comes next."""
        self._between = True

    def feed(self, samples: Samples) -> Samples:
        """Samples [N] in, N out."""
        if not len(samples):
            return samples
        made = samples if self._current is None else self._current.feed(samples)
        if self._ramp_db and self._at < self._ramp:
            over_db = self._over_db(self._at + np.arange(min(len(made), self._ramp - self._at)))
            made = made.copy()
            made[: len(over_db)] *= (10 ** (over_db / 20)).astype(np.float32)
        self._at = min(self._ramp, self._at + len(samples))
        self._between = False
        return made

    # --- inside ---

    def _of(self, gain: VoiceGain | None) -> Gain | None:
        if gain is None:
            return None
        if gain not in self._gains:
            self._gains[gain] = Gain(gain, self._rate_hz)
        return self._gains[gain]

    def _now_db(self) -> float:
        """Of the next sample, were it of the same voice."""
        own_db = 0.0 if self._current is None else self._current.now_db
        return own_db + float(self._over_db(np.array([self._at]))[0])

    def _over_db(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Over the voice's own gain, so many samples after it began."""
        return self._ramp_db * np.maximum(0.0, 1 - at / self._ramp)
