"""A CSM's weights, packed for the native library."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.csm import Csm
from services.generator.model.llama import Llama
from services.generator.native import library
from services.generator.native.library import Format, MatrixRole, NormRole
from services.native.memory import address


class PackedModel:
    """A model inside the native library, freed with this object.

    Holds its own copy of every matrix; of the torch model it keeps only the embeddings, which are
    read where they are.

    Raises:
        MemoryError: the library could not get the memory, or its threads.
    """

    def __init__(self, native: ctypes.CDLL, model: Csm, weights: Format, threads: int) -> None:
        self.native = native
        shape = _model_shape(model.config)
        self.handle = native.csm_create(ctypes.byref(shape), int(weights), threads)
        if not self.handle:
            raise MemoryError(f"a native model with {threads} threads could not be made")
        self._finalizer = weakref.finalize(self, native.csm_destroy, self.handle)
        for is_depth, stack in enumerate((model.backbone, model.depth.llama)):
            self._pack_stack(is_depth, stack)
        self._matrix(0, 0, MatrixRole.LM_HEAD, model.lm_head.weight)
        self._matrix(1, 0, MatrixRole.PROJECTION, model.depth.projection.weight)
        for index, head in enumerate(model.depth.heads):
            self._matrix(1, index, MatrixRole.HEAD, head)
        dtype = model.dtype
        self._audio = model.audio_embeddings.detach().contiguous()
        self._text = model.text_embeddings.detach().contiguous()
        native.csm_set_tables(
            self.handle,
            address(self._audio, dtype),
            address(self._text, dtype),
            int(dtype == torch.bfloat16),
        )

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

    def _pack_stack(self, is_depth: int, stack: Llama) -> None:
        for index, layer in enumerate(stack.layers):
            self._matrix(is_depth, index, MatrixRole.QKV, layer.qkv.weight)
            self._matrix(is_depth, index, MatrixRole.ATTENTION_OUT, layer.attention_out.weight)
            self._matrix(is_depth, index, MatrixRole.GATE_UP, layer.gate_up.weight)
            self._matrix(is_depth, index, MatrixRole.DOWN, layer.down.weight)
            self._norm(is_depth, index, NormRole.ATTENTION, layer.attention_norm.weight)
            self._norm(is_depth, index, NormRole.MLP, layer.mlp_norm.weight)
        self._norm(is_depth, 0, NormRole.FINAL, stack.norm.weight)
        rotation = stack.rope.between(0, stack.config.max_positions, torch.device("cpu"))
        cosines, sines = (part.float().contiguous() for part in rotation)
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
