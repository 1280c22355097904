"""The native library's functions and structs, as ctypes sees them: `source/api.cpp`, line by line.

Calls release the GIL.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int32, c_int64, c_void_p

from services.native.interface import Interface, Signatures
from training.codec.native.build import LIBRARY


class BlockShape(ctypes.Structure):
    """`BlockShape` in `block.hpp`."""

    _fields_ = tuple((name, c_int32) for name in ("channels", "hidden", "kernel", "dilation"))


_TENSORS = tuple((name, c_void_p) for name in ("inner", "inner_bias", "outer", "outer_bias"))


class BlockWeights(ctypes.Structure):
    """`BlockWeights` in `block.hpp`."""

    _fields_ = _TENSORS


class BlockGradients(ctypes.Structure):
    """`BlockGradients` in `block.hpp`."""

    _fields_ = _TENSORS


FUNCTIONS: Signatures = {
    "training_block_forward": (
        c_int32,
        (POINTER(BlockShape), POINTER(BlockWeights), c_void_p, c_int64, c_int64, c_void_p),
    ),
    "training_block_backward": (
        c_int32,
        (
            POINTER(BlockShape),
            POINTER(BlockWeights),
            *(c_void_p, c_void_p, c_int64, c_int64, c_void_p),
            POINTER(BlockGradients),
        ),
    ),
}

INTERFACE = Interface(LIBRARY, FUNCTIONS, (BlockShape, BlockWeights, BlockGradients))
load = INTERFACE.load
