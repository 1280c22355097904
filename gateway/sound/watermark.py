"""What a watermark is to the gateway, and how the operator's is found.

The setting `watermark` names a function as `module:attribute`; it is called with the operator's key
and gives a `Watermark`. It runs in this process: what it imports is the operator's choice.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

MAX_NAME_CHARS = 64
PROBE_S = 2.0
PROBE_RATE_HZ = 24_000


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found in audio."""

    found: bool
    """Whether it carries the watermark of the key."""
    confidence: float
    """0..1, as sure as the watermark's own detector is."""


class WatermarkStream(Protocol):
    """The watermark in the audio of one turn. Its methods may be called in any thread."""

    def feed(self, samples: Samples) -> Samples:
        """Mono samples [N] in, the first M that are marked and have not been given yet out."""

    def finish(self) -> Samples:
        """The rest: in all as many samples as came in."""


class Watermark(Protocol):
    """A watermark with the operator's key."""

    name: str
    """What `GetServerInfo` says, 1..64 characters; never the key."""

    def stream(self, rate_hz: int) -> WatermarkStream:
        """For one turn at that sample rate."""

    def detect(self, samples: Samples, rate_hz: int) -> Detection:
        """Whether mono samples [N] carry it."""


def load_watermark(target: str, key: str) -> Watermark:
    """The watermark that the setting names. Takes as long as its import.

    Raises `ValueError`, which names the setting and never the key.
    """
    module, _, attribute = target.partition(":")
    if not (module and attribute):
        raise ValueError(f"watermark {target!r} is not allowed; allowed is module:attribute")
    try:
        make = cast(Callable[[str], Watermark], getattr(importlib.import_module(module), attribute))
        watermark = make(key)
    except Exception as error:
        # Its message may repeat the key.
        reason = str(error) if isinstance(error, ImportError) else type(error).__name__
        raise ValueError(f"watermark {target!r} cannot be loaded: {reason}") from None
    name = getattr(watermark, "name", "")
    if not (isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS):
        raise ValueError(
            f"watermark {target!r} has no name; allowed are 1..{MAX_NAME_CHARS} characters"
        )
    return watermark


def probe(watermark: Watermark) -> None:
    """Marks two seconds of noise; raises `ValueError` where that fails."""
    noise = np.random.default_rng(0).standard_normal(round(PROBE_S * PROBE_RATE_HZ))
    stream = Marking(watermark, PROBE_RATE_HZ)
    try:
        stream.feed((0.1 * noise).astype(np.float32))
        stream.finish()
    except Exception as error:
        raise ValueError(f"watermark {watermark.name!r} fails: {type(error).__name__}") from None


class Marking:
    """A watermark's stream, checked: what it gives is as long as what it was given, and a sound."""

    def __init__(self, watermark: Watermark, rate_hz: int) -> None:
        self._stream = watermark.stream(rate_hz)
        self._num_in = self._num_out = 0

    def feed(self, samples: Samples) -> Samples:
        """As `WatermarkStream.feed`. Raises where the watermark fails, `ValueError` where what it
        gives cannot be the audio that it was given."""
        self._num_in += len(samples)
        return self._checked(self._stream.feed(samples))

    def finish(self) -> Samples:
        """As `WatermarkStream.finish`, and raises as `feed`."""
        rest = self._checked(self._stream.finish())
        if self._num_out != self._num_in:
            raise ValueError(f"{self._num_out} samples came of {self._num_in}")
        return rest

    def _checked(self, samples: Samples) -> Samples:
        marked = np.asarray(samples, np.float32)
        self._num_out += len(marked)
        if marked.ndim != 1 or self._num_out > self._num_in or not np.isfinite(marked).all():
            raise ValueError("what the watermark gave is no sound of that length")
        return marked
