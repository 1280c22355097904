"""What the tests of the language model's stage share."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from services.generator.model import weights
from services.generator.model.csm import Csm
from tests.training.language_model.voice import write_voice
from training.language_model import shape
from training.language_model.settings import TrainingSettings
from training.tokenizer import build_tokenizer


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_voice(tmp_path, {"train": 24, "validation": 4})
    return tmp_path


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return build_tokenizer()


@pytest.fixture
def settings() -> TrainingSettings:
    return TrainingSettings(positions_per_batch=400, max_positions=200, warmup_steps=5)


@pytest.fixture(scope="module")
def model() -> Csm:
    """Random weights; of three codebooks of 16 codes."""
    config = shape.build("small", num_codebooks=3, codebook_size=16)
    return weights.create(config, seed=1).requires_grad_(True)
