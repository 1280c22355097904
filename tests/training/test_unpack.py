"""A voice becomes checkpoints again."""

import json
from pathlib import Path

import pytest
import torch

from services.generator.model import weights
from services.tokenizer import codec as codecs
from services.tokenizer.codec.random import create
from tests.training.tiny import CODEC, small
from training import checkpoint, provenance
from training.codec.train import CodecTrainer, Settings, trained_codec
from training.export import export
from training.language_model.run import Run, trained_model
from training.language_model.settings import TrainingSettings
from training.unpack import unpack

MADE_OF = {
    "corpus": {"utterances": 48},
    "stages": {
        "codec": {"minutes": 9, "steps": 900},
        "language_model": {"minutes": 5, "steps": 70},
    },
}


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    directory = export(create(CODEC, seed=2).requires_grad_(False), small(), tmp_path / "voice")
    (directory / provenance.FILE).write_text(json.dumps(MADE_OF))
    return directory


def test_both_trainings_take_it_up_where_it_was(voice: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    codec_path, model_path = unpack(voice, work)
    codes = torch.randint(1, CODEC.codebook_size, (1, 3, 6))
    assert torch.equal(trained_codec(work).decode(codes), codecs.load(voice).decode(codes))
    frames = torch.randint(1, 16, (1, 5, 4))
    assert torch.equal(
        trained_model(work).hidden_states(frames), weights.load(voice).hidden_states(frames)
    )
    trainer = CodecTrainer(CODEC, Settings(), "cpu")
    state = checkpoint.load(codec_path)
    assert state is not None
    trainer.restore(state)
    assert (trainer.step_number, trainer.seconds, trainer.quantized) == (900, 540.0, True)
    run = Run(small().config, TrainingSettings(), device=torch.device("cpu"), seed=0)
    assert run.resume(model_path, 48)
    assert (run.step, run.warm_from, run.seconds) == (70, 70, 300.0)


def test_a_checkpoint_that_is_there_stays(voice: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    checkpoint.save(checkpoint.path_of(work, "language_model"), {"mine": 1})
    with pytest.raises(FileExistsError, match=r"language_model\.pt: is there already"):
        unpack(voice, work)
    assert checkpoint.load(checkpoint.path_of(work, "language_model")) == {"mine": 1}
    assert not checkpoint.path_of(work, "codec").exists()


def test_a_voice_that_does_not_say_what_it_was_made_of_is_refused(
    voice: Path, tmp_path: Path
) -> None:
    (voice / provenance.FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"training\.json: no such file"):
        unpack(voice, tmp_path / "work")
