"""A start from a codec that is there."""

from dataclasses import replace

import pytest
import torch

from services.tokenizer.codec.random import create
from tests.training.tiny import CODEC as CONFIG
from training.codec.train import CodecTrainer, Settings
from training.codec.warm import widened

AUDIO = 0.1 * torch.randn(2, 1, 4 * 1920, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("filters", [4, 6, 8])
def test_a_wider_codec_starts_as_the_one_it_comes_from(filters: int) -> None:
    source = create(CONFIG, seed=1)
    wide = widened(source, replace(CONFIG, num_filters=filters), seed=2)
    codes = source.encode(AUDIO)
    torch.testing.assert_close(wide.latents(AUDIO), source.latents(AUDIO), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(wide.decode(codes), source.decode(codes), rtol=1e-4, atol=1e-5)
    assert (wide.encode(AUDIO) == codes).float().mean() > 0.98


def test_new_channels_are_drawn_and_learn() -> None:
    wide = widened(create(CONFIG, seed=1), replace(CONFIG, num_filters=8), seed=2).train()
    wide.requires_grad_(True)
    heard = wide.synthesize(wide.latents(AUDIO))
    heard.square().mean().backward()
    last = wide.get_parameter(f"decoder.layers.{len(wide.decoder.layers) - 1}.weight")
    assert last.grad is not None
    assert (last.grad[..., 4:] != 0).any()


def test_codebooks_of_another_number_are_left_to_the_training() -> None:
    source = create(CONFIG, seed=1)
    wide = widened(source, replace(CONFIG, num_codebooks=4), seed=2)
    torch.testing.assert_close(wide.latents(AUDIO), source.latents(AUDIO))
    assert torch.equal(wide.quantizer.semantic.codebooks, source.quantizer.semantic.codebooks)
    assert wide.quantizer.acoustic.codebooks.shape[0] == 3


@pytest.mark.parametrize(("field", "value"), [("num_filters", 2), ("hidden_size", 32)])
def test_another_shape_is_refused(field: str, value: int) -> None:
    other = replace(CONFIG, **{field: value, "upsample_groups": 16})
    with pytest.raises(ValueError, match=f"{field} is {value}; allowed"):
        widened(create(CONFIG, seed=1), other, seed=2)


def test_a_training_starts_from_it_average_and_all() -> None:
    source = create(CONFIG, seed=1)
    trainer = CodecTrainer(CONFIG, Settings(), "cpu", source)
    codes = source.encode(AUDIO)
    for mimi in (trainer.model.mimi, trainer.average):
        with torch.no_grad():
            torch.testing.assert_close(mimi.decode(codes), source.decode(codes))
