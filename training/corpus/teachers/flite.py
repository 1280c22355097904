"""flite's voices at 16 kHz, through its library: the program tells no timings.

Debian packages: `flite` brings libflite and the voices `cmu_us_rms`, `cmu_us_awb`, `cmu_us_kal16`
(statistical-parametric but for the last, which joins diphones). Black & Lenzo, "Flite: a small fast
run-time synthesis engine", 2001.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np

from training.corpus.teachers.speech import Speech, SpokenPhone, TeacherError

# libflite.so.1 is the ABI of flite 2.x.
_LIBRARY = "lib{name}.so.1"


class _Wave(ctypes.Structure):
    """`cst_wave` of flite's cst_wave.h."""

    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


def _load(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(_LIBRARY.format(name=name), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise TeacherError(f"lib{name} is not installed: apt-get install flite") from error


def _declare(library: ctypes.CDLL) -> None:
    pointer, string = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("flite_synth_text", pointer, [string, pointer]),
        ("utt_relation", pointer, [pointer, string]),
        ("utt_wave", pointer, [pointer]),
        ("relation_head", pointer, [pointer]),
        ("item_next", pointer, [pointer]),
        ("item_parent", pointer, [pointer]),
        ("item_as", pointer, [pointer, string]),
        ("item_feat_string", string, [pointer, string]),
        ("item_feat_float", ctypes.c_float, [pointer, string]),
        ("delete_utterance", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


class Flite:
    """One voice of flite."""

    def __init__(self, voice: str) -> None:
        """Load `voice`, such as "cmu_us_rms".

        Raises:
            TeacherError: flite or the voice is not installed.
        """
        self._flite = _load("flite")
        for name in ("flite_usenglish", "flite_cmulex"):
            _load(name)
        _declare(self._flite)
        self._flite.flite_init()
        register = getattr(_load(f"flite_{voice}"), f"register_{voice}")
        register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        self._voice = register(None)

    def speak(self, texts: list[str]) -> Iterator[Speech]:
        """Speak each of `texts`."""
        for text in texts:
            yield self._speak(text)

    def _speak(self, text: str) -> Speech:
        flite = self._flite
        utterance = flite.flite_synth_text(text.encode("ascii", "ignore"), self._voice)
        if not utterance:
            raise TeacherError("flite made nothing of the text")
        try:
            wave = ctypes.cast(flite.utt_wave(utterance), ctypes.POINTER(_Wave)).contents
            audio = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.int16)
            phones = []
            item = flite.relation_head(flite.utt_relation(utterance, b"Segment"))
            while item:
                name = flite.item_feat_string(item, b"name").decode()
                end_s = flite.item_feat_float(item, b"end")
                phones.append(SpokenPhone(name, end_s, self._token(item)))
                item = flite.item_next(item)
            return Speech(audio, wave.sample_rate, tuple(phones))
        finally:
            flite.delete_utterance(utterance)

    def _token(self, segment: int) -> str:
        """The token (word as written) that a segment belongs to; empty for a pause."""
        flite = self._flite
        item = flite.item_as(segment, b"SylStructure")
        for _ in range(2):  # segment to syllable to word
            item = flite.item_parent(item) if item else None
        item = flite.item_as(item, b"Token") if item else None
        item = flite.item_parent(item) if item else None
        return flite.item_feat_string(item, b"name").decode() if item else ""
