"""What the codec's trainings run in."""

from pathlib import Path

import pytest

from tests.training.codec.test_training import CONFIG, SETTINGS
from tests.training.conftest import write_part
from training.codec import loop, train
from training.corpus.store import Corpus


def run(work: Path, monkeypatch: pytest.MonkeyPatch, at_first_log: object) -> None:
    """Three steps with a checkpoint after each; `at_first_log` is called after the first."""
    log, calls = loop.Watch.log, []

    def logged(self: loop.Watch, step: int, seconds: float, **scalars: float) -> None:
        log(self, step, seconds, **scalars)
        if not calls and callable(at_first_log):
            at_first_log()
        calls.append(step)

    monkeypatch.setattr(loop.Watch, "log", logged)
    train.train(work, CONFIG, SETTINGS, most_steps=3, log_every=1, save_every_s=0.0)


def test_a_corpus_that_grows_is_read_anew(
    work_of_tones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    original = Corpus.open.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Corpus], directory: Path, split: str) -> Corpus:
        corpus: Corpus = original(cls, directory, split)
        if split == "train":
            opened.append(len(corpus))
        return corpus

    monkeypatch.setattr(loop.Corpus, "open", classmethod(counted))
    run(work_of_tones, monkeypatch, lambda: write_part(work_of_tones / "corpus", "train", 2, 3))
    assert opened == [12, 15]


def test_a_part_that_cannot_be_read_ends_no_training(
    work_of_tones: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil() -> None:
        place = work_of_tones / "corpus"
        (place / "train-emma-000.jsonl").write_text("[1]\n")
        (place / "train-emma-000.s16").write_bytes(b"")
        (place / "train-emma-000.done").write_text("1")

    run(work_of_tones, monkeypatch, spoil)
    assert "goes on with the parts it had" in capsys.readouterr().out
