"""A corpus that travels."""

from pathlib import Path

import numpy as np
import pytest

from training.codec.pack import pack, unpack
from training.corpus.store import Corpus, part_names


def test_what_was_packed_is_a_corpus_again(work_of_tones: Path) -> None:
    size = pack(work_of_tones / "corpus", work_of_tones / "travel", minutes=1.0)
    names = unpack(work_of_tones / "travel", work_of_tones / "there")
    assert 0 < size < 0.5 * sum(p.stat().st_size for p in (work_of_tones / "corpus").iterdir())
    for split in ("train", "validation"):
        before, after = (Corpus.open(work_of_tones / p, split) for p in ("corpus", "there"))
        assert after.utterances == before.utterances
        assert set(part_names(work_of_tones / "there", split)) <= set(names)
        for index in range(len(before)):
            was, now = (c.audio(index).astype(float) for c in (before, after))
            assert np.corrcoef(was, now)[0, 1] > 0.98


def test_no_more_than_asked_for_is_taken(work_of_tones: Path) -> None:
    pack(work_of_tones / "corpus", work_of_tones / "travel", minutes=0.03)
    unpack(work_of_tones / "travel", work_of_tones / "there")
    taken = Corpus.open(work_of_tones / "there", "train").utterances
    # 1.8 s: one utterance of a second and a bit, and the one that goes beyond.
    assert sorted(u.speaker for u in taken) == [0, 0, 1, 1]


def test_what_cannot_travel_is_named(work_of_tones: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="minutes: 0"):
        pack(work_of_tones / "corpus", tmp_path / "travel", minutes=0)
    with pytest.raises(FileNotFoundError, match="no whole part of train"):
        pack(tmp_path / "none", tmp_path / "travel", minutes=1)
    with pytest.raises(FileNotFoundError, match="no packed part"):
        unpack(tmp_path / "nothing", tmp_path / "there")
