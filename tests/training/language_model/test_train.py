"""The stage end to end, on a small random voice."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from services.generator.model import weights
from services.generator.model.generate import generate
from services.generator.model.prompt import PromptSegment, prompt_frames
from services.generator.model.sampling import GREEDY
from services.generator.model.text import TextTokenizer
from tests.training.language_model.voice import write_voice
from training import checkpoint
from training.corpus.store import Corpus
from training.language_model import shape
from training.language_model.run import STAGE, Run, trained_model
from training.language_model.settings import TrainingSettings
from training.language_model.shape import Stack
from training.language_model.train import train
from training.pause import compact, expand

TINY = {"tiny": (Stack(2, 2, 1, 64, 128), Stack(1, 1, 1, 32, 64))}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tiny shape, and the signals' handlers as they were."""
    monkeypatch.setattr(shape, "SIZES", MappingProxyType({**shape.SIZES, **TINY}))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings, steps: int, **more: Any
) -> Run:
    return train(
        work,
        tokenizer=tokenizer,
        steps=steps,
        size="tiny",
        codebook_size=16,
        settings=settings,
        **more,
    )


def lines(work: Path) -> list[dict[str, float]]:
    text = (work / "logs" / f"{STAGE}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_it_learns_to_speak_and_to_end(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    # Far larger rates than a real model bears: this one is tiny.
    calm = replace(settings, average_decay=0.8, matrix_rate=0.02, other_rate=0.02)
    run(work, tokenizer, calm, 1)
    before = lines(work)[-1]
    run(work, tokenizer, calm, 120)
    after = lines(work)[-1]
    assert before["validation_first"] > 2.5
    assert after["validation_first"] < 0.75 * before["validation_first"]
    assert after["context_first"] < 0.75 * before["context_first"]
    assert after["validation_phones"] < 0.75 * before["validation_phones"]
    assert after["validation_guidance"] < 0.7 * before["validation_guidance"]
    assert after["validation_depth"] < 0.75 * before["validation_depth"]
    assert (work / "curves" / f"{STAGE}.png").stat().st_size > 1000

    model = trained_model(work)
    said = Corpus.open(work / "corpus", "train").utterances[0]
    prompt = prompt_frames(
        [PromptSegment(said.speaker, said.text)], TextTokenizer(tokenizer, shape.TOKEN_IDS), 3
    )
    with torch.inference_mode():
        codes = generate(model, prompt, GREEDY, 200)
    assert 2 <= len(codes) < 100
    assert int(codes.max()) < 16
    # What comes out is a model directory's model.
    weights.save(model, work / "voice")
    again = weights.load(work / "voice")
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings, tmp_path: Path
) -> None:
    whole = run(work, tokenizer, settings, 14)
    path = checkpoint.path_of(work, STAGE)
    path.rename(tmp_path / "whole.pt")

    def interrupt(step: int) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run(work, tokenizer, settings, 14, on_step=interrupt)
    assert stopped.step == 5
    assert path.is_file()
    resumed = run(work, tokenizer, settings, 14)
    assert resumed.step == 14
    assert (resumed.epoch, resumed.batch) == (whole.epoch, whole.batch)
    assert whole.epoch > 0
    for name, tensor in whole.objective.state_dict().items():
        assert torch.equal(tensor, resumed.objective.state_dict()[name]), name
    for name, tensor in whole.average.state_dict().items():
        assert torch.equal(tensor, resumed.average.state_dict()[name]), name


@pytest.mark.slow
def test_minutes_count_all_runs_together(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    def again(minutes: float) -> Run:
        return train(
            work,
            tokenizer=tokenizer,
            minutes=minutes,
            size="tiny",
            codebook_size=16,
            settings=settings,
        )

    first = again(1 / 60)
    assert first.seconds >= 1.0
    assert again(1 / 60).step == first.step
    longer = first.seconds + 0.5
    more = again(longer / 60)
    assert more.step > first.step
    assert more.seconds >= longer


def test_a_grown_corpus_begins_a_new_epoch(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    before = run(work, tokenizer, settings, 2)
    assert (before.epoch, before.batch) == (0, 2)
    write_voice(work, {"train": 30, "validation": 4}, seed=1)
    after = run(work, tokenizer, settings, 4)
    assert (after.epoch, after.batch) == (1, 2)


@pytest.mark.slow
def test_a_checkpoint_without_the_optimizer_warms_up_again(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    run(work, tokenizer, settings, 3)
    path = checkpoint.path_of(work, STAGE)
    state = checkpoint.load(path)
    assert state is not None
    checkpoint.save(path, expand(STAGE, compact(STAGE, state)))
    resumed = run(work, tokenizer, settings, 5)
    assert (resumed.step, resumed.warm_from) == (5, 3)
    assert run(work, tokenizer, settings, 6).warm_from == 3


def test_the_heads_of_all_codebooks_learn_alike(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    trained = run(work, tokenizer, settings, 4)
    learnt, begun = trained.objective.model, weights.create(trained.config, seed=0)
    first = (learnt.lm_head.weight - begun.lm_head.weight).abs().mean()
    # Of three dimensions: as one matrix, each codebook's head a row, they would hardly move.
    for head, before in zip(learnt.depth.heads, begun.depth.heads, strict=True):
        assert (head - before).abs().mean() > first / 4


def test_a_checkpoint_of_another_model_or_seed_is_refused(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    run(work, tokenizer, settings, 1)
    with pytest.raises(ValueError, match="seed: 1 is not allowed, must be 0"):
        run(work, tokenizer, settings, 2, seed=1)
    with pytest.raises(ValueError, match="trained in another shape"):
        train(work, tokenizer=tokenizer, steps=2, codebook_size=16, settings=settings)


def test_codes_beyond_the_codec_are_refused(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    with pytest.raises(ValueError, match="codebook_size: 8 is not allowed, code 15"):
        train(work, tokenizer=tokenizer, steps=2, codebook_size=8, settings=settings)


@pytest.mark.parametrize("length", [{}, {"minutes": 1.0, "steps": 1}, {"steps": 0}])
def test_the_length_is_one_positive_number(
    work: Path, tokenizer: Tokenizer, length: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        train(work, tokenizer=tokenizer, **length)  # type: ignore[arg-type]


def test_steps_without_a_finite_gradient_change_nothing(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    broken = replace(settings, depth_weight=float("1e300"))
    run(work, tokenizer, settings, 1)
    state = checkpoint.load(checkpoint.path_of(work, STAGE))
    with pytest.raises(FloatingPointError, match="lower the learning rates"):
        run(work, tokenizer, broken, 100)
    again = Run(
        shape.build("tiny", num_codebooks=3, codebook_size=16),
        broken,
        device=torch.device("cpu"),
        seed=0,
    )
    assert again.resume(checkpoint.path_of(work, STAGE), 48)
    assert state is not None
    name = "model.lm_head.weight"
    assert np.array_equal(again.objective.state_dict()[name], state["objective"][name])


def test_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"language_model\.pt: no such file"):
        trained_model(tmp_path)
