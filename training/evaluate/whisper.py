"""What Whisper base hears: beam of 5, int8, no voice activity detection, no sampling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluate import whisper_weights
from training.evaluate.cache import Cache
from training.evaluate.level import RATE_HZ, levelled
from training.evaluate.packages import imported, need

MODULES = ("faster_whisper", "whisper_normalizer", *whisper_weights.PACKAGES)
_BEAM = 5
# Whisper drops a word that begins with the clip: 0.2 s of silence before, 0.5 s after.
_BEFORE, _AFTER = RATE_HZ // 5, RATE_HZ // 2


class Whisper:
    """Whisper base for English; the same clip gives the same text, whatever stands beside it."""

    def __init__(
        self, weights: Path, *, cache: Path | None = None, threads: int = 1
    ) -> None:  # fmt: skip
        """Nothing is loaded yet.

        Args:
            weights: where the model is put together (145 MB).
            cache: a JSON file of the texts by clip; None: only in memory.
            threads: of the processor.

        Raises:
            ValueError: `threads` is below 1, or a package is missing.
        """
        if threads < 1:
            raise ValueError(f"threads: {threads} is not allowed, must be >= 1")
        need(*MODULES)
        self._weights, self._threads = weights, threads
        self._cache = Cache(cache)

    def transcribe(self, clips: Sequence[np.ndarray], rate_hz: int) -> list[str]:
        """Return the text heard in each clip, as Whisper writes it; empty where it hears none.

        `clips` are mono float [samples].

        Raises:
            ValueError: a clip is no one-dimensional audio; the weights are not those pinned.
        """
        return self._cache.judged([levelled(clip, rate_hz) for clip in clips], self._hear)

    @cached_property
    def _model(self) -> Any:
        faster_whisper = imported("faster_whisper")
        return faster_whisper.WhisperModel(
            str(whisper_weights.join(self._weights)),
            device="cpu",
            compute_type="int8",
            cpu_threads=self._threads,
        )

    def _hear(self, sound: np.ndarray) -> str:
        if not np.any(sound):
            # Of silence it invents polite phrases.
            return ""
        segments, _ = self._model.transcribe(
            np.pad(sound, (_BEFORE, _AFTER)),
            language="en",
            beam_size=_BEAM,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments)
