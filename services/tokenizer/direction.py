"""What the pool needs of one direction of the codec, whoever computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from numpy.typing import NDArray

from services.tokenizer.plan import Costs

Block = NDArray[Any]
"""Frames in or out, [frames, width]: uint16 codes or float32 samples."""


class CodecDirection(ABC):
    """One direction of the codec for up to `rows` streams. One thread at a time."""

    operation: Literal["encode", "decode"]
    rows: int
    costs: Costs

    @abstractmethod
    def reset(self, row: int) -> None:
        """Makes a row fresh for its next stream."""

    @abstractmethod
    def step(self, first: int, blocks: list[Block | None]) -> list[Block | None]:
        """Advances neighbouring rows from `first` on; None: that row sits this step out.

        Blocks have the same number of frames. Returns what came out, row by row.
        """

    @abstractmethod
    def silence(self, frames: int) -> Block:
        """A valid input of so many frames, for warming up."""
