"""Mimi's streaming steps on CPUs without torch in them: each is one call of C++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from services.native.build import NativeUnavailable
from services.native.interface import Format
from services.native.levels import Level
from services.native.memory import address
from services.tokenizer.codec import Mimi
from services.tokenizer.native import library
from services.tokenizer.native.packing import PackedDirection

WeightFormat = Literal["fp32", "bf16"]
"""What matrices are packed as. Sums are fp32 in either; inputs of bf16 may be rounded to bf16 too
(docs/native.md, "Audio")."""

MAX_STEP_FRAMES = 16
"""Longer steps are split, as `Mimi` does: it bounds the memory of a pass."""


def check_place(mimi: Mimi) -> None:
    """Refuse a codec that is not on the CPU in float32.

    Raises:
        NativeUnavailable: it is not.
    """
    parameter = next(mimi.parameters())
    if parameter.device.type != "cpu" or parameter.dtype != torch.float32:
        raise NativeUnavailable(f"the codec is in {parameter.dtype} on {parameter.device}")


class _NativeCodec:
    """What both directions share; `rows` streams, each with its own state."""

    _encodes: bool

    def __init__(
        self,
        mimi: Mimi,
        rows: int,
        weights: WeightFormat = "fp32",
        *,
        threads: int | None = None,
        level: Level | None = None,
    ) -> None:
        if weights not in get_args(WeightFormat):
            raise ValueError(
                f"weights is {weights!r}; allowed: {', '.join(get_args(WeightFormat))}"
            )
        if rows < 1:
            raise ValueError(f"rows is {rows}; allowed: at least 1")
        count = torch.get_num_threads() if threads is None else threads
        if not 1 <= count <= 1024:
            raise ValueError(f"threads is {count}; allowed: 1 to 1024")
        check_place(mimi)
        self.config, self.rows, self.threads = mimi.config, rows, count
        self._packed = PackedDirection(
            library.load(level),
            mimi,
            Format[weights.upper()],
            encodes=self._encodes,
            rows=rows,
            threads=count,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the packed matrices, codebooks not counted where they are only looked up."""
        return self._packed.nbytes

    def reset(self, row: int) -> None:
        """Make a row fresh for its next stream.

        Raises:
            ValueError: there is no such row.
        """
        self._check_rows([row])
        self._packed.native.codec_reset(self._packed.handle, row)

    def _check_rows(self, rows: Sequence[int]) -> NDArray[np.int32]:
        if not rows or len(set(rows)) != len(rows) or min(rows) < 0 or max(rows) >= self.rows:
            raise ValueError(
                f"rows is {list(rows)}; allowed: different ones of 0 to {self.rows - 1}"
            )
        return np.array(rows, np.int32)

    def _check_shape(self, name: str, array: NDArray[Any], rows: int, width: int) -> None:
        if array.ndim != 3 or array.shape[0] != rows or array.shape[2] != width:
            raise ValueError(
                f"{name} has shape {list(array.shape)}; allowed: [{rows} rows, frames, {width}]"
            )
        if array.shape[1] < 1:
            raise ValueError(f"{name} has 0 frames; allowed: at least 1")


class NativeDecoder(_NativeCodec):
    """Codes to audio, `Mimi.decode_step` for rows of its own.

    A row's audio is the same bit for bit whatever the other rows do, however its frames are cut
    into steps and however many threads there are.

    Raises:
        ValueError: `rows`, `threads` or `level` is not allowed.
        NativeUnavailable: there is no library and no compiler that makes one, or the codec is not
            on the CPU in float32.
    """

    _encodes = False

    def step(self, rows: Sequence[int], codes: NDArray[Any]) -> NDArray[np.float32]:
        """Next codes, integers [len(rows), frames, k], of the rows named; the others stay.

        Returns audio [len(rows), frames, frame_samples * audio_channels]. k may be less than
        `num_codebooks`.

        Raises:
            ValueError: a row, a shape or a code is not allowed.
        """
        config, streams = self.config, self._check_rows(rows)
        if codes.dtype.kind not in "iu":
            raise ValueError(f"codes is {codes.dtype}; allowed: an integer type")
        given = min(codes.shape[-1], config.num_codebooks)
        self._check_shape("codes", codes, len(streams), given)
        wide = np.ascontiguousarray(codes, np.int64)
        low, high = int(wide.min()), int(wide.max())
        if low < 0 or high >= config.codebook_size:
            wrong = low if low < 0 else high
            raise ValueError(
                f"codes has the value {wrong}; allowed: 0 to {config.codebook_size - 1}"
            )
        width = config.frame_samples * config.audio_channels
        parts = []
        for start in range(0, wide.shape[1], MAX_STEP_FRAMES):
            part = np.ascontiguousarray(wide[:, start : start + MAX_STEP_FRAMES])
            audio = np.empty((len(streams), part.shape[1], width), np.float32)
            self._packed.call(
                self._packed.native.codec_decode,
                address(streams, np.int32),
                len(streams),
                part.shape[1],
                address(part, np.int64),
                given,
                address(audio, np.float32),
            )
            parts.append(audio)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


class NativeEncoder(_NativeCodec):
    """Audio to codes, `Mimi.encode_step` for rows of its own; as bit-exact as `NativeDecoder`.

    Raises:
        ValueError: `rows`, `threads` or `level` is not allowed.
        NativeUnavailable: there is no library and no compiler that makes one, or the codec is not
            on the CPU in float32.
    """

    _encodes = True

    def step(self, rows: Sequence[int], audio: NDArray[np.float32]) -> NDArray[np.int64]:
        """Next audio, float32 [len(rows), frames, frame_samples * audio_channels].

        Returns codes [len(rows), frames, num_codebooks].

        Raises:
            ValueError: a row or the shape is not allowed.
        """
        config, streams = self.config, self._check_rows(rows)
        width = config.frame_samples * config.audio_channels
        self._check_shape("audio", audio, len(streams), width)
        parts = []
        for start in range(0, audio.shape[1], MAX_STEP_FRAMES):
            part = np.ascontiguousarray(audio[:, start : start + MAX_STEP_FRAMES], np.float32)
            codes = np.empty((len(streams), part.shape[1], config.num_codebooks), np.int64)
            self._packed.call(
                self._packed.native.codec_encode,
                address(streams, np.int32),
                len(streams),
                part.shape[1],
                address(part, np.float32),
                address(codes, np.int64),
            )
            parts.append(codes)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
