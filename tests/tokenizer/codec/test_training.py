"""What a training needs of the codec: gradients everywhere, and the same function."""

from __future__ import annotations

import copy

import pytest
import torch

from services.tokenizer.codec import create
from tests.tokenizer.codec.cases import BIASED, FIVE, FULL, NINE, noise, random_codes


@pytest.mark.parametrize("config", [FIVE, NINE, BIASED], ids=["five", "nine", "biased"])
def test_every_parameter_of_both_directions_gets_a_gradient(config):
    mimi = create(config)
    audio = noise(2, 12 * config.frame_samples)
    mimi.synthesize(mimi.latents(audio)).square().mean().backward()
    codes = mimi.encode(audio)
    mimi.decode(codes).square().mean().backward()
    for name, parameter in mimi.named_parameters():
        if not name.startswith("quantizer.") or "output_proj" in name:
            assert parameter.grad is not None, name
            if "qkv_proj.bias" not in name:  # a bias on keys shifts all scores alike
                assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "config",
    [FIVE, NINE, BIASED, pytest.param(FULL, marks=pytest.mark.slow)],
    ids=["five", "nine", "bias", "full"],
)
def test_the_differentiable_pass_equals_the_steps(config, make_codec):
    # In double: how float32 sums are rounded differs from processor to processor, and at full size
    # by more than what a wrong step would.
    mimi = copy.deepcopy(make_codec(config)).double()
    frames = config.sliding_window // config.resample_stride + 20
    codes = random_codes(config, 1, frames)
    with torch.enable_grad():
        whole = mimi.synthesize(mimi.quantizer.decode(codes))
    torch.testing.assert_close(mimi.decode(codes), whole, rtol=0, atol=1e-6)


def test_steps_and_encoding_leave_no_graph():
    mimi = create(FIVE)
    codes = mimi.encode(noise(1, 600))
    assert not mimi.decode_step(codes, mimi.decoder_state(1)).requires_grad
    assert mimi.decode(codes).requires_grad
    with torch.no_grad():
        assert not mimi.decode(codes).requires_grad


def test_changed_codebooks_are_used_at_once():
    mimi = create(FIVE)
    quantizer = mimi.quantizer.acoustic
    codes = torch.zeros(1, 3, 4, dtype=torch.int64)
    before = quantizer.decode(codes)
    quantizer.set_codebooks(quantizer.codebooks * 2)
    torch.testing.assert_close(quantizer.decode(codes), before * 2)


def test_a_codebook_is_its_sum_over_its_usage_and_unused_entries_stay_finite():
    quantizer = create(FIVE).quantizer.semantic
    quantizer.cluster_usage[0, :3] = torch.tensor([4.0, 0.0, 0.5])
    quantizer.embed_sum[0, :3] = 2.0
    quantizer.refresh()
    expected = torch.tensor([0.5, 2e5, 4.0])
    torch.testing.assert_close(quantizer.codebooks[0, :3, 0], expected)


@pytest.mark.parametrize("config", [FIVE, NINE, BIASED], ids=["five", "nine", "biased"])
def test_random_weights_repeat_by_seed_and_give_varied_codes_and_audible_audio(config):
    mimi, again, other = create(config, seed=5), create(config, seed=5), create(config, seed=6)
    audio = noise(1, 60 * config.frame_samples)
    codes = mimi.encode(audio)
    assert torch.equal(codes, again.encode(audio))
    assert not torch.equal(codes, other.encode(audio))
    assert min(len(book.unique()) for book in codes[0]) >= 8
    with torch.no_grad():
        assert 0.01 < mimi.decode(codes).std() < 10
