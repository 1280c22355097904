"""Against Kyutai's `moshi` package, the reference for streaming, on the same weights.

moshi's streaming attention keeps a ring of exactly `window` keys and writes the keys of a step
before it attends. With two positions to a frame the first query of each step has then lost the
oldest key of its window, so beyond the window moshi's streaming differs from moshi's own offline
pass. `full_window` gives its ring the one slot more that it lacks; a test below shows that
nothing else changes.
"""

from __future__ import annotations

import os

os.environ.setdefault("NO_TORCH_COMPILE", "1")

import pytest
import torch
from torch import Tensor

from services.tokenizer.codec import Mimi, MimiConfig, state_dict_kyutai
from tests.tokenizer.codec.cases import FIVE, FULL, NINE, assert_same_codes, noise, random_codes

loaders = pytest.importorskip("moshi.models.loaders", reason="pip install --no-deps moshi")
from moshi.modules import transformer as moshi_transformer  # noqa: E402


def _oracle(mimi: Mimi):
    config = mimi.config
    model = loaders.get_mimi(None, _moshi_config(config), num_codebooks=config.num_codebooks)
    model.load_state_dict(state_dict_kyutai(mimi), strict=True)
    return model


def _moshi_config(config: MimiConfig) -> dict:
    return {
        "sample_rate": config.sampling_rate_hz,
        "channels": config.audio_channels,
        "frame_rate": config.frame_rate_hz,
        "seanet": {
            "channels": config.audio_channels,
            "dimension": config.hidden_size,
            "causal": True,
            "n_filters": config.num_filters,
            "n_residual_layers": config.num_residual_layers,
            "activation": "ELU",
            "compress": config.compress,
            "dilation_base": config.dilation_growth_rate,
            "kernel_size": config.kernel_size,
            "residual_kernel_size": config.residual_kernel_size,
            "last_kernel_size": config.last_kernel_size,
            "norm": "none",
            "pad_mode": config.pad_mode,
            "ratios": list(config.upsampling_ratios),
            "true_skip": not config.use_conv_shortcut,
        },
        "quantizer": {
            "dimension": config.codebook_dim,
            "n_q": config.num_codebooks,
            "n_q_semantic": config.num_semantic_codebooks,
            "bins": config.codebook_size,
            "input_dimension": config.hidden_size,
            "output_dimension": config.hidden_size,
        },
        "transformer": {
            "d_model": config.hidden_size,
            "num_heads": config.num_attention_heads,
            "kv_repeat": config.num_attention_heads // config.num_key_value_heads,
            "num_layers": config.num_hidden_layers,
            "causal": True,
            "layer_scale": config.layer_scale_initial_scale,
            "context": config.sliding_window,
            "conv_layout": True,
            "max_period": config.rope_theta,
            "gating": "none",
            "norm": "layer_norm",
            "positional_embedding": "rope",
            "dim_feedforward": config.intermediate_size,
            "input_dimension": config.hidden_size,
            "output_dimensions": [config.hidden_size],
        },
    }


@pytest.fixture
def full_window(monkeypatch):
    class Ring(moshi_transformer.RingKVCache):
        def __init__(self, rows, heads, head_dim, capacity, *args, **kwargs):
            super().__init__(rows, heads, head_dim, capacity + 1, *args, **kwargs)

    monkeypatch.setattr(moshi_transformer, "RingKVCache", Ring)


def _streamed(step, x: Tensor, size: int) -> Tensor:
    return torch.cat([step(part) for part in x.split(size, dim=-1)], dim=-1)


def _compare_streaming(mimi: Mimi, frames: int) -> None:
    config, oracle = mimi.config, _oracle(mimi)
    audio = noise(1, frames * config.frame_samples)
    state = mimi.encoder_state(1)
    ours = _streamed(lambda x: mimi.encode_step(x, state), audio, config.frame_samples)
    with oracle.streaming(1):
        theirs = _streamed(oracle.encode, audio, config.frame_samples)
    assert_same_codes(mimi, audio, ours, theirs)

    codes = random_codes(config, 1, frames)
    state = mimi.decoder_state(1)
    decoded = _streamed(lambda x: mimi.decode_step(x, state), codes, 1)
    with oracle.streaming(1):
        expected = _streamed(oracle.decode, codes, 1)
    assert expected.std() > 0.01
    torch.testing.assert_close(decoded, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("config", [FIVE, NINE], ids=["five", "nine"])
@torch.no_grad()
def test_streaming_equals_moshi_over_many_windows(config, make_codec, full_window):
    _compare_streaming(make_codec(config), 60)


@torch.no_grad()
def test_streaming_equals_unchanged_moshi_at_full_size(make_codec):
    _compare_streaming(make_codec(FULL), 8)


@pytest.mark.slow
@torch.no_grad()
def test_streaming_equals_moshi_beyond_ten_seconds_at_full_size(make_codec, full_window):
    # 250 positions are 125 frames, 10 s.
    _compare_streaming(make_codec(FULL), 150)


@pytest.mark.parametrize(
    "config", [pytest.param(FULL, marks=pytest.mark.slow), FIVE, NINE], ids=["full", "five", "nine"]
)
@torch.no_grad()
def test_a_whole_sequence_equals_moshi_beyond_the_window(config, make_codec):
    mimi = make_codec(config)
    oracle = _oracle(mimi)
    frames = config.sliding_window // config.resample_stride + 10
    # One sample over: Kyutai's codec completes the frame with silence, as ours does.
    audio = noise(1, (frames - 1) * config.frame_samples + 1)
    codes = mimi.encode(audio)
    assert_same_codes(mimi, audio, codes, oracle.encode(audio))
    expected = oracle.decode(codes)
    torch.testing.assert_close(mimi.decode(codes), expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_moshi_streaming_leaves_its_own_offline_result_only_beyond_the_window(
    make_codec, monkeypatch, request
):
    mimi = make_codec(FIVE)
    oracle = _oracle(mimi)
    codes = random_codes(FIVE, 1, 30)
    offline = oracle.decode(codes)
    frame = FIVE.frame_samples
    # The last frame in which no query has more than `window` keys behind it.
    inside = FIVE.sliding_window // FIVE.resample_stride * frame

    with oracle.streaming(1):
        short = (_streamed(oracle.decode, codes, 1) - offline).abs()[0, 0]
    assert short[:inside].max() < 1e-5
    assert short[inside + frame :].max() > 1e-3

    request.getfixturevalue("full_window")
    with oracle.streaming(1):
        whole = (_streamed(oracle.decode, codes, 1) - offline).abs()
    assert whole.max() < 1e-5
