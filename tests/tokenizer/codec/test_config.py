"""Configs: what follows from them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.tokenizer.codec import MimiConfig
from tests.tokenizer.codec.cases import BIASED, FIVE, FULL, NINE

PICO = Path(__file__).parents[3] / "models" / "pico" / "config.json"


def test_the_published_mimi_has_frames_of_1920_samples_at_12_5_hz():
    config = MimiConfig.mimi()
    assert (config.frame_samples, config.frame_rate_hz) == (1920, 12.5)
    assert (config.num_codebooks, config.num_acoustic_codebooks) == (32, 31)


def test_an_empty_dictionary_is_the_published_mimi():
    assert MimiConfig.from_dict({}) == MimiConfig.mimi()


def test_the_pico_voice_has_7_codebooks_of_1024():
    config = MimiConfig.from_dict(json.loads(PICO.read_text())["codec_config"])
    assert (config.num_codebooks, config.codebook_size, config.frame_samples) == (7, 1024, 1920)
    assert (config.sliding_window, config.hidden_size, config.codebook_dim) == (32, 256, 128)


@pytest.mark.parametrize("config", [FULL, FIVE, NINE, BIASED])
def test_a_config_survives_the_way_through_a_dictionary(config):
    assert MimiConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(("rate", "stride"), [(25, 1), (12.5, 2), (5, 5)])
def test_a_stated_frame_rate_gives_the_resample_stride(rate, stride):
    config = MimiConfig.from_dict({"frame_rate": rate})
    assert config.resample_stride == stride
    assert config.frame_samples == 960 * stride


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 0}, "hidden_size is 0; allowed: a whole number of at least 1"),
        ({"num_quantizers": 2.5}, "num_codebooks is 2.5; allowed: a whole"),
        ({"num_quantizers": 1}, "num_semantic_codebooks is 1; allowed: 1 to 0"),
        ({"sliding_window": None}, "sliding_window is None; allowed: a whole"),
        ({"upsampling_ratios": [8, 0]}, r"upsampling_ratios is \(8, 0\); allowed: one or more"),
        ({"use_causal_conv": False}, "use_causal_conv is False; allowed: True"),
        ({"trim_right_ratio": 0.5}, "trim_right_ratio is 0.5; allowed: 1.0"),
        ({"pad_mode": "reflect"}, "pad_mode is 'reflect'; allowed: constant, replicate"),
        ({"hidden_act": "tanh"}, "hidden_act is 'tanh'; allowed: gelu, relu, silu"),
        ({"codebook_dim": 128}, "codebook_dim is 128; allowed: the value of vector_quant"),
        ({"num_attention_heads": 7}, "num_attention_heads is 7; allowed: a divisor of hidden_size"),
        ({"num_key_value_heads": 3}, "num_key_value_heads is 3; allowed: a divisor"),
        ({"head_dim": 7}, "head_dim is 7; allowed: an even number"),
        ({"compress": 3}, "compress is 3; allowed: a divisor of num_filters"),
        ({"upsample_groups": 5}, "upsample_groups is 5; allowed: a divisor of hidden_size"),
        ({"frame_rate": 13.0}, "frame_rate is 13.0; allowed: 25.0"),
        ({"frame_rate": -1}, "frame_rate is -1.0; allowed: a finite number"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "rope_type is 'llama3'; allowed: 'default'"),
        ({"rope_theta": float("nan")}, "rope_theta is nan; allowed: a finite number"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(values, message):
    with pytest.raises(ValueError, match=message):
        MimiConfig.from_dict(values)
