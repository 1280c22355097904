"""The ranges that the wire promises, checked alike by every service that takes them.

They are those of the comments in `protos/csm/v1`; what depends on a model is checked beside it.
"""

import math

from csm.errors import FieldViolation
from csm.v1 import common_pb2

MAX_ID_CHARS = 128
"""Of a conversation's id, and of a client's name for a turn."""
MAX_SPEAKER = 65535
MAX_CONTEXT_FILE_BYTES = 3 << 20
"""Of a file in a turn of context: it travels in one message."""
LARGER_FILES = "encode a larger one by the tokenizer (`csm encode`, `context_turn`) and give frames"
MAX_RECORDING_BYTES = 12 << 20
"""Of a recording that a voice is made of: 30 s of 48 kHz, two channels, floats."""
MIN_AUDIO_MS, MAX_AUDIO_MS = 80, 600_000
MAX_TEMPERATURE = 10.0
MAX_TOP_K = 65536


def sampling_violations(field: str, message: common_pb2.Sampling) -> list[FieldViolation]:
    """What is wrong with a `Sampling` at `field`, one violation a value."""
    wrong: list[tuple[str, float, str]] = []
    for name in ("temperature", "depth_temperature"):
        value = getattr(message, name)
        if message.HasField(name) and not (math.isfinite(value) and 0 <= value <= MAX_TEMPERATURE):
            wrong.append((name, value, f"0..{MAX_TEMPERATURE:g}"))
    if message.HasField("top_k") and message.top_k > MAX_TOP_K:
        wrong.append(("top_k", message.top_k, f"0..{MAX_TOP_K}"))
    if message.HasField("top_p") and not 0 < message.top_p <= 1:
        wrong.append(("top_p", message.top_p, "above 0 and at most 1"))
    if message.min_audio_ms > MAX_AUDIO_MS:
        wrong.append(("min_audio_ms", message.min_audio_ms, f"0..{MAX_AUDIO_MS}"))
    return [
        FieldViolation(f"{field}.{name}", f"{_shown(value)} is not allowed; must be {allowed}")
        for name, value, allowed in wrong
    ]


def _shown(value: float) -> str:
    # Floats as they were meant (float32 0.1 is not 0.10000000149), integers to the last digit.
    return f"{value:g}" if isinstance(value, float) else str(value)
