"""Both directions of the codec over all rows, by torch; `native/` has those without it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from services.tokenizer.codec import DecoderState, EncoderState, Mimi
from services.tokenizer.codec.transformer import TransformerState
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.plan import CPU, CUDA

_S = TypeVar("_S")
# Of the state, for runs of rows; each some kilobytes and a fraction of a millisecond to make.
_MAX_VIEWS = 1024


def rows_of(state: _S, first: int, count: int) -> _S:
    """The state of `count` rows from `first` on, sharing memory: stepping it steps those rows.

    Works because a step writes a state's tensors in place (the contract of `codec.streaming`).
    """
    changed: dict[str, Any] = {}
    # Rings of keys and values are [layers, rows, ...], all else is [rows, ...].
    layered = ("keys", "values") if isinstance(state, TransformerState) else ()
    for field in fields(state):  # type: ignore[arg-type]
        value = getattr(state, field.name)
        if isinstance(value, torch.Tensor):
            changed[field.name] = value.narrow(1 if field.name in layered else 0, first, count)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(_rows_of_part(part, first, count) for part in value)
        elif is_dataclass(value):
            changed[field.name] = _rows_of_part(value, first, count)
        elif field.name == "rows":
            changed[field.name] = count
    return replace(state, **changed)  # type: ignore[type-var]


def _rows_of_part(part: Any, first: int, count: int) -> Any:
    return None if part is None else rows_of(part, first, count)


class TorchDirection(CodecDirection):
    """One direction by torch: a state of all rows, of which steps take ranges."""

    def __init__(self, mimi: Mimi, rows: int) -> None:
        self._mimi = mimi
        self._state: Any = self._new_state(rows)
        self._views: dict[tuple[int, int], Any] = {}
        self._device = next(mimi.parameters()).device
        self.rows = rows
        self.costs = CUDA if self._device.type == "cuda" else CPU

    def reset(self, row: int) -> None:
        self._rows(row, 1).reset()

    def step(self, first: int, blocks: list[Block | None]) -> list[Block | None]:
        given = next(block for block in blocks if block is not None)
        batch = np.zeros((len(blocks), *given.shape), given.dtype)
        for index, block in enumerate(blocks):
            if block is not None:
                batch[index] = block
        idle = any(block is None for block in blocks)
        mask = torch.tensor([block is not None for block in blocks]) if idle else None
        with torch.inference_mode():
            out = self._step(batch, self._rows(first, len(blocks)), mask)
        return [None if block is None else out[index].copy() for index, block in enumerate(blocks)]

    @abstractmethod
    def _new_state(self, rows: int) -> Any: ...

    @abstractmethod
    def _step(self, batch: Block, state: Any, mask: torch.Tensor | None) -> Block: ...

    def _rows(self, first: int, count: int) -> Any:
        key = (first, count)
        if key not in self._views:
            if len(self._views) >= _MAX_VIEWS:
                self._views.clear()
            self._views[key] = rows_of(self._state, first, count)
        return self._views[key]


class TorchEncodeDirection(TorchDirection):
    """Audio to frames: blocks [n, frame_samples] float32 in, [n, num_codebooks] uint16 out."""

    operation = "encode"

    def silence(self, frames: int) -> Block:
        return np.zeros((frames, self._mimi.config.frame_samples), np.float32)

    def _new_state(self, rows: int) -> EncoderState:
        return self._mimi.encoder_state(rows)

    def _step(self, batch: Block, state: EncoderState, mask: torch.Tensor | None) -> Block:
        audio = torch.from_numpy(batch.reshape(len(batch), 1, -1)).to(self._device)
        codes = self._mimi.encode_step(audio, state, mask)
        return codes.transpose(1, 2).cpu().numpy().astype(np.uint16)


class TorchDecodeDirection(TorchDirection):
    """Frames to audio: blocks [n, num_codebooks] uint16 in, [n, frame_samples] float32 out."""

    operation = "decode"

    def silence(self, frames: int) -> Block:
        return np.zeros((frames, self._mimi.config.num_codebooks), np.uint16)

    def _new_state(self, rows: int) -> DecoderState:
        return self._mimi.decoder_state(rows)

    def _step(self, batch: Block, state: DecoderState, mask: torch.Tensor | None) -> Block:
        rows, frames, _ = batch.shape
        codes = torch.from_numpy(batch.astype(np.int64)).transpose(1, 2).to(self._device)
        audio = self._mimi.decode_step(codes, state, mask)
        return audio.float().cpu().numpy().reshape(rows, frames, -1)
