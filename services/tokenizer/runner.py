"""The codec's two halves over all rows, by torch; `native/` has those that need none of it."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from csm.errors import FailedPrecondition
from services.tokenizer import codec
from services.tokenizer.codec import DecoderState, EncoderState, Mimi
from services.tokenizer.codec.transformer import TransformerState
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.plan import CPU, CUDA

Device = Literal["auto", "cpu", "cuda"]
_S = TypeVar("_S")
# Code values travel as uint16.
_MAX_CODEBOOK_SIZE = 1 << 16
# Of the state, for runs of rows; each some kilobytes and a fraction of a millisecond to make.
_MAX_VIEWS = 1024


def load_codec(path: Path, device: Device) -> Mimi:
    """The codec of a model directory.

    Raises:
        FailedPrecondition: what is wrong with which file, or that there is no such device.
    """
    if not path.exists():
        raise FailedPrecondition(f"model: {path} does not exist; it must be a model directory")
    if device == "cuda" and not torch.cuda.is_available():
        raise FailedPrecondition("device: cuda is not available on this machine; use cpu or auto")
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        mimi = codec.load(path, device=place)
    except (ValueError, OSError) as error:
        raise FailedPrecondition(f"model: {path} cannot be used: {error}") from error
    config = mimi.config
    if config.audio_channels != 1:
        raise FailedPrecondition(
            f"model: {path}: audio_channels is {config.audio_channels}; allowed is 1"
        )
    if config.codebook_size > _MAX_CODEBOOK_SIZE:
        raise FailedPrecondition(
            f"model: {path}: codebook_size is {config.codebook_size}; "
            f"allowed is up to {_MAX_CODEBOOK_SIZE}"
        )
    return mimi


def digest(mimi: Mimi) -> str:
    """SHA-256 of the weights in use, names and values, hexadecimal."""
    sha = hashlib.sha256()
    for name, tensor in sorted(mimi.state_dict().items()):
        sha.update(f"{name} {list(tensor.shape)}\n".encode())
        sha.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


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


class EncodeHalf(TorchDirection):
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


class DecodeHalf(TorchDirection):
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
