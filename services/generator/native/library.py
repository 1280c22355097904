"""The native library's functions and structs, as ctypes sees them: `source/api.cpp`, line by line.

Calls release the GIL. Whoever calls keeps the tensors behind the pointers alive.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_float, c_int32, c_int64, c_void_p
from enum import IntEnum

from services.generator.native.build import LIBRARY
from services.native.interface import Interface, Signatures


class MatrixRole(IntEnum):
    """Which matrix of a layer or of the model."""

    QKV = 0
    ATTENTION_OUT = 1
    GATE_UP = 2
    DOWN = 3
    LM_HEAD = 4
    PROJECTION = 5
    HEAD = 6


class NormRole(IntEnum):
    """Which norm of a layer or stack."""

    ATTENTION = 0
    MLP = 1
    FINAL = 2


class StackShape(ctypes.Structure):
    """`StackShape` in `stack.hpp`."""

    _fields_ = (
        ("layers", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("width", c_int32),
        ("head_dim", c_int32),
        ("ffn_width", c_int32),
        ("max_positions", c_int32),
        ("norm_eps", c_float),
    )


class ModelShape(ctypes.Structure):
    """`ModelShape` in `model.hpp`."""

    _fields_ = (
        ("backbone", StackShape),
        ("depth", StackShape),
        ("num_codebooks", c_int32),
        ("vocab_size", c_int32),
        ("codebook_size", c_int32),
    )


class Cache(ctypes.Structure):
    """`Cache` in `attention.hpp`."""

    _fields_ = (
        ("keys", c_void_p),
        ("values", c_void_p),
        ("is_bf16", c_int32),
        ("slots", c_int32),
        ("max_positions", c_int32),
    )


class BackboneRows(ctypes.Structure):
    """`BackboneRows` in `model.hpp`."""

    _fields_ = (
        ("count", c_int32),
        ("slots", c_void_p),
        ("positions", c_void_p),
        ("frames", c_void_p),
        ("wanted", c_void_p),
        ("hidden", c_void_p),
    )


class FrameRows(ctypes.Structure):
    """`FrameRows` in `model.hpp`."""

    _fields_ = (
        ("count", c_int32),
        ("slots", c_void_p),
        ("hidden", c_void_p),
        ("temperature", c_void_p),
        ("depth_temperature", c_void_p),
        ("top_k", c_void_p),
        ("top_p", c_void_p),
        ("end_bias", c_void_p),
        ("noise", c_void_p),
        ("codes", c_void_p),
    )


FUNCTIONS: Signatures = {
    "csm_create": (c_void_p, (POINTER(ModelShape), c_int32, c_int32)),
    "csm_destroy": (None, (c_void_p,)),
    "csm_bytes": (c_int64, (c_void_p,)),
    "csm_set_matrix": (
        c_int32,
        (c_void_p, c_int32, c_int32, c_int32, c_void_p, c_int32, c_int32),
    ),
    "csm_set_norm": (None, (c_void_p, c_int32, c_int32, c_int32, c_void_p)),
    "csm_set_rope": (None, (c_void_p, c_int32, c_void_p, c_void_p)),
    "csm_set_tables": (None, (c_void_p, c_void_p, c_void_p, c_int32)),
    "csm_run_backbone": (c_int32, (c_void_p, POINTER(BackboneRows), POINTER(Cache))),
    "csm_draw_frames": (c_int32, (c_void_p, POINTER(FrameRows))),
}


INTERFACE = Interface(LIBRARY, FUNCTIONS, (StackShape, ModelShape, Cache, BackboneRows, FrameRows))
load = INTERFACE.load
