"""Bars that a measured figure is held to, and whether it clears them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["stretch met", "met", "missed", "not measured"]


@dataclass(frozen=True)
class Bar:
    """A figure's `bar` and its `stretch`, both included. `at_most`: smaller is better.

    `form` prints a value of it.
    """

    name: str
    title: str
    bar: float
    stretch: float
    at_most: bool
    form: str

    def state(self, figure: float | None) -> State:
        """Where the figure stands; None was not measured."""
        if figure is None:
            return "not measured"
        sign = 1 if self.at_most else -1
        if sign * figure <= sign * self.stretch:
            return "stretch met"
        return "met" if sign * figure <= sign * self.bar else "missed"


def judge(bars: Sequence[Bar], figures: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Return every bar with its `figure` and `state`; figures that are missing are None."""
    return [
        {**asdict(bar), "figure": (value := figures.get(bar.name)), "state": bar.state(value)}
        for bar in bars
    ]
