"""The codec's two directions over all rows, natively."""

from __future__ import annotations

import numpy as np

from services.native.levels import Level
from services.tokenizer.codec import Mimi
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.native.codec import NativeDecoder, NativeEncoder, WeightFormat
from services.tokenizer.plan import NATIVE


class NativeDirection(CodecDirection):
    """One direction in C++. Rows that sit a step out cost nothing and are not touched."""

    costs = NATIVE

    def __init__(self, codec: NativeEncoder | NativeDecoder) -> None:
        self._codec = codec
        self.rows = codec.rows

    @property
    def nbytes(self) -> int:
        """Bytes of its packed matrices."""
        return self._codec.nbytes

    def reset(self, row: int) -> None:
        self._codec.reset(row)

    def step(self, first: int, blocks: list[Block | None]) -> list[Block | None]:
        given = {first + index: block for index, block in enumerate(blocks) if block is not None}
        made = iter(self._step(list(given), np.stack(list(given.values()))))
        return [None if block is None else next(made) for block in blocks]

    def _step(self, rows: list[int], batch: Block) -> Block:
        return self._codec.step(rows, batch)


class NativeEncodeDirection(NativeDirection):
    """Audio to frames: blocks [n, frame_samples] float32 in, [n, num_codebooks] uint16 out."""

    operation = "encode"

    def __init__(
        self, mimi: Mimi, rows: int, *, threads: int | None = None, level: Level | None = None
    ) -> None:
        super().__init__(NativeEncoder(mimi, rows, threads=threads, level=level))

    def silence(self, frames: int) -> Block:
        return np.zeros((frames, self._codec.config.frame_samples), np.float32)

    def _step(self, rows: list[int], batch: Block) -> Block:
        return super()._step(rows, batch).astype(np.uint16)


class NativeDecodeDirection(NativeDirection):
    """Frames to audio: blocks [n, num_codebooks] uint16 in, [n, frame_samples] float32 out."""

    operation = "decode"

    def __init__(
        self,
        mimi: Mimi,
        rows: int,
        weights: WeightFormat = "fp32",
        *,
        threads: int | None = None,
        level: Level | None = None,
    ) -> None:
        super().__init__(NativeDecoder(mimi, rows, weights, threads=threads, level=level))

    def silence(self, frames: int) -> Block:
        return np.zeros((frames, self._codec.config.num_codebooks), np.uint16)
