"""Against `transformers.MimiModel` on the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import CsmForConditionalGeneration, MimiModel

from services.tokenizer.codec import Mimi, load, state_dict_hf
from tests.tokenizer.codec.cases import (
    BIASED,
    FIVE,
    FULL,
    NINE,
    assert_same_codes,
    noise,
    random_codes,
)

PICO = Path(__file__).parents[3] / "models" / "pico"
CONFIGS = pytest.mark.parametrize(
    "config", [FULL, FIVE, NINE, BIASED], ids=["full", "five", "nine", "biased"]
)


def _oracle(mimi: Mimi, directory: Path) -> MimiModel:
    (directory / "config.json").write_text(json.dumps(mimi.config.to_dict()))
    save_file(state_dict_hf(mimi), directory / "model.safetensors", {"format": "pt"})
    model, loading = MimiModel.from_pretrained(directory, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys"))
    return model


def _frames(config) -> int:
    # Past the window: 10.4 s at full size, several windows in the small ones.
    return config.sliding_window // config.resample_stride * (1 if config is FULL else 4) + 5


@pytest.mark.parametrize(
    "config",
    [pytest.param(FULL, marks=pytest.mark.slow), FIVE, NINE, BIASED],
    ids=["full", "five", "nine", "biased"],
)
@torch.no_grad()
def test_codes_and_audio_equal_transformers_beyond_the_window(config, make_codec, tmp_path):
    mimi = make_codec(config)
    oracle = _oracle(mimi, tmp_path)
    frames = _frames(config)
    rows = 1 if config is FULL else 3
    audio = noise(rows, frames * config.frame_samples)
    codes = mimi.encode(audio)
    assert codes.shape == (rows, config.num_codebooks, frames)
    assert_same_codes(mimi, audio, codes, oracle.encode(audio).audio_codes)
    for count in (1, config.num_semantic_codebooks + 1, config.num_codebooks):
        decoded = mimi.decode(codes[:, :count])
        expected = oracle.decode(codes[:, :count]).audio_values
        assert decoded.std() > 0.01
        torch.testing.assert_close(decoded, expected, rtol=0, atol=1e-4)


@CONFIGS
def test_the_frame_length_is_what_transformers_derives(config, make_codec, tmp_path):
    oracle = _oracle(make_codec(config), tmp_path)
    assert config.frame_samples == oracle.config.frame_size
    assert config.frame_rate_hz == pytest.approx(oracle.config.frame_rate)


@pytest.mark.parametrize("config", [FIVE, NINE], ids=["five", "nine"])
@torch.no_grad()
def test_a_partial_frame_is_completed_with_silence_where_transformers_pads_every_layer(
    config, make_codec, tmp_path
):
    # transformers pads the input of each strided convolution on its right, not the audio: with
    # biases in between, its last code is of another signal. Kyutai's codec completes the audio,
    # and so do we. All frames that were complete agree.
    mimi = make_codec(config)
    oracle = _oracle(mimi, tmp_path)
    audio = noise(1, 9 * config.frame_samples + 1)
    codes = mimi.encode(audio)
    assert codes.shape[2] == 10
    assert_same_codes(mimi, audio, codes, oracle.encode(mimi.pad(audio)).audio_codes)
    ragged = oracle.encode(audio).audio_codes
    assert ragged.shape == codes.shape
    whole = audio[..., :-1]
    assert_same_codes(mimi, whole, codes[..., :-1], ragged[..., :-1])


@torch.no_grad()
def test_a_directory_saved_by_transformers_loads_with_the_same_weights(make_codec, tmp_path):
    mimi = make_codec(NINE)
    (tmp_path / "ours").mkdir()
    _oracle(mimi, tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    loaded = load(tmp_path / "theirs")
    assert loaded.config == mimi.config
    expected = state_dict_hf(mimi)
    for name, tensor in state_dict_hf(loaded).items():
        assert torch.equal(tensor, expected[name]), name


@torch.no_grad()
def test_the_pico_voice_gives_the_codes_and_the_audio_that_transformers_gives():
    mimi = load(PICO)
    oracle = CsmForConditionalGeneration.from_pretrained(PICO, dtype=torch.float32).codec_model
    audio = noise(1, 40 * mimi.config.frame_samples)
    codes = mimi.encode(audio)
    assert codes.shape == (1, 7, 40)
    assert_same_codes(mimi, audio, codes, oracle.encode(audio).audio_codes)
    codes = random_codes(mimi.config, 1, 40)
    expected = oracle.decode(codes).audio_values
    assert expected.std() > 0.001
    torch.testing.assert_close(mimi.decode(codes), expected, rtol=0, atol=1e-4)
