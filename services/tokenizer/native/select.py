"""The codec's directions by the way that is wanted: native, or by torch."""

from __future__ import annotations

import logging
from typing import Literal

import torch

from services.native import select
from services.native.select import NativeMode
from services.tokenizer.codec import Mimi
from services.tokenizer.direction import CodecDirection
from services.tokenizer.native import codec
from services.tokenizer.native.build import LIBRARY
from services.tokenizer.native.codec import WeightFormat
from services.tokenizer.native.directions import NativeDecodeDirection, NativeEncodeDirection
from services.tokenizer.native.trial import CodecTrial
from services.tokenizer.torch_direction import TorchDecodeDirection, TorchEncodeDirection

__all__ = ["LARGE_PARAMETERS", "NativeMode", "directions", "weights_for"]

log = logging.getLogger(__name__)

LARGE_PARAMETERS = 20_000_000
"""A codec as small as pico's gains nothing from a second thread, and little from smaller weights
(docs/performance.md)."""


def weights_for(
    parameters: int, dtype: Literal["auto", "float32", "bfloat16"] = "auto"
) -> WeightFormat:
    """Return what a codec of so many parameters decodes by; `dtype` auto leaves it to the size."""
    if dtype == "auto":
        return "fp32" if parameters < LARGE_PARAMETERS else "bf16"
    return "bf16" if dtype == "bfloat16" else "fp32"


def directions(
    mimi: Mimi,
    rows: int,
    mode: NativeMode = "auto",
    weights: WeightFormat = "fp32",
    *,
    threads: int | None = None,
) -> tuple[CodecDirection, CodecDirection]:
    """Return the encoder and the decoder for `rows` streams each.

    Args:
        mimi: may be dropped by the caller when native directions come back.
        rows: streams of each direction.
        mode: see `NativeMode`.
        weights: of a native decoder. An encoder's stay fp32: a code turns by the smallest change.
        threads: of native directions; None: as many as torch uses in the calling thread.

    Raises:
        NativeUnavailable: `mode` is required, or a level, and it cannot be.
        ValueError: a value is not allowed.
    """

    def native() -> tuple[CodecDirection, CodecDirection]:
        codec.check_place(mimi)
        count = torch.get_num_threads() if threads is None else threads
        trial = CodecTrial(mimi, weights, count, rows)
        torch_threads = torch.get_num_threads()
        try:
            level = select.level_for("the codec", LIBRARY, mode, trial.subject, trial.works)
        finally:
            torch.set_num_threads(torch_threads)
        encode = NativeEncodeDirection(mimi, rows, threads=threads, level=level)
        decode = NativeDecodeDirection(mimi, rows, weights, threads=threads, level=level)
        mib = (encode.nbytes + decode.nbytes) / 2**20
        log.info(
            "the codec runs natively (%s): %.0f MiB of weights, %s to decode",
            level.name, mib, weights,
        )  # fmt: skip
        return encode, decode

    def by_torch() -> tuple[CodecDirection, CodecDirection]:
        return TorchEncodeDirection(mimi, rows), TorchDecodeDirection(mimi, rows)

    return select.select("the codec", mode, native, by_torch)
