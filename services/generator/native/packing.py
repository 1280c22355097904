"""A CSM's weights, packed for the native library."""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn

from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.csm import Csm
from services.generator.model.llama import Llama
from services.generator.model.reading import UnreadCsm
from services.generator.native import library
from services.generator.native.library import MatrixRole, NormRole
from services.native.interface import Format
from services.native.malloc import large_blocks_go_back
from services.native.memory import address


class PackedModel:
    """A model inside the native library, freed with this object.

    Holds its own copy of every matrix; of the torch model it keeps only the embeddings, which are
    read where they are. Of a model that is not read yet there is one layer at a time in memory
    beside what is packed already.

    Raises:
        MemoryError: the library could not get the memory, or its threads.
    """

    @large_blocks_go_back()
    def __init__(
        self, native: ctypes.CDLL, source: Csm | UnreadCsm, weights: Format, threads: int
    ) -> None:
        self.native = native
        model = source if isinstance(source, Csm) else source.model
        part = _whole if isinstance(source, Csm) else source.part
        shape = _model_shape(model.config)
        self.handle = native.csm_create(ctypes.byref(shape), int(weights), threads)
        if not self.handle:
            raise MemoryError(f"a native model with {threads} threads could not be made")
        self._finalizer = weakref.finalize(self, native.csm_destroy, self.handle)
        # Its tables stay, so they come first: what else is allocated in between goes again.
        self._audio, self._text = (
            (
                source.audio_embeddings.detach().contiguous(),
                source.text_embeddings.detach().contiguous(),
            )
            if isinstance(source, Csm)
            else source.embeddings()
        )
        native.csm_set_tables(
            self.handle,
            address(self._audio, source.dtype),
            address(self._text, source.dtype),
            int(source.dtype == torch.bfloat16),
        )
        for is_depth, stack in enumerate((model.backbone, model.depth.llama)):
            self._pack_stack(is_depth, stack, part)
        with part(model.lm_head), part(model.depth.projection):
            self._matrix(0, 0, MatrixRole.LM_HEAD, model.lm_head.weight)
            self._matrix(1, 0, MatrixRole.PROJECTION, model.depth.projection.weight)
        with part(model.depth, recurse=False):
            for index, head in enumerate(model.depth.heads):
                self._matrix(1, index, MatrixRole.HEAD, head)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed matrices."""
        return self.native.csm_bytes(self.handle)

    def call(self, function: Callable[..., int], *arguments: object) -> None:
        """Call a function of the library on this model.

        Raises:
            MemoryError: it says so.
        """
        if function(self.handle, *arguments):
            raise MemoryError("the native library ran out of memory")

    def _pack_stack(self, is_depth: int, stack: Llama, part: Part) -> None:
        for index, layer in enumerate(stack.layers):
            with part(layer):
                self._matrix(is_depth, index, MatrixRole.QKV, layer.qkv.weight)
                self._matrix(is_depth, index, MatrixRole.ATTENTION_OUT, layer.attention_out.weight)
                self._matrix(is_depth, index, MatrixRole.GATE_UP, layer.gate_up.weight)
                self._matrix(is_depth, index, MatrixRole.DOWN, layer.down.weight)
                self._norm(is_depth, index, NormRole.ATTENTION, layer.attention_norm.weight)
                self._norm(is_depth, index, NormRole.MLP, layer.mlp_norm.weight)
        with part(stack.norm):
            self._norm(is_depth, 0, NormRole.FINAL, stack.norm.weight)
        rotation = stack.rope.between(0, stack.config.max_positions, torch.device("cpu"))
        cosines, sines = (each.float().contiguous() for each in rotation)
        self.native.csm_set_rope(
            self.handle, is_depth, address(cosines, torch.float32), address(sines, torch.float32)
        )

    def _matrix(self, is_depth: int, index: int, role: MatrixRole, weight: Tensor) -> None:
        wide = weight.detach().float().contiguous()
        outputs, inputs = wide.shape
        self.call(
            self.native.csm_set_matrix, is_depth, index, int(role),
            address(wide, torch.float32), outputs, inputs,
        )  # fmt: skip

    def _norm(self, is_depth: int, index: int, role: NormRole, weight: Tensor) -> None:
        wide = weight.detach().float().contiguous()
        self.native.csm_set_norm(
            self.handle, is_depth, index, int(role), address(wide, torch.float32)
        )


class Part(Protocol):
    """`UnreadCsm.part`."""

    def __call__(
        self, module: nn.Module, *, recurse: bool = True
    ) -> AbstractContextManager[None]: ...


def _whole(module: nn.Module, *, recurse: bool = True) -> AbstractContextManager[None]:
    """A model that is there needs nothing done for a part of it."""
    return contextlib.nullcontext()


def _stack_shape(config: LlamaConfig) -> library.StackShape:
    return library.StackShape(
        config.layers,
        config.heads,
        config.kv_heads,
        config.width,
        config.head_dim,
        config.ffn_width,
        config.max_positions,
        config.norm_eps,
    )


def _model_shape(config: CsmConfig) -> library.ModelShape:
    return library.ModelShape(
        _stack_shape(config.backbone),
        _stack_shape(config.depth),
        config.num_codebooks,
        config.audio_vocab_size,
        config.codebook_size,
    )
