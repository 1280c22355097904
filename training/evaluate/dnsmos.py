"""How natural and clean a clip sounds: DNSMOS, a model of listeners' ratings (P.835, P.808)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluate.cache import Cache
from training.evaluate.level import RATE_HZ, levelled
from training.evaluate.packages import imported, need

MODULES = ("speechmos", "librosa", "onnxruntime", "pandas")
SCALES = ("ovrl", "sig", "bak", "p808")


@dataclass(frozen=True)
class Rating:
    """Mean opinion scores, 1 to 5: overall, the speech, the background (P.835); overall (P.808)."""

    ovrl: float
    sig: float
    bak: float
    p808: float


class Dnsmos:
    """Rates clips at 16 kHz and a peak of 0.7, whole."""

    def __init__(self, *, cache: Path | None = None, threads: int = 1) -> None:
        """Nothing is loaded yet; `cache` is a JSON file of the ratings by clip.

        Raises:
            ValueError: `threads` is below 1, or a package is missing.
        """
        if threads < 1:
            raise ValueError(f"threads: {threads} is not allowed, must be >= 1")
        need(*MODULES)
        self._threads = threads
        self._cache = Cache(cache)

    def rate(self, clips: Sequence[np.ndarray], rate_hz: int) -> list[Rating]:
        """Return the rating of every clip, mono float [samples].

        Raises:
            ValueError: a clip is no one-dimensional audio.
        """
        sounds = [levelled(clip, rate_hz) for clip in clips]
        return [Rating(**found) for found in self._cache.judged(sounds, self._rate)]

    @cached_property
    def _model(self) -> Any:
        onnxruntime, dnsmos = imported("onnxruntime"), imported("speechmos.dnsmos")
        place = Path(str(dnsmos.__file__)).parent / "dnsmos_models"
        paths = [str(place / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
        model = dnsmos.DNSMOS(*paths)
        # Its own sessions take, and spin on, every core.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = self._threads
        model.onnx_sess, model.p808_onnx_sess = (
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for path in paths
        )
        return model

    def _rate(self, sound: np.ndarray) -> dict[str, float]:
        scores = self._model(sound, RATE_HZ, False)
        return asdict(Rating(**{name: float(scores[f"{name}_mos"]) for name in SCALES}))
