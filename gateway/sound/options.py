"""What a call asks of its sound, and what is done to a turn's sound in the end."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.sound.speed import MAX_SPEED, MIN_SPEED
from gateway.sound.trim import MAX_HELD_BYTES
from gateway.sound.voice_gain import VoiceGain
from gateway.sound.watermark import Watermark

MAX_SILENCE_MS = 10_000
"""Longest silence that may be asked for at the ends of a turn."""

__all__ = [
    "AS_SET",
    "MAX_SILENCE_MS",
    "MAX_SPEED",
    "MIN_SPEED",
    "UNTOUCHED",
    "Processing",
    "SoundRules",
]


@dataclass(frozen=True, slots=True)
class SoundRules:
    """What a call says; None is left to the server. See `csm.v1.SoundOptions`."""

    speed: float | None = None
    even_loudness: bool | None = None
    max_leading_silence_ms: int | None = None
    max_trailing_silence_ms: int | None = None


AS_SET = SoundRules()
"""All is left to the server."""


@dataclass(frozen=True, slots=True)
class Processing:
    """What is done to a turn's sound."""

    speed: float = 1.0
    gain: VoiceGain | None = None
    """Of the turn's own voice; None: its loudness stays."""
    max_leading_silence_ms: int | None = None
    """None: the silence stays."""
    max_trailing_silence_ms: int | None = None
    watermark: Watermark | None = None
    """None: none."""
    max_held_bytes: int = MAX_HELD_BYTES
    """Of silence that is held back until it is known whether it is the turn's last."""
    gain_of: Callable[[str], VoiceGain | None] | None = None
    """The gain of a voice that speaks in the turn, by name (empty: the turn's own), as it is known
    now: it never waits, and what is not known yet may be at its next sentence. None: all voices
    have that of the turn."""

    @property
    def changes(self) -> bool:
        """Whether anything is done to what the turn's own voice says."""
        return (
            self.speed != 1.0
            or self.gain is not None
            or self.max_leading_silence_ms is not None
            or self.max_trailing_silence_ms is not None
            or self.watermark is not None
        )


UNTOUCHED = Processing()
"""Nothing is done."""
