"""The corpus on disk."""

from pathlib import Path

import numpy as np
import pytest

from training.corpus.store import Corpus, PartWriter, Phone


def test_what_is_written_is_read(tmp_path: Path) -> None:
    first = np.arange(-50, 50, dtype=np.int16)
    second = np.array([7, -32768, 32767], dtype=np.int16)
    phones = (Phone(0, 40, -1, -1), Phone(3, 100, 0, 4))
    writer = PartWriter(tmp_path, "train-heart-000")
    writer.add("a café", 0, first, phones)
    writer.add("b", 2, second, ())
    writer.close(whole=True)
    corpus = Corpus.open(tmp_path, "train")
    assert [u.text for u in corpus.utterances] == ["a café", "b"]
    assert corpus.utterances[0].phones == phones
    assert corpus.utterances[1].speaker == 2
    np.testing.assert_array_equal(corpus.audio(0), first)
    np.testing.assert_array_equal(corpus.audio(1), second)
    assert corpus.seconds == pytest.approx(103 / 24000)


def test_a_part_that_was_cut_short_does_not_count(tmp_path: Path) -> None:
    for name, whole in (("train-heart-000", True), ("train-michael-000", False)):
        writer = PartWriter(tmp_path, name)
        writer.add(name, 0, np.ones(10, dtype=np.int16), ())
        writer.close(whole=whole)
    assert [u.text for u in Corpus.open(tmp_path, "train").utterances] == ["train-heart-000"]


def test_a_part_written_again_replaces_the_old_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        writer = PartWriter(tmp_path, "train-heart-000")
        writer.add(text, 0, np.ones(10, dtype=np.int16), ())
        writer.close(whole=True)
    corpus = Corpus.open(tmp_path, "train")
    assert [u.text for u in corpus.utterances] == ["new"]
    assert len(corpus.audio(0)) == 10


def test_wrong_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split is 'test'; allowed: train, validation, held_out"):
        Corpus.open(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match=r"training\.corpus"):
        Corpus.open(tmp_path, "train")
    writer = PartWriter(tmp_path, "train-heart-000")
    with pytest.raises(ValueError, match="audio is float32"):
        writer.add("a", 0, np.ones(10, dtype=np.float32), ())  # type: ignore[arg-type]
