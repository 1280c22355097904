"""Which of the two ways a model runs: natively where that is possible and wanted, or by torch."""

from __future__ import annotations

import logging
from typing import Literal

import torch

from services.generator.model.csm import Csm
from services.generator.native.native_csm import NativeCsm, WeightFormat
from services.native.build import NativeUnavailable

log = logging.getLogger(__name__)

NativeMode = Literal["auto", "off", "required"]
"""auto: native where it can be, torch elsewhere, and the log says why; off: torch; required:
native, or an error."""


def accelerate(
    model: Csm,
    mode: NativeMode = "auto",
    weights: WeightFormat | None = None,
    *,
    threads: int | None = None,
) -> Csm | NativeCsm:
    """Return the model, native if `mode` says so.

    Args:
        model: may be dropped by the caller when a native one comes back.
        mode: see `NativeMode`.
        weights: what to pack the weights as; None: what the model is in.
        threads: None: as many as torch uses in the calling thread.

    Raises:
        NativeUnavailable: `mode` is required and it cannot be.
        ValueError: a value is not allowed.
    """
    if mode == "off":
        return model
    kind: WeightFormat = weights or ("bf16" if model.dtype == torch.bfloat16 else "fp32")
    try:
        if model.device.type != "cpu":
            raise NativeUnavailable(f"the model is on {model.device}")
        if model.dtype not in (torch.float32, torch.bfloat16):
            raise NativeUnavailable(f"the model is in {model.dtype}")
        native = NativeCsm(model, kind, threads=threads)
    except NativeUnavailable as error:
        if mode == "required":
            raise
        log.warning("the model runs by torch, slower: %s", error)
        return model
    log.info(
        "the model runs natively: %s weights, %.0f MiB, %d threads",
        kind, native.nbytes / 2**20, native.threads,
    )  # fmt: skip
    return native
