"""The curves of `benchmarks.performance` as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import floors

FRAME_MS = 80
_PEER = {"marker": "x", "linestyle": "none", "color": "tab:red", "markersize": 8}


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG of what `performance.run` returned; what was not measured stays empty."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(15, 8))
    for row, shape in enumerate(("csm-1b", "pico")):
        curves = result.get(shape)
        if curves:
            _by_batch(axes[row][0], shape, curves, result)
            _by_positions(axes[row][1], shape, curves)
    _listeners(axes[0][2], result.get("listeners", []))
    _first_audio(axes[1][2], result.get("listeners", []))
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize=7, loc="best", framealpha=0.6)
    where = result["machine"]
    figure.suptitle(f"{where['cpu']}, {where['cores']} cores, reads {result['read_gb_per_s']} GB/s")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _real_time(axis: Any) -> None:
    axis.axhline(FRAME_MS, color="gray", linestyle=":", label="real time: 80 ms")


def _by_batch(axis: Any, shape: str, curves: dict[str, Any], result: dict[str, Any]) -> None:
    for kind, way in curves["ways"].items():
        points = way["by_batch"]
        batches = [point["batch"] for point in points]
        axis.plot(batches, [p["frame_ms"]["p50"] for p in points], marker="o", label=kind)
        read = curves["weights_a_frame"] * floors.BYTES[kind] / result["read_gb_per_s"] / 1e6
        axis.plot(batches, [read] * len(batches), linestyle="--", linewidth=0.8,
                  label=f"{kind}: reading the weights")  # fmt: skip
    peers = result.get("peers", {}).get("model", {}) if shape == "csm-1b" else {}
    if peers:
        at = [int(name.removeprefix("batch_")) for name in peers]
        times = [figures["transformers_frame_ms"]["p50"] for figures in peers.values()]
        axis.plot(at, times, label="transformers bf16", **_PEER)
    if shape == "csm-1b":
        _real_time(axis)
    axis.set(title=f"{shape}: a step by slots", xlabel="slots", ylabel="ms", ylim=(0, None))


def _by_positions(axis: Any, shape: str, curves: dict[str, Any]) -> None:
    for kind, way in curves["ways"].items():
        at = [point["positions"] for point in way["by_positions"]]
        times = [point["frame_ms"]["p50"] for point in way["by_positions"]]
        axis.plot(at, times, marker="o", label=kind)
    axis.set(title=f"{shape}: a frame by positions in the cache", xlabel="positions",
             ylabel="ms", ylim=(0, None))  # fmt: skip


def _listeners(axis: Any, runs: list[dict[str, Any]]) -> None:
    at = [run["streams"] for run in runs]
    for name in ("p50", "p95"):
        values = [FRAME_MS * run["real_time_factor"][name] for run in runs]
        axis.plot(at, values, marker="o", label=f"{name}")
    _real_time(axis)
    axis.set(title="pico, whole system: a frame of one listener", xlabel="listeners at once",
             ylabel="ms", ylim=(0, None))  # fmt: skip


def _first_audio(axis: Any, runs: list[dict[str, Any]]) -> None:
    at = [run["streams"] for run in runs]
    for name in ("p50", "p95"):
        values = [run["first_audio_ms"][name] for run in runs]
        axis.plot(at, values, marker="o", label=name)
    axis.set(title="pico, whole system: first audio", xlabel="listeners at once, same instant",
             ylabel="ms", ylim=(0, None))  # fmt: skip
