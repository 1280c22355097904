"""Protobuf of what is done to sound, into checked options."""

import math
from typing import Any

from csm.v1 import speech_pb2
from gateway.sound.options import MAX_SILENCE_MS, MAX_SPEED, MIN_SPEED, SoundRules
from gateway.violations import Violations


def sound_rules_of(found: Violations, field: str, options: speech_pb2.SoundOptions) -> SoundRules:
    """What a call asks for; what is wrong with it is in `found`."""
    values: dict[str, Any] = {
        name: getattr(options, name) for name in SoundRules.__slots__ if options.HasField(name)
    }
    speed = values.get("speed")
    if speed is not None and not (math.isfinite(speed) and MIN_SPEED <= speed <= MAX_SPEED):
        found.add(
            f"{field}.speed", f"{speed:g} is not allowed; allowed are {MIN_SPEED}..{MAX_SPEED}"
        )
    for name in ("max_leading_silence_ms", "max_trailing_silence_ms"):
        if values.get(name, 0) > MAX_SILENCE_MS:
            found.add(
                f"{field}.{name}",
                f"{values[name]} is not allowed; allowed are 0..{MAX_SILENCE_MS}",
            )
    return SoundRules(**values)
