"""The charts of the page, as PNG."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.evaluate.figures import LENGTH_KINDS
from training.evaluate.mel import log_mel

_WINDOW, _HOP = 1024, 256
_DPI = 100
_COLORS_KEPT = 64
_COLORS = {"teacher": "#8a8f98", "codec": "#5b8fc7", "speech": "#d1603d", "context": "#e3a857"}


def word_errors(path: Path, figures: Mapping[str, Any]) -> None:
    """Draw the word error rate by the length of the sentence, a bar each part."""
    plt = _pyplot()
    kinds = [kind for kind in LENGTH_KINDS if figures["by_kind"][kind]["sentences"]]
    parts = [part for part in _COLORS if part in figures["all"]["word_error_rate"]]
    figure, axes = plt.subplots(figsize=(7, 3.2))
    width = 0.8 / max(1, len(parts))
    for number, part in enumerate(parts):
        heights = [figures["by_kind"][kind]["word_error_rate"][part] or 0.0 for kind in kinds]
        places = np.arange(len(kinds)) + (number - (len(parts) - 1) / 2) * width
        axes.bar(places, heights, width, label=part, color=_COLORS[part])
    axes.set_xticks(
        range(len(kinds)), [f"{k}\n({figures['by_kind'][k]['sentences']})" for k in kinds]
    )
    axes.set_ylabel("word error rate")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, path)


def spectrograms(path: Path, audios: Mapping[str, np.ndarray], rate_hz: int, sentence: str) -> None:
    """Draw log-mel spectrograms, one below the other; `audios` are float32 [samples] by title."""
    plt = _pyplot()
    figure, panels = plt.subplots(
        len(audios), 1, figsize=(8, 1.9 * len(audios)), sharex=True, squeeze=False
    )
    for axes, (title, audio) in zip(panels[:, 0], audios.items(), strict=True):
        bands = log_mel(audio, rate_hz, window=_WINDOW, hop=_HOP)
        seconds = len(bands) * _HOP / rate_hz
        axes.imshow(
            bands.T, origin="lower", aspect="auto", cmap="magma", vmin=-10, vmax=-1.5,
            extent=(0, seconds, 0, bands.shape[1]),
        )  # fmt: skip
        axes.set_facecolor("black")
        axes.set_ylabel("mel band")
        axes.set_title(title, loc="left", fontsize=9)
    panels[-1, 0].set_xlabel("s")
    figure.suptitle(sentence, fontsize=9)
    _save(figure, path)


def copy_curves(source: Path, target: Path) -> list[Path]:
    """Copy the training curves there are to `pico-curve-<stage>.png`; returns the new files."""
    copied = []
    for curve in sorted(source.glob("*.png")):
        target.mkdir(parents=True, exist_ok=True)
        copied.append(target / f"pico-curve-{curve.stem}.png")
        shutil.copyfile(curve, copied[-1])
    return copied


def _pyplot() -> Any:
    import matplotlib

    # Without a display, and without touching the state of others that draw in this process.
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    # Without a date: the same figures give the same file.
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=_DPI, metadata={"Software": None})
    _pyplot().close(figure)
    # A palette: a third of the bytes in a repository that keeps every version.
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLORS_KEPT).save(path, optimize=True)
