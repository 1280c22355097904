"""What a voice was made of: hours of speech and of training, read from the work directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training import checkpoint
from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, Corpus

FILE = "training.json"
"""Where a model directory keeps it."""
STAGES = ("codec", "language_model", "listener", "polish")


def describe(work: Path) -> dict[str, Any]:
    """Return what is in `work`, as values that JSON knows.

    `corpus`: utterances of the training split, hours of all and by speaker. `stages`: minutes of
    training and steps of each stage that has a checkpoint.

    Raises:
        FileNotFoundError: there is no training split.
    """
    corpus = Corpus.open(work / "corpus", "train")
    seconds = dict.fromkeys(SPEAKERS, 0.0)
    for utterance in corpus.utterances:
        seconds[SPEAKERS[utterance.speaker]] += utterance.samples / SAMPLE_RATE_HZ
    stages = {}
    for stage in STAGES:
        state = checkpoint.load(checkpoint.path_of(work, stage))
        if state is not None:
            stages[stage] = {"minutes": round(state["seconds"] / 60), "steps": state["step"]}
    return {
        "corpus": {
            "utterances": len(corpus),
            "hours": round(corpus.seconds / 3600, 1),
            "hours_by_speaker": {name: round(s / 3600, 1) for name, s in seconds.items()},
        },
        "stages": stages,
    }


def write(work: Path, directory: Path) -> None:
    """Write what `describe` says into a model directory."""
    text = json.dumps(describe(work), indent=2)
    (directory / FILE).write_text(text + "\n", encoding="utf-8")


def read(directory: Path) -> dict[str, Any] | None:
    """Return what a model directory says of itself; None where it says nothing."""
    path = directory / FILE
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
