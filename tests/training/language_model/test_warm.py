"""A start from a language model that speaks another codec's codes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from services.generator.model import weights
from services.generator.model.csm import Csm
from services.tokenizer.codec.random import create
from tests.training.language_model.voice import CODEBOOK_SIZE, CODEBOOKS, codes_of
from tests.training.tiny import CODEC
from training.corpus.store import Corpus
from training.language_model import shape
from training.language_model.run import trained_model
from training.language_model.settings import TrainingSettings
from training.language_model.shape import Stack
from training.language_model.train import train
from training.language_model.warm import shares, told_by_both, warmed

TINY = {"tiny": (Stack(2, 2, 1, 64, 128), Stack(1, 1, 1, 32, 64))}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "SIZES", TINY)


def source() -> Csm:
    config = shape.build("tiny", num_codebooks=CODEBOOKS, codebook_size=CODEBOOK_SIZE)
    return weights.create(config, seed=5)


def renamed(codes: torch.Tensor, names: list[torch.Tensor]) -> torch.Tensor:
    """Codes int64 [..., codebooks] by other numbers; the end stays the end."""
    return torch.stack([name[codes[..., book]] for book, name in enumerate(names)], dim=-1)


def test_shares_are_of_the_frames_with_a_code() -> None:
    found = shares(torch.tensor([1, 1, 2, 0]), torch.tensor([2, 2, 2, 0]), 4)
    assert torch.allclose(found.sum(1), torch.ones(4))
    assert found[0].tolist() == [1, 0, 0, 0]
    assert found[2, 1].item() == pytest.approx(2 / 3)
    # In no frame: as all frames are.
    assert found[3].tolist() == [0.25, 0.5, 0.25, 0]


def test_what_has_other_numbers_only_is_read_and_said_alike() -> None:
    model = source()
    chance = torch.Generator().manual_seed(1)
    names = [torch.randperm(CODEBOOK_SIZE, generator=chance) for _ in range(CODEBOOKS)]
    # No audio has the end's code.
    names[0] = torch.cat([torch.zeros(1).long(), 1 + names[0].argsort()[:-1].argsort()])
    theirs = torch.randint(1, CODEBOOK_SIZE, (4000, CODEBOOKS), generator=chance)
    theirs[:, 1:] -= torch.randint(0, 2, (4000, CODEBOOKS - 1), generator=chance)
    ours = renamed(theirs, names)
    found = warmed(model, model.config, theirs, ours)
    spoken = theirs[:6].view(1, 6, CODEBOOKS)
    padded = torch.cat([spoken, torch.full((1, 6, 1), -1)], dim=-1)
    again = torch.cat([renamed(spoken, names), torch.full((1, 6, 1), -1)], dim=-1)
    with torch.no_grad():
        expected = model.hidden_states(padded)
        got = found.hidden_states(again)
        torch.testing.assert_close(got, expected)
        assert not torch.allclose(model.hidden_states(again), expected)
        first, other = model.lm_head(expected), found.lm_head(got)
        depth = model.depth_logits(expected[0], spoken[0])
        otherwise = found.depth_logits(got[0], renamed(spoken[0], names))
    torch.testing.assert_close(other[..., names[0]], first[..., :CODEBOOK_SIZE])
    for book in range(1, CODEBOOKS):
        torch.testing.assert_close(
            otherwise[:, book - 1, names[book]], depth[:, book - 1, :CODEBOOK_SIZE]
        )


def test_another_shape_is_refused() -> None:
    model = source()
    other = replace(model.config, codebook_size=8, audio_vocab_size=11)
    codes = torch.zeros(1, CODEBOOKS, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"audio_vocab_size is 11; allowed: 19"):
        warmed(model, other, codes, codes)


def test_a_part_of_each_speaker_and_the_validation_are_told_by_both(work: Path) -> None:
    mimi = create(CODEC, seed=1)
    table = np.concatenate([codes_of(work, split)[0] for split in ("train", "validation")])

    def encoded(codec: Any, corpus: Corpus) -> list[np.ndarray]:
        assert codec is mimi
        return [np.full((-(-u.samples // 1920), CODEBOOKS), u.speaker) for u in corpus.utterances]

    theirs, ours = told_by_both(work, mimi, encoded)
    assert theirs.shape == ours.shape == (len(table), CODEBOOKS)
    assert theirs.unique().tolist() == [0, 1]
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, table.astype(int).tolist()))
    with pytest.raises(ValueError, match="codes of shape"):
        told_by_both(work, mimi, lambda codec, corpus: [np.zeros((1, 2))])


def test_a_training_begins_there_and_goes_on_from_its_checkpoint(
    work: Path, tokenizer: Tokenizer, settings: TrainingSettings
) -> None:
    model, calls = source(), []

    def start(config: Any) -> Csm:
        calls.append(config)
        return source()

    still = replace(settings, matrix_rate=0.0, other_rate=0.0, weight_decay=0.0)
    for steps in (1, 2):
        train(
            work, tokenizer=tokenizer, steps=steps, size="tiny", codebook_size=CODEBOOK_SIZE,
            settings=still, start=start,
        )  # fmt: skip
    assert calls == [model.config]
    kept = trained_model(work).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
