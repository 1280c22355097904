"""Where a chunk of audio can first be heard."""

import numpy as np

from csm.audio.pcm import pcm_samples
from gateway.commands import StreamFormat

AUDIBLE_LEVEL = 0.01
"""Of full scale, -40 dBFS: far above the codec's own noise, far below any speech."""


def first_audible_s(pcm: bytes, form: StreamFormat) -> float | None:
    """Seconds from the chunk's beginning to its first audible sample; None: there is none."""
    samples = pcm_samples(pcm, form.encoding)  # type: ignore[arg-type]
    loud = np.abs(samples) >= AUDIBLE_LEVEL
    if not loud.any():
        return None
    return int(loud.argmax()) // form.channels / form.sample_rate_hz
