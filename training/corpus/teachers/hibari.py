"""hibari: one voice of Kokoro-82M distilled into 8 MB, 50 times faster than real time and more.

The package `hibari-tts` (Apache-2.0, by Maureese Williams) has the voice `heart`, and the phonemes
that Kokoro's other voices speak as well.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from training.corpus.teachers.signs import Sign, spell, timed
from training.corpus.teachers.speech import Speech, TeacherError

RATE_HZ = 24000
# Frames of 300 samples come in pairs.
_UNIT_S = 600 / RATE_HZ
_LENGTHS = "/Clip_output_0"
MAX_SIGNS = 400


@cache
def phonemizer(*, british: bool) -> Any:
    """hibari's own reader of texts. Raises `TeacherError` where it is not installed."""
    try:
        from hibari.g2p import G2P
    except ImportError:
        raise TeacherError("hibari-tts is not installed: pip install -e '.[teachers]'") from None
    return G2P(british=british)


@cache
def vocabulary() -> dict[str, int]:
    """The number of each sign, which is Kokoro's. Raises `TeacherError` as `phonemizer`."""
    phonemizer(british=False)
    import hibari

    path = Path(hibari.__file__).parent / "assets" / "vocab.json"
    numbers: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return numbers


def signs_of(text: str, *, british: bool) -> list[Sign]:
    """The signs of a normalised text, of which a teacher takes `MAX_SIGNS`.

    Raises:
        TeacherError: nothing can be spoken, or there are too many.
    """
    reader = phonemizer(british=british)
    tokens = reader.phonemize_tokens(reader.tokenize(text))
    known = vocabulary()
    signs = [
        one
        for one in spell([(t.text, t.phonemes or "", t.whitespace) for t in tokens])
        if one.sign in known
    ]
    if not 0 < len(signs) <= MAX_SIGNS:
        raise TeacherError(f"the text has {len(signs)} signs; allowed: 1 to {MAX_SIGNS}")
    return signs


class Hibari:
    """The voice `heart`: American, female."""

    def __init__(self, directory: Path) -> None:
        """`directory` keeps the model with one output more, the lengths of its signs.

        Raises:
            TeacherError: hibari or ONNX is not installed.
        """
        self._session, self._vocabulary = _model(directory)

    def speak(self, texts: list[str]) -> Iterator[Speech | TeacherError]:
        """Speak each of `texts`; in place of one that cannot be said stands why."""
        for text in texts:
            try:
                yield self._spoken(text)
            except TeacherError as error:
                yield error

    def _spoken(self, text: str) -> Speech:
        from hibari import dsp

        signs = signs_of(text, british=False)
        ids = [0, *(self._vocabulary[s.sign] for s in signs), 0]
        *spectrum, lengths = self._session.run(
            None,
            {"ids": np.asarray([ids], np.int64), "speed": np.ones(1, np.float32)},
        )
        # The noise in it is the text's own: the same sentence is the same audio.
        draw = np.random.default_rng(zlib.crc32(text.encode()))
        audio = dsp.synth(*(part[0] for part in spectrum), draw)
        lead_s, *inner_s, tail_s = (lengths.ravel() * _UNIT_S).tolist()
        return Speech(
            np.clip(np.round(audio * 32767.0), -32768, 32767).astype(np.int16),
            RATE_HZ,
            timed(signs, lead_s, inner_s, tail_s),
        )


def _model(directory: Path) -> tuple[Any, dict[str, int]]:
    try:
        import hibari
        import onnx
        import onnxruntime
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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session, vocabulary()
