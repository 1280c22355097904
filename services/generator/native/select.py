"""The generator's model by the way that is wanted: native, or by torch."""

from __future__ import annotations

import logging

import torch

from services.generator.model.csm import Csm
from services.generator.model.reading import UnreadCsm
from services.generator.native.build import LIBRARY
from services.generator.native.native_csm import NativeCsm, WeightFormat
from services.generator.native.trial import ModelTrial
from services.native import select
from services.native.build import NativeUnavailable
from services.native.select import NativeMode

__all__ = ["NativeMode", "accelerate"]

log = logging.getLogger(__name__)


def accelerate(
    model: Csm | UnreadCsm,
    mode: NativeMode = "auto",
    weights: WeightFormat | None = None,
    *,
    threads: int | None = None,
    slots: int = 1,
) -> Csm | NativeCsm:
    """Return the model, native if `mode` says so.

    Args:
        model: may be dropped by the caller when a native one comes back. One that is not read yet
            is read layer by layer then, else as a whole, onto the CPU.
        mode: see `NativeMode`.
        weights: what to pack the weights as; None: what the model is in.
        threads: None: as many as torch uses in the calling thread.
        slots: turns at once; a level is chosen by steps of one row and of these.

    Raises:
        NativeUnavailable: `mode` is required, or a level, and it cannot be.
        ValueError: a value is not allowed.
    """
    kind: WeightFormat = weights or ("bf16" if model.dtype == torch.bfloat16 else "fp32")

    def native() -> NativeCsm:
        if isinstance(model, Csm) and model.device.type != "cpu":
            raise NativeUnavailable(f"the model is on {model.device}")
        if model.dtype not in (torch.float32, torch.bfloat16):
            raise NativeUnavailable(f"the model is in {model.dtype}")
        count = torch.get_num_threads() if threads is None else threads
        trial = ModelTrial(model.config, model.dtype, kind, count, slots)
        torch_threads = torch.get_num_threads()
        try:
            level = select.level_for("the model", LIBRARY, mode, trial.subject, trial.works)
        finally:
            torch.set_num_threads(torch_threads)
        made = NativeCsm(model, kind, threads=threads, level=level)
        log.info(
            "the model runs natively (%s): %s weights, %.0f MiB, %d threads",
            level.name, kind, made.nbytes / 2**20, made.threads,
        )  # fmt: skip
        return made

    def by_torch() -> Csm:
        return model.read() if isinstance(model, UnreadCsm) else model

    return select.select("the model", mode, native, by_torch)
