"""The weights of one direction of a Mimi, packed for the native library."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn

from services.native.interface import Format
from services.native.malloc import large_blocks_go_back
from services.native.memory import address
from services.tokenizer.codec import Mimi, MimiConfig
from services.tokenizer.codec.conv import CausalConv1d, CausalConvTranspose1d
from services.tokenizer.codec.quantizer import ResidualQuantizer
from services.tokenizer.codec.seanet import Elu, ResidualBlock
from services.tokenizer.codec.transformer import Transformer, TransformerLayer
from services.tokenizer.native.library import (
    Activation,
    ConvolutionShape,
    LayerWeights,
    QuantizerShape,
    TransformerShape,
)


class PackedDirection:
    """An encoder or a decoder inside the native library with the state of `rows` streams.

    Freed with this object. Holds its own copy of every matrix; of the torch model it keeps only
    the codebooks, which are read where they are.

    Raises:
        MemoryError: the library could not get the memory, or its threads.
    """

    @large_blocks_go_back()
    def __init__(
        self,
        native: ctypes.CDLL,
        mimi: Mimi,
        weights: Format,
        *,
        encodes: bool,
        rows: int,
        threads: int,
    ) -> None:
        config = mimi.config
        self.native = native
        self.handle = native.codec_create(
            int(encodes),
            rows,
            threads,
            int(weights),
            config.audio_channels,
            config.frame_samples,
            config.resample_stride,
        )
        if not self.handle:
            raise MemoryError(f"a native codec with {threads} threads could not be made")
        self._finalizer = weakref.finalize(self, native.codec_destroy, self.handle)
        self._kept: list[Tensor] = []
        with torch.no_grad():
            self._add_quantizer(mimi, encodes)
            resample = mimi.downsample if encodes else mimi.upsample
            if resample is not None:
                self._pass(native.codec_set_resample, _convolution(resample, False))
            self._add_transformer(mimi.encoder_transformer if encodes else mimi.decoder_transformer)
            self._add_seanet(mimi.encoder.layers if encodes else mimi.decoder.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed matrices."""
        return self.native.codec_bytes(self.handle)

    def call(self, function: Callable[..., int], *arguments: object) -> None:
        """Call a function of the library on this direction.

        Raises:
            MemoryError: it says so.
        """
        if function(self.handle, *arguments):
            raise MemoryError("the native library ran out of memory")

    def _pass(self, function: Callable[..., int], *packed: _Packed | None) -> None:
        """Hand over structs; they need their tensors only while the call lasts."""
        self.call(function, *(None if one is None else ctypes.byref(one.struct) for one in packed))

    def _add_seanet(self, layers: Iterable[nn.Module]) -> None:
        after_elu = False
        for layer in layers:
            if isinstance(layer, ResidualBlock):
                inner, outer = (cast(CausalConv1d, layer.block[index]) for index in (1, 3))
                shortcut = layer.shortcut
                # The ELU behind the inner convolution is the block's own business.
                self._pass(
                    self.native.codec_add_block,
                    _convolution(inner, True),
                    _convolution(outer, False),
                    None if shortcut is None else _convolution(shortcut, False),
                )
            elif isinstance(layer, CausalConv1d):
                self._pass(self.native.codec_add_convolution, _convolution(layer, after_elu))
            after_elu = isinstance(layer, Elu)

    def _add_transformer(self, transformer: Transformer) -> None:
        config = transformer.config
        half = config.head_dim // 2
        exponent = torch.arange(half, dtype=torch.float64) / half
        self._pass(self.native.codec_set_transformer, _transformer(config, exponent))
        for layer in transformer.layers:
            self._pass(self.native.codec_add_layer, _layer(cast(TransformerLayer, layer)))

    def _add_quantizer(self, mimi: Mimi, encodes: bool) -> None:
        config, quantizer = mimi.config, mimi.quantizer
        both = (quantizer.semantic, quantizer.acoustic)
        books = [_fp32(each.codebooks) for each in both]
        self._kept += books
        packed = _Packed(
            QuantizerShape(
                config.hidden_size,
                config.codebook_dim,
                config.codebook_size,
                config.num_semantic_codebooks,
                config.num_codebooks,
                address(books[0], torch.float32),
                address(books[1], torch.float32),
            )
        )
        if encodes:
            packed.point("half_norms", torch.cat([each.half_norms for each in both]))
        packed.point(*_projections(both, encodes))
        self._pass(self.native.codec_set_quantizer, packed)


class _Packed:
    """A struct, and the tensors that its pointers point into."""

    def __init__(self, struct: ctypes.Structure) -> None:
        self.struct = struct
        self._tensors: list[Tensor] = []

    def point(self, name: str, tensor: Tensor | None, dtype: torch.dtype = torch.float32) -> None:
        """Let a field point to a tensor, or to nothing."""
        if tensor is None:
            return
        tensor = tensor.detach().to("cpu", dtype).contiguous()
        self._tensors.append(tensor)
        setattr(self.struct, name, address(tensor, dtype))


def _fp32(tensor: Tensor) -> Tensor:
    return tensor.detach().float().contiguous()


def _convolution(layer: CausalConv1d, elu: bool) -> _Packed:
    """A convolution's struct, without groups; a transposed one's outputs are (phase, channel)."""
    weight: Tensor = layer.weight
    bias = layer._output_bias()
    upsampling = layer.upsampling if isinstance(layer, CausalConvTranspose1d) else 1
    if layer.groups > 1:
        weight, bias = _dense(layer, upsampling)
    packed = _Packed(
        ConvolutionShape(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.dilation,
            upsampling,
            int(layer.replicate),
            int(elu),
        )
    )
    packed.point("weights", weight)
    packed.point("bias", bias)
    return packed


def _dense(layer: CausalConv1d, phases: int) -> tuple[Tensor, Tensor | None]:
    """A grouped convolution without groups, its outputs (phase, group, channel).

    Zeros in place of the weights between groups: there is one such layer, and it is small.
    """
    groups, inputs = layer.groups, layer.in_channels // layer.groups
    channels = layer.out_channels // groups // phases
    grouped = layer.weight.view(groups, phases, channels, layer.kernel_size, inputs)
    dense = layer.weight.new_zeros(phases, groups, channels, layer.kernel_size, groups, inputs)
    for group in range(groups):
        dense[:, group, :, :, group] = grouped[group]
    bias = None if layer.bias is None else layer.bias.repeat(phases)
    return dense.view(layer.out_channels, layer.kernel_size, layer.in_channels), bias


def _transformer(config: MimiConfig, exponent: Tensor) -> _Packed:
    packed = _Packed(
        TransformerShape(
            config.hidden_size,
            config.intermediate_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
            config.sliding_window,
            int(Activation[config.hidden_act.upper()]),
            config.norm_eps,
        )
    )
    packed.point("frequencies", config.rope_theta**-exponent, torch.float64)
    return packed


def _layer(layer: TransformerLayer) -> _Packed:
    """A layer's struct. LayerScale goes into the weights before it: one product less to round."""
    attention, mlp = layer.self_attn, layer.mlp
    scale, bias = layer.self_attn_layer_scale.scale, attention.o_proj.bias
    packed = _Packed(LayerWeights())
    packed.point("attention_norm", layer.input_layernorm.weight)
    packed.point("attention_norm_bias", layer.input_layernorm.bias)
    packed.point("qkv", attention.qkv_proj.weight)
    packed.point("qkv_bias", attention.qkv_proj.bias)
    packed.point("attention_out", attention.o_proj.weight * scale[:, None])
    packed.point("attention_out_bias", None if bias is None else bias * scale)
    packed.point("mlp_norm", layer.post_attention_layernorm.weight)
    packed.point("mlp_norm_bias", layer.post_attention_layernorm.bias)
    packed.point("up", mlp.fc1.weight)
    packed.point("down", mlp.fc2.weight * layer.mlp_layer_scale.scale[:, None])
    return packed


def _projections(
    both: tuple[ResidualQuantizer, ResidualQuantizer], encodes: bool
) -> tuple[str, Tensor | None]:
    """The projection that a direction needs, both quantizers' in one matrix."""
    name, dim = ("input_proj", 0) if encodes else ("output_proj", 1)
    layers = [getattr(each, name) for each in both]
    if any(layer is None for layer in layers):
        return name, None
    return name, torch.cat([layer.weight for layer in layers], dim=dim)
