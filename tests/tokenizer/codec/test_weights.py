"""Loading: every layout, recognised by its keys, and every way a file can be wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from services.tokenizer.codec import (
    CodecWeightsError,
    Mimi,
    MimiConfig,
    create,
    load,
    state_dict_hf,
    state_dict_kyutai,
)
from tests.tokenizer.codec.cases import BIASED, FIVE, NINE, noise, random_codes

PICO = Path(__file__).parents[3] / "models" / "pico"
# A tensor of each layout to spoil.
WEIGHT = "encoder.layers.0.conv.weight"


def _prefixed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"codec_model.{name}": tensor for name, tensor in tensors.items()}


def _write_csm(directory: Path, config: MimiConfig, tensors: dict[str, Tensor]) -> Path:
    """A CSM model directory in one file; some of the language model beside the codec."""
    directory.mkdir(exist_ok=True)
    values = {"model_type": "csm", "codec_config": config.to_dict()}
    (directory / "config.json").write_text(json.dumps(values))
    others = {"lm_head.weight": torch.zeros(2, 2), "embed_text_tokens.weight": torch.ones(3)}
    save_file(_prefixed(tensors) | others, directory / "model.safetensors")
    return directory


def _write_sharded(directory: Path, config: MimiConfig, tensors: dict[str, Tensor]) -> Path:
    """As sesame/csm-1b lies on the hub: shards with an index, beside the original format."""
    _write_csm(directory, config, {})
    shards = {f"transformers-0000{i}-of-00003.safetensors": {} for i in (1, 2, 3)}
    for index, (name, tensor) in enumerate(_prefixed(tensors).items()):
        list(shards.values())[index % 3][name] = tensor
    for file, part in shards.items():
        save_file(part, directory / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    index_file = directory / "transformers.safetensors.index.json"
    index_file.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return directory


def _write_hf(directory: Path, config: MimiConfig, tensors: dict[str, Tensor]) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config.to_dict()))
    save_file(tensors, directory / "model.safetensors")
    return directory


def _assert_same(loaded: Mimi, mimi: Mimi) -> None:
    assert loaded.config == mimi.config
    expected = state_dict_hf(mimi)
    actual = state_dict_hf(loaded)
    assert actual.keys() == expected.keys()
    for name, tensor in actual.items():
        assert torch.equal(tensor, expected[name]), name
    codes = random_codes(mimi.config, 1, 5)
    assert torch.equal(loaded.decode(codes), mimi.decode(codes))


@pytest.mark.parametrize("write", [_write_csm, _write_sharded, _write_hf])
@pytest.mark.parametrize("config", [FIVE, NINE, BIASED], ids=["five", "nine", "biased"])
def test_a_directory_loads_whatever_its_layout(config, write, make_codec, tmp_path):
    mimi = make_codec(config)
    _assert_same(load(write(tmp_path / "model", config, state_dict_hf(mimi))), mimi)


@pytest.mark.parametrize("config", [FIVE, NINE], ids=["five", "nine"])
def test_kyutais_file_loads_under_any_name(config, make_codec, tmp_path):
    mimi = make_codec(config)
    file = tmp_path / "anything.safetensors"
    save_file(state_dict_kyutai(mimi), file)
    _assert_same(load(file, config=config), mimi)
    _assert_same(load(tmp_path, config=config), mimi)


@pytest.mark.parametrize("codebooks", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_kyutais_file_of_the_published_size_needs_no_config(codebooks, tmp_path):
    config = replace(MimiConfig.mimi(), num_codebooks=codebooks)
    mimi = create(config).requires_grad_(False)
    save_file(state_dict_kyutai(mimi), tmp_path / "tokenizer-checkpoint125.safetensors")
    _assert_same(load(tmp_path / "tokenizer-checkpoint125.safetensors"), mimi)


def test_kyutais_names_are_those_of_its_published_file(make_codec):
    names = state_dict_kyutai(make_codec(FIVE)).keys()
    assert {
        "encoder.model.0.conv.conv.weight",
        "encoder.model.1.block.3.conv.conv.bias",
        "decoder.model.2.convtr.convtr.weight",
        "encoder_transformer.transformer.layers.0.self_attn.in_proj_weight",
        "decoder_transformer.transformer.layers.2.self_attn.out_proj.weight",
        "decoder_transformer.transformer.layers.1.layer_scale_2.scale",
        "encoder_transformer.transformer.layers.0.linear1.weight",
        "encoder_transformer.transformer.layers.0.norm2.bias",
        "downsample.conv.conv.conv.weight",
        "upsample.convtr.convtr.convtr.weight",
        "quantizer.rvq_first.vq.layers.1._codebook.embedding_sum",
        "quantizer.rvq_rest.vq.layers.2._codebook.cluster_usage",
        "quantizer.rvq_rest.input_proj.weight",
    } <= names


def test_a_single_file_of_a_directory_takes_the_config_beside_it(make_codec, tmp_path):
    mimi = make_codec(FIVE)
    directory = _write_csm(tmp_path / "model", FIVE, state_dict_hf(mimi))
    _assert_same(load(directory / "model.safetensors"), mimi)


def test_the_pico_voice_loads_and_decodes():
    mimi = load(PICO)
    assert mimi.config.num_codebooks == 7
    assert not mimi.training
    assert not any(parameter.requires_grad for parameter in mimi.parameters())
    audio = noise(1, 24000)
    codes = mimi.encode(audio)
    assert codes.shape == (1, 7, 13)
    assert mimi.decode(codes).std() > 0.001


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_a_half_precision_file_is_cast_up(stored, make_codec, tmp_path):
    tensors = {name: t.to(stored) for name, t in state_dict_hf(make_codec(FIVE)).items()}
    loaded = load(_write_csm(tmp_path / "model", FIVE, tensors))
    for name, tensor in state_dict_hf(loaded).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, tensors[name].float()), name


def test_in_bfloat16_the_codebooks_stay_exact_and_the_audio_near(make_codec, tmp_path):
    mimi = make_codec(NINE)
    loaded = load(_write_hf(tmp_path / "m", NINE, state_dict_hf(mimi)), dtype=torch.bfloat16)
    assert loaded.decoder.layers[0].weight.dtype == torch.bfloat16
    assert torch.equal(loaded.quantizer.acoustic.codebooks, mimi.quantizer.acoustic.codebooks)
    codes = random_codes(NINE, 2, 30)
    audio, exact = loaded.decode(codes), mimi.decode(codes)
    assert audio.dtype == torch.float32
    ratio_db = 10 * torch.log10(exact.square().mean() / (audio - exact).square().mean())
    assert ratio_db > 20
    assert loaded.encode(noise(1, 100)).dtype == torch.int64


def _without(tensors, name):
    del tensors[name]


def _reshaped(tensors, name):
    tensors[name] = tensors[name][1:].clone()


def _added(tensors, name):
    tensors[name + "x"] = torch.zeros(3, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without, r"model: tensor codec_model.{} is missing; expected shape \[8, 1, 5\]"),
        (_reshaped, r"safetensors: tensor codec_model.{} has shape \[7, 1, 5\]; expected \[8,"),
        (_added, r"safetensors: tensor codec_model.{}x of shape \[3, 1\] is unknown"),
    ],
)
@pytest.mark.parametrize("write", [_write_csm, _write_sharded])
def test_a_wrong_tensor_is_named_with_shapes_and_file(spoil, message, write, make_codec, tmp_path):
    tensors = state_dict_hf(make_codec(FIVE))
    spoil(tensors, WEIGHT)
    with pytest.raises(CodecWeightsError, match=message.format(WEIGHT)):
        load(write(tmp_path / "model", FIVE, tensors))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without, r"tensor {} is missing; expected shape \[8, 1, 5\]"),
        (_reshaped, r"tensor {} has shape \[7, 1, 5\]; expected \[8, 1, 5\]"),
        (_added, r"tensor {}x of shape \[3, 1\] is unknown"),
    ],
)
def test_a_wrong_tensor_of_kyutais_file_goes_by_its_own_name(spoil, message, make_codec, tmp_path):
    tensors = state_dict_kyutai(make_codec(FIVE))
    name = "encoder.model.0.conv.conv.weight"
    spoil(tensors, name)
    save_file(tensors, tmp_path / "k.safetensors")
    with pytest.raises(CodecWeightsError, match=message.format(name)):
        load(tmp_path / "k.safetensors", config=FIVE)


def test_initialized_flags_may_be_absent(make_codec, tmp_path):
    mimi = make_codec(FIVE)
    tensors = {k: v for k, v in state_dict_hf(mimi).items() if not k.endswith("initialized")}
    _assert_same(load(_write_csm(tmp_path / "model", FIVE, tensors)), mimi)


def test_a_shard_that_the_index_names_must_exist(make_codec, tmp_path):
    directory = _write_sharded(tmp_path / "model", FIVE, state_dict_hf(make_codec(FIVE)))
    (directory / "transformers-00002-of-00003.safetensors").unlink()
    with pytest.raises(CodecWeightsError, match=r"00002-of-00003.safetensors: no such file, th"):
        load(directory)


def test_a_tensor_that_the_index_names_must_be_in_its_shard(make_codec, tmp_path):
    directory = _write_sharded(tmp_path / "model", FIVE, state_dict_hf(make_codec(FIVE)))
    shard = directory / "transformers-00002-of-00003.safetensors"
    tensors = load_file(shard)
    name = sorted(tensors)[0]
    _without(tensors, name)
    save_file(tensors, shard)
    with pytest.raises(CodecWeightsError, match=f"{name} is missing, though indexed"):
        load(directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "config.json").unlink(), "config.json: not readable as JSON: .*No such"),
        (lambda d: (d / "config.json").write_text("{"), "config.json: not readable as JSON"),
        (lambda d: (d / "config.json").write_text("[]"), "holds a list; allowed: an object"),
        (lambda d: (d / "config.json").write_text("{}"), "codec_config is None; allowed: an obj"),
        (
            lambda d: (d / "config.json").write_text('{"codec_config": {"num_quantizers": -1}}'),
            "config.json: num_codebooks is -1; allowed: a whole number",
        ),
        (
            lambda d: (d / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}"),
            "model.safetensors: not a readable safetensors file",
        ),
        (lambda d: (d / "model.safetensors").write_bytes(b""), "not a readable safetensors file"),
        (
            lambda d: save_file({"lm_head.weight": torch.zeros(1)}, d / "model.safetensors"),
            r"no codec found; allowed: safetensors with keys codec_model.encoder.layers.\*",
        ),
        (
            lambda d: (
                (d / "model.safetensors").unlink(),
                (d / "m.safetensors.index.json").write_text("{}"),
            ),
            "weight_map is missing",
        ),
    ],
)
def test_a_broken_directory_is_explained(change, message, make_codec, tmp_path):
    directory = _write_csm(tmp_path / "model", FIVE, state_dict_hf(make_codec(FIVE)))
    change(directory)
    with pytest.raises(CodecWeightsError, match=message):
        load(directory)


def test_what_is_not_safetensors_is_refused(tmp_path):
    pickle = tmp_path / "ckpt.pt"
    pickle.write_bytes(b"\x80\x04.")
    with pytest.raises(CodecWeightsError, match=r"ckpt.pt: allowed: a .safetensors file or a dir"):
        load(pickle)
    with pytest.raises(CodecWeightsError, match="no such file or directory"):
        load(tmp_path / "absent")


def test_a_config_beyond_kyutais_layout_is_refused(make_codec, tmp_path):
    with pytest.raises(ValueError, match="attention_bias is True; allowed in Kyutai's layout"):
        state_dict_kyutai(make_codec(BIASED))
    save_file(state_dict_kyutai(make_codec(FIVE)), tmp_path / "k.safetensors")
    with pytest.raises(CodecWeightsError, match="codebook_dim is 32; allowed in Kyutai's layout"):
        load(tmp_path / "k.safetensors", config=replace(FIVE, codebook_dim=32))
