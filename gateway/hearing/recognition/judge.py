"""The judgement of one recording by pocketsphinx and its own model of US English.

The words are laid along the sound. Where that does not go, or goes badly, somebody else listens:
what a recogniser hears of its own accord is compared with them. Only where both disagree, and the
recording is clear, the words are wrong. The thresholds are those of `benchmarks.wrong_words`.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder, get_model_path

RATE_HZ = 16_000
MAX_S = 30.0
"""Longer recordings are not judged: their words cannot be compared in part."""
LEAST_KNOWN_WORDS = 4
LEAST_KNOWN = 0.8
"""Share of the words that the dictionary has: with fewer it is another language."""
LEAST_RANGE_DB = 27.0
"""Between the loud and the quiet of a recording; a noisier one cannot be judged."""
LEAST_TREBLE_DB = -55.0
"""Power above `_TREBLE_HZ` beside all of it: a telephone has none, and its words are misheard."""
_TREBLE_HZ = 4_500
LEAST_FIT = -28.0
"""Of words along their sound, a hop of ten milliseconds, in the unit of pocketsphinx times 1e4."""
LEAST_SHARED = 0.25
"""Of the letters of the words that a recogniser hears by itself."""

_PEAK = 16_384
_NOISE = 16.0
"""RMS of noise that is added, of 32768: digital silence upsets the recogniser."""
_HOP_SAMPLES = 160
_VARIANT = re.compile(r"\(\d+\)$")
_NO_WORD = "<[+"
"""Begins what is silence or noise."""
_WORD = re.compile(r"[a-z']*[a-z][a-z']*")


class Verdict(Enum):
    """What there is to say of a recording."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It cannot be judged: too long, noisy, of a telephone, too few words, another language."""


@dataclass(frozen=True)
class Heard:
    """Why a verdict is as it is."""

    verdict: Verdict
    fit: float | None = None
    """None: the words do not go along the sound at all."""
    shared: float | None = None
    """None: nobody listened by itself."""


class Judge:
    """Decoders, which take a second to load and some 60 MB."""

    def __init__(self) -> None:
        self._aligner = Decoder(lm=None, **_options())
        self._listener: Any = None

    def judge(self, samples: NDArray[np.float32], text: str) -> Heard:
        """Of mono samples [n] at 16 kHz, and their words in the spoken form."""
        words = _WORD.findall(text.lower().replace("\u2019", "'").replace("-", " "))
        known = [word for word in words if self._aligner.lookup_word(word) is not None]
        if (
            len(known) < LEAST_KNOWN_WORDS
            or len(known) < LEAST_KNOWN * len(words)
            or not 0 < len(samples) <= MAX_S * RATE_HZ
            or _range_db(samples) < LEAST_RANGE_DB
            or _treble_db(samples) < LEAST_TREBLE_DB
        ):
            return Heard(Verdict.UNKNOWN)
        pcm = _pcm(samples)
        fit = self._fit(pcm, known)
        if fit is not None and fit >= LEAST_FIT:
            return Heard(Verdict.RIGHT, fit)
        shared = _shared(known, self._listen(pcm))
        verdict = Verdict.WRONG if shared < LEAST_SHARED else Verdict.RIGHT
        return Heard(verdict, fit, shared)

    def aligned(
        self, samples: NDArray[np.float32], words: list[str]
    ) -> list[tuple[int, int]] | None:
        """When each word begins and ends, in milliseconds of mono samples at 16 kHz; None where
        the words do not go along the sound, or are not in the dictionary."""
        if any(self._aligner.lookup_word(word) is None for word in words):
            return None
        if self._fit(_pcm(samples), words) is None:
            return None
        found = [one for one in self._aligner.seg() if one.word[0] not in _NO_WORD]
        return [(one.start_frame * 10, (one.end_frame + 1) * 10) for one in found]

    def _fit(self, pcm: bytes, words: list[str]) -> float | None:
        """How well the words go along the sound, 0 at the best; None: not to its end."""
        self._aligner.set_align_text(" ".join(words))
        _run(self._aligner, pcm)
        found = self._aligner.hyp()
        if found is None or len(_words(self._aligner)) != len(words):
            return None
        return 1e4 * math.log(found.score) / (len(pcm) / 320)

    def _listen(self, pcm: bytes) -> list[str]:
        if self._listener is None:
            model = str(_model().with_name("en-us.lm.bin"))
            self._listener = Decoder(
                lm=model, fwdflat=False, bestpath=False, maxhmmpf=3000, maxwpf=10, **_options()
            )
        _run(self._listener, pcm)
        return _words(self._listener) if self._listener.hyp() is not None else []


def _model() -> Path:
    return Path(get_model_path()) / "en-us" / "en-us"


def _options() -> dict[str, Any]:
    model = _model()
    return {
        "hmm": str(model),
        "dict": str(model.with_name("cmudict-en-us.dict")),
        "cmn": "batch",
        "samprate": RATE_HZ,
        "loglevel": "FATAL",
    }


def _run(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, no_search=False, full_utt=True)
    decoder.end_utt()


def _words(decoder: Any) -> list[str]:
    """Without silences and noises."""
    return [_VARIANT.sub("", one.word) for one in decoder.seg() if one.word[0] not in _NO_WORD]


def _shared(words: list[str], heard: list[str]) -> float:
    """Share of the letters of `words` in words that are heard in their order."""
    blocks = difflib.SequenceMatcher(None, words, heard, autojunk=False).get_matching_blocks()
    same = sum(len(words[b.a + i]) for b in blocks for i in range(b.size))
    return same / sum(map(len, words))


def _range_db(samples: NDArray[np.float32]) -> float:
    """Between the loud and the quiet of it, in hops of ten milliseconds."""
    hops = len(samples) // _HOP_SAMPLES
    if not hops:
        return 0.0
    power = np.square(samples[: hops * _HOP_SAMPLES].reshape(hops, -1), dtype=np.float64).mean(1)
    quiet, loud = np.percentile(10 * np.log10(power + 1e-9), (10, 95))
    return float(loud - quiet)


def _treble_db(samples: NDArray[np.float32]) -> float:
    """Power above `_TREBLE_HZ` beside all of it."""
    power = np.square(np.abs(np.fft.rfft(samples)), dtype=np.float64)
    treble = power[int(len(power) * 2 * _TREBLE_HZ / RATE_HZ) :].sum()
    return float(10 * np.log10(treble / (power.sum() + 1e-12) + 1e-12))


def _pcm(samples: NDArray[np.float32]) -> bytes:
    """16-bit samples at a usual level, with a little noise, the same for the same samples."""
    noise = np.random.default_rng(0).normal(0.0, _NOISE, len(samples))
    peak = max(1e-6, float(np.abs(samples).max()))
    return bytes((samples * (_PEAK / peak) + noise).clip(-32768, 32767).astype("<i2").tobytes())
