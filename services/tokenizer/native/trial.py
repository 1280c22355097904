"""Steps of the codec that tell how fast each way of running it is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from services.native.choice import Works
from services.native.levels import Level
from services.native.timing import Way
from services.tokenizer.codec import Mimi
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.native.codec import WeightFormat
from services.tokenizer.native.directions import NativeDecodeDirection, NativeEncodeDirection
from services.tokenizer.torch_direction import TorchDecodeDirection, TorchEncodeDirection

MAX_ROWS = 8
"""Streams beyond these change no ratio, and their state by torch takes megabytes each."""


@dataclass(frozen=True)
class CodecTrial:
    """Makes steps to be timed, of a codec whose native decoder has weights of that format."""

    mimi: Mimi
    weights: WeightFormat
    threads: int
    rows: int

    @property
    def subject(self) -> dict[str, object]:
        """What times depend on beside the processor and the libraries."""
        return {
            "codec": asdict(self.mimi.config),
            "weights": self.weights,
            "threads": self.threads,
            "rows": self._rows,
            "torch": torch.__version__,
        }

    def works(self, level: Level | None) -> Works:
        """Return steps of a frame, of one stream and of several, at a level or (None) by torch."""
        most, threads = self._rows[-1], self.threads
        encode: CodecDirection
        decode: CodecDirection
        if level is None:
            encode = TorchEncodeDirection(self.mimi, most)
            decode = TorchDecodeDirection(self.mimi, most)
        else:
            encode = NativeEncodeDirection(self.mimi, most, threads=threads, level=level)
            decode = NativeDecodeDirection(
                self.mimi, most, self.weights, threads=threads, level=level
            )
            # As in the service: torch's own would spin beside those of the library.
            threads = 1
        prepare = partial(torch.set_num_threads, threads)
        return {
            f"{each.operation} {rows}": Way(_step(each, rows, self.mimi), prepare)
            for each in (decode, encode)
            for rows in self._rows
        }

    @property
    def _rows(self) -> list[int]:
        return sorted({1, min(self.rows, MAX_ROWS)})


def _step(direction: CodecDirection, rows: int, mimi: Mimi) -> Callable[[], object]:
    """A frame of each of so many streams."""
    numbers = np.random.default_rng(0)
    like = direction.silence(1)
    blocks: list[Block | None] = [
        numbers.integers(mimi.config.codebook_size, size=like.shape).astype(like.dtype)
        if direction.operation == "decode"
        else (0.1 * numbers.standard_normal(like.shape)).astype(like.dtype)
        for _ in range(rows)
    ]
    return partial(direction.step, 0, blocks)
