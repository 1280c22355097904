"""What the tests of the language model's stage share."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.training.language_model.voice import write_voice
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
