"""What a turn may ask of the sampler. Knows nothing of torch."""

from __future__ import annotations

import math
from dataclasses import dataclass


def _in_range(name: str, value: object, low: float, high: float, *, above: bool = False) -> None:
    allowed = f"a finite number in {'(' if above else '['}{low:g}, {high:g}]"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}: {value!r} is not allowed, must be {allowed}")
    outside = value <= low if above else value < low
    if not math.isfinite(value) or outside or value > high:
        raise ValueError(f"{name}: {value!r} is not allowed, must be {allowed}")


@dataclass(frozen=True)
class SamplingParams:
    """How codes are drawn: for codebook 0 by `temperature`, for the others by `depth_temperature`.

    Temperature 0 takes the most likely code. `top_k` keeps the k most likely codes and those that
    tie with the last of them (0: all); `top_p` keeps the fewest codes whose probabilities sum to
    it (1.0: all), after top_k. Both apply to every codebook.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """

    temperature: float = 0.9
    depth_temperature: float = 0.9
    top_k: int = 50
    top_p: float = 1.0

    def __post_init__(self) -> None:
        _in_range("temperature", self.temperature, 0.0, 10.0)
        _in_range("depth_temperature", self.depth_temperature, 0.0, 10.0)
        _in_range("top_p", self.top_p, 0.0, 1.0, above=True)
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int):
            raise ValueError(f"top_k: {self.top_k!r} is not allowed, must be an integer >= 0")
        if self.top_k < 0:
            raise ValueError(f"top_k: {self.top_k} is not allowed, must be >= 0 (0: off)")


GREEDY = SamplingParams(temperature=0.0, depth_temperature=0.0, top_k=0)
"""The most likely code everywhere."""
