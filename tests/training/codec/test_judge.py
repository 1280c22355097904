"""Listening to the codec in training."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from services.tokenizer.codec.random import create
from tests.training.tiny import CODEC as CONFIG
from training.codec import judge
from training.evaluate.dnsmos import Rating
from training.evaluate.words import Errors

AUDIO = 0.1 * np.random.default_rng(0).standard_normal(5000).astype(np.float32)


class Ear:
    """Hears "hello" where there is sound, and rates by the level."""

    def transcribe(self, clips: Sequence[np.ndarray], rate_hz: int) -> list[str]:
        return ["hello" if np.abs(clip).max() > 0.01 else "" for clip in clips]

    def rate(self, clips: Sequence[np.ndarray], rate_hz: int) -> list[Rating]:
        return [Rating(*[float(1 + np.abs(clip).max())] * 4) for clip in clips]


@pytest.fixture(autouse=True)
def _plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    # The normaliser is a package that only measuring has.
    def errors(written: str, heard: str) -> Errors:
        return Errors(1, deleted=int(written != heard))

    monkeypatch.setattr(judge.english, "errors", errors)


def test_clips_are_those_of_every_speaker(work_of_tones: Path) -> None:
    said = judge.sentences(work_of_tones, 2)
    assert [one.speaker for one in said] == [0, 0, 1, 1]
    assert {one.text for one in said} == {"hello"}
    assert all(np.abs(one.audio).max() <= 1 for one in said)
    with pytest.raises(ValueError, match="clips: 0"):
        judge.sentences(work_of_tones, 0)


def test_a_round_trip_is_as_long_as_it_was() -> None:
    mimi = create(CONFIG, seed=1)
    with_codes = judge.round_trip(mimi, AUDIO)
    without = judge.round_trip(mimi, AUDIO, quantized=False)
    assert with_codes.shape == without.shape == AUDIO.shape
    padded = mimi.pad(torch.from_numpy(AUDIO)[None, None])
    want = mimi.decode(mimi.encode(padded))[0, 0, :5000].detach().clip(-1, 1).numpy()
    assert np.allclose(with_codes, want, atol=1e-4)
    assert not np.allclose(with_codes, without)


def test_verdicts_are_by_speaker_and_over_all(work_of_tones: Path) -> None:
    said = judge.sentences(work_of_tones, 2)
    clips = [one.audio * (0 if n == 3 else 1) for n, one in enumerate(said)]
    found = judge.judge("codec", said, clips, Ear(), Ear())
    assert [(one.speaker, one.clips) for one in found] == [("heart", 2), ("michael", 2), ("all", 4)]
    assert [one.word_error_rate for one in found] == [0.0, 0.5, 0.25]
    assert found[1].ovrl_low == pytest.approx(1.0)
    assert found[0].ovrl == pytest.approx(1 + np.mean([np.abs(c).max() for c in clips[:2]]))
    assert "| codec, michael | 2 | 0.500 |" in judge.page(found)


def test_what_was_said_is_kept(work_of_tones: Path) -> None:
    said = judge.sentences(work_of_tones, 1)
    found = judge.judge("teacher", said, [one.audio for one in said], Ear(), Ear())
    judge._log(work_of_tones, {"step": 7, "minutes": 1.5}, found)
    lines = (work_of_tones / "logs" / "judge.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[0])["step"] == 7
    assert json.loads(lines[2])["speaker"] == "all"


def test_the_best_is_rated_highest_and_loses_few_words(work_of_tones: Path) -> None:
    said = judge.sentences(work_of_tones, 1)
    first = judge.judge("codec", said, [one.audio for one in said], Ear(), Ear())[-1]
    assert judge.is_best(work_of_tones, first)
    judge._log(work_of_tones, {}, [first])
    assert not judge.is_best(work_of_tones, first)
    better = replace(first, ovrl=first.ovrl + 0.1)
    assert judge.is_best(work_of_tones, better)
    assert judge.is_best(work_of_tones, replace(better, word_error_rate=0.01))
    assert not judge.is_best(work_of_tones, replace(better, word_error_rate=0.03))
    # Of other clips nothing is known.
    assert judge.is_best(work_of_tones, replace(first, clips=9))
