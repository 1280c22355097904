"""Where a figure was measured, and the statistics that all benchmarks quote."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def cpu_model() -> str:
    """The processor's name as the kernel gives it, and its family: a virtual one hides the rest."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        said = {name.strip(): value.strip() for name, _, value in lines}
        if "model name" in said:
            family = said.get("cpu family")
            kind = f" (family {family}, model {said.get('model')})" if family else ""
            return said["model name"] + kind
    return platform.processor() or platform.machine()


def describe() -> dict[str, Any]:
    """Machine and versions, to stand beside every figure."""
    import torch

    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of the values lie; NaN of none."""
    return float(np.percentile(values, share * 100)) if len(values) else float("nan")


def summary(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, 95th percentile, extremes and count."""
    return {
        "p50": round(statistics.median(values), digits) if values else float("nan"),
        "p95": round(percentile(values, 0.95), digits),
        "min": round(min(values, default=float("nan")), digits),
        "max": round(max(values, default=float("nan")), digits),
        "count": len(values),
    }


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """torch with so many threads, for the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def time_ms(work: Callable[[], object]) -> float:
    """Wall milliseconds of one call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def alternate(
    works: dict[str, Callable[[], object]], *, rounds: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Milliseconds of each work, A B A B …, so that a drift of the machine hits all alike."""
    for _ in range(warmup):
        for work in works.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(time_ms(work))
    return times
