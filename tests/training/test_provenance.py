"""What a voice says it was made of."""

from pathlib import Path

import numpy as np
import pytest

from training import checkpoint, provenance
from training.corpus.store import SAMPLE_RATE_HZ, PartWriter


def test_hours_and_stages_are_those_of_the_work_directory(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path / "corpus", "train-michael-000")
    for seconds in (1800, 900):
        writer.add("a.", 1, np.ones(seconds * SAMPLE_RATE_HZ, np.int16), ())
    writer.close(whole=True)
    state = {"seconds": 100.0, "step": 7, "average": {}}
    checkpoint.save(checkpoint.path_of(tmp_path, "codec"), state)
    provenance.write(tmp_path, tmp_path)
    assert provenance.read(tmp_path) == {
        "corpus": {
            "utterances": 2,
            "hours": 0.8,
            "hours_by_speaker": {"heart": 0.0, "michael": 0.8, "emma": 0.0, "fable": 0.0},
        },
        "stages": {"codec": {"minutes": 2, "steps": 7}},
    }


def test_a_directory_without_it_says_nothing(tmp_path: Path) -> None:
    assert provenance.read(tmp_path) is None


def test_a_work_directory_without_a_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no whole part of train"):
        provenance.describe(tmp_path)
