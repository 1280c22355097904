"""Configs by name, by file, by flavor; and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from services.generator.model import weights
from services.generator.model.config import ConfigError, CsmConfig, LlamaConfig, RopeScaling
from services.generator.model.csm import Csm
from services.generator.model.generate import generate
from services.generator.model.generation_config import GenerationConfigError, GenerationDefaults
from services.generator.model.sampling import GREEDY, SamplingParams
from tests.generator.model import oracle as model_oracle

PICO = Path(__file__).parents[3] / "models" / "pico"


def test_flavors_have_sesames_sizes() -> None:
    large, small = LlamaConfig.flavor("llama-1B"), LlamaConfig.flavor("llama-100M")
    assert (large.layers, large.heads, large.kv_heads, large.width) == (16, 32, 8, 2048)
    assert (small.layers, small.heads, small.kv_heads, small.width) == (4, 8, 2, 1024)
    assert (large.head_dim, small.head_dim) == (64, 128)
    with pytest.raises(ConfigError, match=r"flavor: 'llama-7B' is not allowed, must be one of"):
        LlamaConfig.flavor("llama-7B")


def test_csm_1b_has_the_published_number_of_parameters() -> None:
    model = Csm(CsmConfig.named("csm-1b"), device="meta")
    backbone = sum(value.numel() for value in model.backbone.parameters())
    depth = sum(value.numel() for value in model.depth.llama.parameters())
    assert round(backbone / 1e6, 1) == 973.1
    assert round(depth / 1e6, 1) == 111.2
    assert round(sum(value.numel() for value in model.parameters()) / 1e9, 3) == 1.553


def test_sesames_config_names_flavors() -> None:
    values = {
        "backbone_flavor": "llama-1B",
        "decoder_flavor": "llama-100M",
        "text_vocab_size": 128256,
        "audio_vocab_size": 2051,
        "audio_num_codebooks": 32,
    }
    assert CsmConfig.from_dict(values) == CsmConfig.named("csm-1b")


def test_pico_by_name_is_the_shape_that_ships() -> None:
    assert CsmConfig.named("pico") == CsmConfig.from_directory(PICO)


@pytest.mark.parametrize("name", sorted(model_oracle.ODD_CONFIGS))
def test_a_config_survives_being_written(tmp_path: Path, name: str) -> None:
    config = model_oracle.ODD_CONFIGS[name]
    path = tmp_path / "shape.json"
    path.write_text(json.dumps(config.to_dict()))
    assert CsmConfig.named(str(path)) == config


def test_older_transformers_keys_for_rope_are_read() -> None:
    values = CsmConfig.named("csm-1b").to_dict()
    for stack in (values, values["depth_decoder_config"]):
        rope = stack.pop("rope_parameters")
        stack["rope_theta"] = rope.pop("rope_theta")
        stack["rope_scaling"] = rope
    assert CsmConfig.from_dict(values) == CsmConfig.named("csm-1b")
    del values["rope_scaling"]
    assert CsmConfig.from_dict(values).backbone.rope_scaling is None


def change(path: str, value: object) -> dict:
    values = model_oracle.FIVE_BOOKS.to_dict(model_oracle.codec_config(model_oracle.FIVE_BOOKS))
    *parents, key = path.split("/")
    target = values
    for parent in parents:
        target = target[parent]
    if value is None:
        del target[key]
    else:
        target[key] = value
    return values


DEPTH = "depth_decoder_config"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("num_hidden_layers", 0, r"config\.layers: 0 is not allowed"),
        ("num_hidden_layers", None, r"config\.num_hidden_layers: missing"),
        ("num_key_value_heads", 4, r"config\.kv_heads: 4 is not allowed, must divide heads \(6\)"),
        ("head_dim", 7, r"config\.head_dim: 7 is not allowed, must be even"),
        ("hidden_size", "wide", r"config\.hidden_size: 'wide' is not allowed"),
        ("rms_norm_eps", float("nan"), r"config\.norm_eps: nan is not allowed"),
        ("attention_bias", True, r"config\.attention_bias: True is not allowed"),
        ("hidden_act", "gelu", r"config\.hidden_act: 'gelu' is not allowed"),
        ("rope_parameters", {"rope_type": "yarn"}, r"rope_type: 'yarn' is not allowed"),
        ("rope_parameters", {"rope_type": "llama3"}, r"rope_parameters\.factor: missing"),
        ("text_vocab_size", None, r"text_vocab_size: missing"),
        ("num_codebooks", 1, r"num_codebooks"),
        ("codebook_eos_token_id", 3, r"codebook_eos_token_id: 3 is not allowed, must be 0"),
        (DEPTH, None, r"depth_decoder_config: missing"),
        (f"{DEPTH}/vocab_size", 66, r"depth_decoder_config\.vocab_size: 66 is not allowed"),
        (f"{DEPTH}/hidden_size", None, r"depth_decoder_config\.hidden_size: missing"),
        (f"{DEPTH}/max_position_embeddings", 4, r"max_positions: 4 is not allowed, must be >= n"),
        (f"{DEPTH}/backbone_hidden_size", 41, r"backbone_hidden_size: 41 is not allowed"),
        ("codec_config", [1], r"codec_config: \[1\] is not allowed, must be an object"),
        ("codec_config/codebook_size", 68, r"codebook_size: 68 is not allowed, must be <= audio"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, path: str, value: object, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(change(path, value)))
    with pytest.raises(ConfigError, match=message) as caught:
        CsmConfig.from_directory(tmp_path)
    assert str(file) in str(caught.value)


def test_an_unreadable_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.json: no such file"):
        CsmConfig.from_directory(tmp_path)
    for text, message in (("{", "not readable as JSON"), ("[]", "must be a JSON object")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ConfigError, match=message):
            CsmConfig.from_directory(tmp_path)
    with pytest.raises(ConfigError, match="not a CSM config"):
        CsmConfig.from_dict({"model_type": "llama"})
    with pytest.raises(ConfigError, match="shape: 'csm-9b' is not allowed, must be 'csm-1b'"):
        CsmConfig.named("csm-9b")
    with pytest.raises(ConfigError, match=r"high_freq_factor: 1.0 is not allowed"):
        RopeScaling(8.0, 1.0, 1.0, 8192)


def test_sampling_defaults_come_from_the_model_directory(tmp_path: Path) -> None:
    assert GenerationDefaults.from_directory(PICO) == GenerationDefaults(
        SamplingParams(0.3, 0.1, 50, 1.0), 190
    )
    assert GenerationDefaults.from_directory(tmp_path).sampling == SamplingParams(0.9, 0.9, 50)


@pytest.mark.parametrize(
    "defaults",
    [
        GenerationDefaults(SamplingParams(0.7, 0.4, 20, 0.9), 50),
        GenerationDefaults(SamplingParams(0.0, 0.0), 125),
        GenerationDefaults(SamplingParams(0.8, 0.0), 125),
    ],
)
def test_sampling_defaults_survive_being_written(defaults: GenerationDefaults) -> None:
    assert GenerationDefaults.from_dict(defaults.to_dict()) == defaults


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": -1}, r"generation_config.json: temperature: -1 is not allowed"),
        ({"top_k": "many"}, r"top_k: 'many' is not allowed"),
        ({"max_new_tokens": 0}, r"max_new_tokens: 0 is not allowed"),
        ([], r"must be a JSON object"),
    ],
)
def test_wrong_sampling_defaults_are_named(tmp_path: Path, values: object, message: str) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(values))
    with pytest.raises(GenerationConfigError, match=message):
        GenerationDefaults.from_directory(tmp_path)


@pytest.fixture(scope="module")
def model() -> Csm:
    return weights.create(model_oracle.FIVE_BOOKS, seed=1)


@pytest.mark.parametrize(
    ("frames", "start", "slot", "message"),
    [
        (torch.zeros(2, 5, dtype=torch.int64), 0, 0, r"last dimension|frames"),
        (torch.zeros(0, 6, dtype=torch.int64), 0, 0, r"frames: shape \[0, 6\] is not allowed"),
        (torch.zeros(2, 6, dtype=torch.int64), 19, 0, r"start: 19 is not allowed.*\[0, 18\]"),
        (torch.zeros(2, 6, dtype=torch.int64), -1, 0, r"start: -1 is not allowed"),
        (torch.zeros(2, 6, dtype=torch.int64), 0, 2, r"slot: 2 is not allowed"),
        (torch.full((2, 6), 50), 0, 0, r"text ids between 50 and 50 are not allowed.*\[0, 49\]"),
        (torch.full((2, 6), 67), 0, 0, r"codes between 67 and 67 are not allowed.*\[0, 66\]"),
        (torch.full((2, 6), -2), 0, 0, r"codes between -2 and -2 are not allowed"),
    ],
)
def test_a_prefill_that_does_not_fit_is_refused(
    model: Csm, frames: torch.Tensor, start: int, slot: int, message: str
) -> None:
    cache = model.allocate_cache(2, 20)
    with torch.inference_mode(), pytest.raises(ValueError, match=message):
        model.prefill(frames, start, slot, cache)
    assert not cache.keys.any()


def test_a_cache_beyond_the_models_positions_is_refused(model: Csm) -> None:
    with pytest.raises(ValueError, match=r"max_positions: 161 is not allowed, .*\[1, 160\]"):
        model.allocate_cache(1, 161)
    with pytest.raises(ValueError, match=r"slots: 0 is not allowed"):
        model.allocate_cache(0, 10)


def test_generation_stops_where_the_context_ends(model: Csm) -> None:
    prompt = np.concatenate(
        [model_oracle.random_frames(model.config, np.random.default_rng(1))] * 3
    )
    left = 160 - len(prompt)
    assert len(generate(model, prompt, GREEDY, 10_000)) == left + 1
    with pytest.raises(ValueError, match="max_frames: 0 is not allowed"):
        generate(model, prompt, GREEDY, 0)
    with pytest.raises(ValueError, match=r"prompt_frames: 2\d\d frames are not allowed"):
        generate(model, np.concatenate([prompt] * 2), GREEDY, 1)


def test_the_same_seed_gives_the_same_turn(model: Csm) -> None:
    prompt = model_oracle.random_frames(model.config, np.random.default_rng(1))
    params = SamplingParams(1.0, 0.8, 20)
    one, two, other = (generate(model, prompt, params, 20, seed) for seed in (5, 5, 6))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.max() < model.config.codebook_size
