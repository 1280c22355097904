"""hibari: one voice of Kokoro-82M distilled into 8 MB, 50 times faster than real time and more.

The package `hibari-tts` (Apache-2.0, by Maureese Williams) has the voice `heart`, and the phonemes
that Kokoro's other voices speak as well.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from training.corpus.teachers.phoneme_teacher import PhonemeTeacher, session_of
from training.corpus.teachers.speech import TeacherError

# In units of 600 samples: frames of 300 come in pairs.
_LENGTHS = "/Clip_output_0"


class Hibari(PhonemeTeacher):
    """The voice `heart`: American, female."""

    def __init__(self, directory: Path) -> None:
        """`directory` keeps the model with one output more, the lengths of its signs.

        Raises:
            TeacherError: hibari or ONNX is not installed.
        """
        super().__init__(british=False)
        self._session = _session(directory)

    def _sound(self, text: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from hibari import dsp

        *spectrum, lengths = self._session.run(None, {"ids": ids, "speed": np.ones(1, np.float32)})
        # The noise in it is the text's own: the same sentence is the same audio.
        draw = np.random.default_rng(zlib.crc32(text.encode()))
        return dsp.synth(*(part[0] for part in spectrum), draw), lengths


def _session(directory: Path) -> Any:
    try:
        import hibari
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise TeacherError(f"{error.name} is not installed: pip install -e '.[teachers]'") from None
    path = directory / "hibari.onnx"
    if not path.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        model = onnx.load(str(Path(hibari.__file__).parent / "assets" / "hibari.onnx"))
        lengths = onnx.helper.make_tensor_value_info(_LENGTHS, onnx.TensorProto.FLOAT, None)
        model.graph.output.append(lengths)
        part = path.with_suffix(".part")
        onnx.save(model, str(part))
        part.replace(path)
    return session_of(path)
