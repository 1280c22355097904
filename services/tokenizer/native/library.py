"""The native library's functions and structs, as ctypes sees them: `source/api.cpp`, line by line.

Calls release the GIL. What the pointers point to is copied, codebooks excepted: those are kept.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_float, c_int32, c_int64, c_void_p
from enum import IntEnum

from services.native.interface import Interface, Signatures
from services.tokenizer.native.build import LIBRARY


class Activation(IntEnum):
    """`Activation` in `activation.hpp`."""

    NONE = 0
    ELU = 1
    GELU = 2
    RELU = 3
    SILU = 4


class ConvolutionShape(ctypes.Structure):
    """`ConvolutionShape` in `convolution.hpp`."""

    _fields_ = (
        ("inputs", c_int32),
        ("outputs", c_int32),
        ("kernel", c_int32),
        ("stride", c_int32),
        ("dilation", c_int32),
        ("upsampling", c_int32),
        ("replicate", c_int32),
        ("elu", c_int32),
        ("weights", c_void_p),
        ("bias", c_void_p),
    )


class TransformerShape(ctypes.Structure):
    """`TransformerShape` in `transformer.hpp`."""

    _fields_ = (
        ("width", c_int32),
        ("ffn_width", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("window", c_int32),
        ("activation", c_int32),
        ("norm_eps", c_float),
        ("frequencies", c_void_p),
    )


class LayerWeights(ctypes.Structure):
    """`LayerWeights` in `transformer.hpp`."""

    _fields_ = tuple(
        (name, c_void_p)
        for name in (
            "attention_norm",
            "attention_norm_bias",
            "qkv",
            "qkv_bias",
            "attention_out",
            "attention_out_bias",
            "mlp_norm",
            "mlp_norm_bias",
            "up",
            "down",
        )
    )


class QuantizerShape(ctypes.Structure):
    """`QuantizerShape` in `quantizer.hpp`."""

    _fields_ = (
        ("width", c_int32),
        ("dim", c_int32),
        ("size", c_int32),
        ("semantic", c_int32),
        ("codebooks", c_int32),
        ("semantic_books", c_void_p),
        ("acoustic_books", c_void_p),
        ("half_norms", c_void_p),
        ("input_proj", c_void_p),
        ("output_proj", c_void_p),
    )


FUNCTIONS: Signatures = {
    "codec_create": (c_void_p, (c_int32,) * 7),
    "codec_destroy": (None, (c_void_p,)),
    "codec_bytes": (c_int64, (c_void_p,)),
    "codec_add_convolution": (c_int32, (c_void_p, POINTER(ConvolutionShape))),
    "codec_add_block": (
        c_int32,
        (
            c_void_p,
            POINTER(ConvolutionShape),
            POINTER(ConvolutionShape),
            POINTER(ConvolutionShape),
        ),
    ),
    "codec_set_resample": (c_int32, (c_void_p, POINTER(ConvolutionShape))),
    "codec_set_transformer": (c_int32, (c_void_p, POINTER(TransformerShape))),
    "codec_add_layer": (c_int32, (c_void_p, POINTER(LayerWeights))),
    "codec_set_quantizer": (c_int32, (c_void_p, POINTER(QuantizerShape))),
    "codec_reset": (None, (c_void_p, c_int32)),
    "codec_decode": (
        c_int32,
        (c_void_p, c_void_p, c_int32, c_int32, c_void_p, c_int32, c_void_p),
    ),
    "codec_encode": (c_int32, (c_void_p, c_void_p, c_int32, c_int32, c_void_p, c_void_p)),
}


INTERFACE = Interface(
    LIBRARY, FUNCTIONS, (ConvolutionShape, TransformerShape, LayerWeights, QuantizerShape)
)
load = INTERFACE.load
