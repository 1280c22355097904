"""The listener: what it hears, and what it says of the decoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.codec.test_training import POLISH, trained
from training import checkpoint
from training.codec import listener, polish, polisher, train
from training.codec.data import Crops
from training.codec.listener import Listener, apart, steps_of
from training.corpus.store import Corpus

SETTINGS = listener.Settings(minutes=60, rows=4, frames=4, warmup_steps=2)


def test_a_step_has_the_phone_at_the_middle_of_what_it_hears() -> None:
    model = Listener()
    quiet = torch.zeros(1, 16 * 480)
    steps = model(model.bands(quiet)).phones.shape[1]
    # The label of sample s is s: each step's label says where it is taken to be.
    found = steps_of(torch.arange(len(quiet[0]))[None], steps, 4)[0]
    for sample in range(1000, 6000, 333):
        clicked = quiet.clone()
        clicked[0, sample] = 0.5
        moved = (model.first(model.bands(clicked)) - model.first(model.bands(quiet))).norm(dim=1)[0]
        # The centre of what the click moves lies where the click is.
        centre = float(((moved * found).sum() / moved.sum()).detach())
        assert abs(centre - sample) < 100


@pytest.mark.slow
def test_it_learns_phones_and_speakers(work_of_tones: Path) -> None:
    trained(work_of_tones, 1)
    held = Crops(
        Corpus.open(work_of_tones / "corpus", "validation"), frames=4, frame_samples=1920, seed=0
    )
    before = listener.ListenerTrainer(1920, SETTINGS, "cpu").validate(held, batches=2)
    listener.train(work_of_tones, SETTINGS, most_steps=40)
    trainer = listener.ListenerTrainer(1920, SETTINGS, "cpu")
    state = checkpoint.load(checkpoint.path_of(work_of_tones, listener.STAGE))
    assert state is not None
    trainer.restore(state)
    after = trainer.validate(held, batches=2)
    assert after["held_right"] > 0.85 > before["held_right"]
    assert after["held_speaker"] < 0.3 * before["held_speaker"]


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(work_of_tones: Path) -> None:
    trained(work_of_tones, 1)
    settings = replace(SETTINGS, minutes=1e9)
    whole = listener.train(work_of_tones, settings, most_steps=6).state_dict()
    checkpoint.path_of(work_of_tones, listener.STAGE).unlink()
    listener.train(work_of_tones, settings, most_steps=2)
    resumed = listener.train(work_of_tones, settings, most_steps=6).state_dict()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


def test_the_same_sounds_alike_and_noise_does_not() -> None:
    torch.manual_seed(0)
    model = Listener()
    audio = torch.randn(2, 7680) * 0.1
    heard = model(model.bands(audio))
    assert abs(float(apart(heard, heard).detach())) < 1e-6
    near, far = (
        float(apart(model(model.bands(audio + size * torch.randn_like(audio))), heard).detach())
        for size in (0.005, 0.1)
    )
    assert 0 < near < far


@pytest.mark.slow
def test_polishing_minds_a_listener_where_there_is_one(work_of_tones: Path) -> None:
    trained(work_of_tones, 8)
    settings = replace(POLISH, adversary_steps=0)

    polish.polish(work_of_tones, settings, most_steps=4, log_every=1)
    deaf = polish.polished_codec(work_of_tones).state_dict()
    checkpoint.path_of(work_of_tones, polisher.STAGE).unlink()
    polish.polish(work_of_tones, settings, most_steps=4, log_every=1)
    again = polish.polished_codec(work_of_tones).state_dict()
    assert all(torch.equal(deaf[name], again[name]) for name in deaf)
    checkpoint.path_of(work_of_tones, polisher.STAGE).unlink()
    listener.train(work_of_tones, SETTINGS, most_steps=5)
    polish.polish(work_of_tones, settings, most_steps=4, log_every=1)
    minding = polish.polished_codec(work_of_tones).state_dict()
    assert any(not torch.equal(deaf[name], minding[name]) for name in deaf)
    log = (work_of_tones / "logs" / "polish.jsonl").read_text()
    assert '"apart"' in log


@pytest.mark.slow
def test_the_listener_makes_the_decoder_sound_more_alike(work_of_tones: Path) -> None:
    trained(work_of_tones, 8)
    codec = train.trained_codec(work_of_tones)
    model = listener.train(work_of_tones, SETTINGS, most_steps=30).eval().requires_grad_(False)
    corpus = Corpus.open(work_of_tones / "corpus", "train")
    crops = Crops(corpus, frames=4, frame_samples=1920, seed=0)
    settings = replace(
        POLISH, adversary_steps=0, told=0.0, matching=0.0, mel=0.0, magnitude=0.0, whole=0.0,
        rows=4,
    )  # fmt: skip

    def last(apart: float) -> float:
        trainer = polisher.PolishTrainer(codec, replace(settings, apart=apart), "cpu", None, model)
        return float(np.mean([trainer.step(crops)["apart"] for _ in range(30)][-5:]))

    assert last(apart=50.0) < 0.9 * last(apart=1e-6)
