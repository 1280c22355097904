"""The way of a spoken turn's sound through all that is done to it.

    the model's sound -> silence at the ends -> gain -> pace -> limiter -> what is sent
                         (trim)                         (speed)

The gain is that of the voice that speaks. It comes before the pace, so that another voice begins on
its own sample at any pace.

A pause that was asked for parts it: before it everything that is held back comes out, behind it the
stages begin anew, so that it is as long as asked, whatever the pace.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.sound.limiter import Limiter
from gateway.sound.options import Processing
from gateway.sound.speed import SpeedChange
from gateway.sound.trim import LeadingTrim, OtherVoice, Part, TrailingTrim
from gateway.sound.turn_gains import TurnGains
from gateway.sound.voice_gain import VoiceGain

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sounding:
    """Sound to send, at most a frame's samples of it."""

    samples: Samples
    num_frames: int
    """Frames of the turn that have begun by its end."""


@dataclass(frozen=True, slots=True)
class Pausing:
    """A pause to send."""

    duration_ms: int
    num_frames: int
    """Frames before it."""


Item = Sounding | Pausing


class Chain:
    """The stages of one turn. Any chunking of its sound gives the same output."""

    def __init__(
        self, processing: Processing, rate_hz: int, frame_ms: float, num_before: int = 0
    ) -> None:
        """Samples are mono at `rate_hz`; a frame of the model takes `frame_ms` of them.
        `num_before` of the turn came out before, as they were."""
        self._rate_hz = rate_hz
        self._frame_samples = rate_hz * frame_ms / 1000
        first, last = processing.max_leading_silence_ms, processing.max_trailing_silence_ms
        self._leading = None if first is None else LeadingTrim(first, rate_hz)
        self._trailing = (
            None if last is None else TrailingTrim(last, rate_hz, processing.max_held_bytes)
        )
        self._factor = processing.speed
        self._speed = None if self._factor == 1.0 else SpeedChange(self._factor, rate_hz)
        self._gains = TurnGains(processing.gain, rate_hz, amid_sound=num_before > 0)
        self._limiter = None if processing.gain is None else Limiter(rate_hz)
        self._pause_frames: list[int] = []
        """Frames before each pause that is on its way."""
        self._num_sound = num_before
        """Samples of sound, without pauses, that came out."""
        self._num_frames = 0

    @property
    def skipped_ms(self) -> float:
        """Milliseconds of the model's sound that were cut at its beginning, up to now."""
        return self._ms(self._leading.num_cut) if self._leading else 0.0

    @property
    def cut_ms(self) -> float:
        """Milliseconds of the model's sound that were cut at its end."""
        return self._ms(self._trailing.num_cut) if self._trailing else 0.0

    def feed(self, samples: Samples, num_frames: int) -> list[Item]:
        """Samples [N] by whose end the turn has so many frames; what is to be sent, in order."""
        self._num_frames = num_frames
        if self._leading is not None:
            samples = self._leading.feed(samples)
        return self._through(self._trimmed(samples))

    def pause(self, duration_ms: int, num_frames: int) -> list[Item]:
        """A pause that was asked for, before which the turn has so many frames."""
        self._num_frames = num_frames
        self._pause_frames.append(num_frames)
        parts: list[Part] = []
        if self._leading is not None and not self._leading.begun:
            parts += self._trimmed(self._leading.flush())
        parts += [duration_ms] if self._trailing is None else self._trailing.put(duration_ms)
        return self._through(parts)

    def other_voice(self, gain: VoiceGain | None) -> list[Item]:
        """What is fed next is spoken by the voice of that gain."""
        marked = OtherVoice(gain)
        # Where nothing was heard yet, the silence before it may well be the next one's.
        return self._through([marked] if self._trailing is None else self._trailing.put(marked))

    def finish(self) -> list[Item]:
        """The rest of the turn."""
        parts: list[Part] = []
        if self._leading is not None and not self._leading.begun:
            parts += self._trimmed(self._leading.flush())
        if self._trailing is not None:
            parts += self._trailing.finish()
        return [*self._through(parts), *self._sounding(self._flush(), last=True)]

    # --- inside ---

    def _trimmed(self, samples: Samples) -> list[Part]:
        if self._trailing is not None:
            return self._trailing.feed(samples)
        return [samples] if len(samples) else []

    def _through(self, parts: list[Part]) -> list[Item]:
        items: list[Item] = []
        for part in parts:
            if isinstance(part, int):
                items += self._sounding(self._flush())
                self._gains.pause()
                items.append(Pausing(part, self._pause_frames.pop(0)))
            elif isinstance(part, OtherVoice):
                self._gains.change(part.gain)
                if part.gain is not None and self._limiter is None:
                    self._limiter = Limiter(self._rate_hz)
            else:
                items += self._sounding(self._staged(part))
        return items

    def _staged(self, samples: Samples) -> Samples:
        samples = self._gains.feed(samples)
        if self._speed is not None:
            samples = self._speed.feed(samples)
        return samples if self._limiter is None else self._limiter.feed(samples)

    def _flush(self) -> Samples:
        """What the stages hold back, before a pause or the end."""
        rest = np.zeros(0, np.float32) if self._speed is None else self._speed.flush()
        if self._limiter is None:
            return rest
        return np.concatenate([self._limiter.feed(rest), self._limiter.flush()])

    def _sounding(self, samples: Samples, *, last: bool = False) -> list[Item]:
        items: list[Item] = []
        most = max(1, math.floor(self._frame_samples))
        for begin in range(0, len(samples), most):
            piece = samples[begin : begin + most]
            self._num_sound += len(piece)
            items.append(Sounding(piece, self._frames()))
        if last and items and not self.cut_ms:
            items[-1] = Sounding(items[-1].samples, self._num_frames)  # type: ignore[union-attr]
        return items

    def _frames(self) -> int:
        skipped = self._leading.num_cut if self._leading else 0
        begun = (skipped + self._num_sound * self._factor) / self._frame_samples
        # Half a sample is what rounding at a pause may be off.
        return min(self._num_frames, math.ceil(begun - 0.5 / self._frame_samples))

    def _ms(self, num_samples: int) -> float:
        return num_samples * 1000 / self._rate_hz
