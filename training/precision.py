"""The precision that a training computes in: bfloat16 where the machine multiplies in it."""

from __future__ import annotations

from functools import cache

import torch


@cache
def of(device: torch.device | str) -> torch.dtype:
    """bfloat16 on an accelerator, and on processors with AVX512-BF16 or AMX; float32 elsewhere.

    A processor without such instructions converts every number: on Zen 3 a step of the codec takes
    fifteen times as long in bfloat16 as in float32.
    """
    if torch.device(device).type != "cpu":
        return torch.bfloat16
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("avx512_bf16") or can.get("amx_bf16") else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """The context that a forward pass on `device` runs in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=of(device) is torch.bfloat16)
