"""How long a training has trained."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def training_clock(device: torch.device) -> Callable[[], float]:
    """Seconds of training: of the processor's time on a CPU, where a training that runs beside
    other work, or is halted for it, must not lose its learning rates to waiting."""
    if device.type != "cpu":
        return time.monotonic
    threads = torch.get_num_threads()
    return lambda: time.process_time() / threads
