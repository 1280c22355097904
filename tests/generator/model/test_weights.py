"""Weights in and out of both layouts, and what is said of broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CsmForConditionalGeneration

from services.generator.model import hub, weights
from services.generator.model.config import ConfigError, CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.files import ModelWeightsError
from services.generator.model.generate import generate
from services.generator.model.sampling import GREEDY
from tests.generator.model import oracle as model_oracle

PICO = Path(__file__).parents[3] / "models" / "pico"
CONFIG = model_oracle.FIVE_BOOKS

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> Csm:
    return weights.create(CONFIG, seed=1)


def frames_of(model: Csm) -> torch.Tensor:
    prompt = model_oracle.random_frames(model.config, np.random.default_rng(3))
    return generate(model, prompt, GREEDY, 20)


def write_directory(directory: Path, tensors: dict[str, torch.Tensor], config: dict) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()},
              directory / "model.safetensors")  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def hf_tensors(model: Csm) -> dict[str, torch.Tensor]:
    return dict(weights.state_dict_hf(model))


def same(one: Csm, other: Csm) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


@pytest.mark.parametrize("name", sorted(model_oracle.ODD_CONFIGS))
def test_a_saved_model_loads_as_it_was(tmp_path: Path, name: str) -> None:
    model = weights.create(model_oracle.ODD_CONFIGS[name], seed=4)
    weights.save(model, tmp_path / "voice")
    loaded = weights.load(tmp_path / "voice")
    assert loaded.config == model.config
    assert same(loaded, model)


def test_a_saved_model_loads_in_transformers_with_the_same_frames(
    tmp_path: Path, model: Csm
) -> None:
    codec = model_oracle.oracle(model).codec_model
    extra = {f"codec_model.{name}": value.clone() for name, value in codec.state_dict().items()}
    generation = {"temperature": 0.7, "do_sample": True, "depth_decoder_temperature": 0.4}
    weights.save(
        model,
        tmp_path,
        tokenizer_json=PICO / "tokenizer.json",
        generation_config=generation,
        extra_tensors=extra,
        codec_config=model_oracle.codec_config(CONFIG),
    )
    assert (tmp_path / "tokenizer.json").read_bytes() == (PICO / "tokenizer.json").read_bytes()
    theirs, info = CsmForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert theirs.depth_decoder.generation_config.temperature == 0.4
    ids = [5, 6, 7, 8]
    expected = model_oracle.their_greedy(theirs.eval(), ids, 20)
    prompt = torch.full((4, CONFIG.num_codebooks + 1), -1)
    prompt[:, -1] = torch.tensor(ids)
    assert torch.equal(generate(weights.load(tmp_path), prompt, GREEDY, 20), expected)


def test_what_transformers_saves_loads_in_shards_too(tmp_path: Path, model: Csm) -> None:
    theirs = model_oracle.oracle(model)
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="60KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    assert same(weights.load(tmp_path / "shards"), model)
    index = tmp_path / "shards" / "model.safetensors.index.json"
    index.rename(index.with_name("transformers.safetensors.index.json"))
    assert same(weights.load(tmp_path / "shards"), model)


@pytest.mark.parametrize("name", sorted(model_oracle.ODD_CONFIGS))
def test_the_sesame_named_copy_gives_the_same_frames(tmp_path: Path, name: str) -> None:
    model = weights.create(model_oracle.ODD_CONFIGS[name], seed=5)
    tensors = weights.state_dict_sesame(model)
    write_directory(tmp_path, tensors, model.config.to_dict())
    loaded = weights.load(tmp_path)
    assert same(loaded, model)
    assert torch.equal(frames_of(loaded), frames_of(model))


def test_sesames_rope_pairs_are_neighbours(model: Csm) -> None:
    ours = weights.state_dict_hf(model)["backbone_model.layers.1.self_attn.q_proj.weight"]
    theirs = weights.state_dict_sesame(model)["backbone.layers.1.attn.q_proj.weight"]
    head_dim = CONFIG.backbone.head_dim
    head = slice(2 * head_dim, 3 * head_dim)
    for pair in range(head_dim // 2):
        assert torch.equal(theirs[head][2 * pair], ours[head][pair])
        assert torch.equal(theirs[head][2 * pair + 1], ours[head][pair + head_dim // 2])
    # Turning neighbouring pairs gives the same scores as turning halves: that is the point.
    angles = torch.rand(head_dim // 2)
    x = torch.randn(CONFIG.backbone.width)
    q = (theirs[head] @ x).view(-1, 2)
    turned = torch.stack(
        (q[:, 0] * angles.cos() - q[:, 1] * angles.sin(),
         q[:, 1] * angles.cos() + q[:, 0] * angles.sin()), 1,
    )  # fmt: skip
    first, second = (ours[head] @ x).chunk(2)
    torch.testing.assert_close(turned[:, 0], first * angles.cos() - second * angles.sin())
    torch.testing.assert_close(turned[:, 1], second * angles.cos() + first * angles.sin())


def test_sesames_flavors_are_known_without_a_config(tmp_path: Path) -> None:
    config = CsmConfig.from_flavors(
        "llama-100M", "llama-100M", text_vocab_size=40, audio_vocab_size=19, num_codebooks=3
    )
    model = weights.create(config, seed=6, dtype=torch.bfloat16)
    write_directory(tmp_path, weights.state_dict_sesame(model), {})
    (tmp_path / "config.json").unlink()
    loaded = weights.load(tmp_path / "model.safetensors", dtype=torch.bfloat16)
    assert loaded.config == config
    assert same(loaded, model)
    flavors = {"backbone_flavor": "llama-100M", "decoder_flavor": "llama-100M"}
    sizes = {"text_vocab_size": 40, "audio_vocab_size": 19, "audio_num_codebooks": 3}
    (tmp_path / "config.json").write_text(json.dumps({**flavors, **sizes}))
    assert same(weights.load(tmp_path, dtype=torch.bfloat16), model)


def test_a_sesame_file_of_an_unknown_shape_needs_a_config(tmp_path: Path, model: Csm) -> None:
    write_directory(tmp_path, weights.state_dict_sesame(model), {})
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"config.json: no such file.*3 layers of width 40"):
        weights.load(tmp_path)


@pytest.mark.parametrize(
    "absent",
    [
        "backbone_model.embed_tokens.embed_audio_tokens.weight",
        "depth_decoder.model.embed_tokens.weight",
    ],
)
def test_either_name_of_the_code_embeddings_may_be_missing(
    tmp_path: Path, model: Csm, absent: str
) -> None:
    tensors = hf_tensors(model)
    del tensors[absent]
    assert same(weights.load(write_directory(tmp_path, tensors, CONFIG.to_dict())), model)


def test_both_names_of_the_code_embeddings_may_be_there(tmp_path: Path, model: Csm) -> None:
    directory = write_directory(tmp_path, hf_tensors(model), CONFIG.to_dict())
    assert same(weights.load(directory), model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_converted(tmp_path: Path, model: Csm, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in hf_tensors(model).items()}
    directory = write_directory(tmp_path, tensors, CONFIG.to_dict())
    loaded = weights.load(directory)
    assert loaded.dtype == torch.float32
    expected = model.state_dict()["backbone.layers.0.qkv.weight"].to(dtype).float()
    assert torch.equal(loaded.state_dict()["backbone.layers.0.qkv.weight"], expected)
    assert weights.load(directory, dtype=torch.bfloat16).dtype == torch.bfloat16


def _drop(tensors: dict, name: str) -> None:
    del tensors[name]


def _drop_both_tables(tensors: dict) -> None:
    _drop(tensors, "depth_decoder.model.embed_tokens.weight")
    _drop(tensors, "backbone_model.embed_tokens.embed_audio_tokens.weight")


def _untie(tensors: dict) -> None:
    tensors["depth_decoder.model.embed_tokens.weight"] = torch.zeros(335, 40)


BROKEN: dict[str, tuple[Callable[[dict], object], str]] = {
    "missing": (
        lambda tensors: _drop(tensors, "backbone_model.layers.2.mlp.up_proj.weight"),
        r"model.safetensors: tensor backbone_model.layers.2.mlp.up_proj.weight is missing, "
        r"expected shape \[72, 40\]",
    ),
    "missing_tables": (_drop_both_tables, r"embed.*tokens.weight is missing"),
    "misshaped": (
        lambda tensors: tensors.update({"lm_head.weight": torch.zeros(67, 41)}),
        r"model.safetensors: tensor lm_head.weight has shape \[67, 41\], expected \[67, 40\]",
    ),
    "transposed_of_equal_size": (
        lambda tensors: tensors.update({"lm_head.weight": torch.zeros(40, 67)}),
        r"lm_head.weight has shape \[40, 67\], expected \[67, 40\]",
    ),
    "unexpected": (
        lambda tensors: tensors.update({"backbone_model.layers.3.bias": torch.zeros(2)}),
        r"tensor backbone_model.layers.3.bias of shape \[2\] is unexpected",
    ),
    "integers": (
        lambda tensors: tensors.update({"lm_head.weight": torch.zeros(67, 40, dtype=torch.int8)}),
        r"lm_head.weight has dtype I8, expected F32, F16 or BF16",
    ),
    "untied": (_untie, r"differs from depth_decoder.model.embed_tokens.weight: untied"),
    "no_csm": (lambda tensors: _drop(tensors, "embed_text_tokens.weight"), r"not a CSM"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_weights_are_named(tmp_path: Path, model: Csm, name: str) -> None:
    change, message = BROKEN[name]
    tensors = hf_tensors(model)
    change(tensors)
    directory = write_directory(tmp_path, tensors, CONFIG.to_dict())
    with pytest.raises(ModelWeightsError, match=message):
        weights.load(directory)


def test_the_codecs_and_computed_tensors_are_passed_over(tmp_path: Path, model: Csm) -> None:
    tensors = hf_tensors(model)
    tensors["codec_model.encoder.layers.0.conv.weight"] = torch.zeros(3)
    tensors["backbone_model.rotary_emb.inv_freq"] = torch.zeros(6)
    assert same(weights.load(write_directory(tmp_path, tensors, CONFIG.to_dict())), model)


def test_a_file_cut_short_is_named(tmp_path: Path, model: Csm) -> None:
    weights.save(model, tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelWeightsError, match=r"model.safetensors: cut short"):
        weights.load(tmp_path)
    file.write_bytes(b"not at all a safetensors file")
    with pytest.raises(ModelWeightsError, match=r"model.safetensors: not a readable safetensors"):
        weights.load(tmp_path)
    file.write_bytes(b"")
    with pytest.raises(ModelWeightsError, match=r"model.safetensors: .*too short"):
        weights.load(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelWeightsError, match=r"shard model-00001-of-00002.safetensors is miss"):
        weights.load(tmp_path)
    index = {"weight_map": {"lm_head.weight": "../../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelWeightsError, match=r"is not a plain file name"):
        weights.load(tmp_path)


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "ckpt.pt")
    for path in (tmp_path, tmp_path / "ckpt.pt"):
        with pytest.raises(ModelWeightsError, match=r"ckpt.pt: not a safetensors.*save_file"):
            weights.load(path)


def test_a_path_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelWeightsError, match="no such file or directory"):
        weights.load(tmp_path / "nowhere")
    with pytest.raises(ModelWeightsError, match=r"no model.safetensors and no index"):
        weights.load(tmp_path)
    with pytest.raises(ValueError, match=r"dtype: torch.int8 is not allowed"):
        weights.load(PICO, dtype=torch.int8)


def test_saving_over_the_file_that_feeds_it_keeps_the_codec(tmp_path: Path, model: Csm) -> None:
    codec = {"codec_model.weight": torch.arange(50_000.0)}
    weights.save(model, tmp_path, extra_tensors=codec)
    mapped = load_file(tmp_path / "model.safetensors")
    extra = {name: mapped[name] for name in codec}
    weights.save(model, tmp_path, extra_tensors=extra)
    again = load_file(tmp_path / "model.safetensors")
    assert torch.equal(again["codec_model.weight"], torch.arange(50_000.0))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "config.json",
        "model.safetensors",
    ]
    with pytest.raises(ValueError, match=r"extra_tensors: lm_head.weight is not allowed"):
        weights.save(model, tmp_path, extra_tensors={"lm_head.weight": torch.zeros(1)})


def test_created_weights_follow_the_seed_and_keep_unit_scale() -> None:
    one, two, other = (weights.create(CONFIG, seed=seed) for seed in (1, 1, 2))
    assert same(one, two)
    assert not same(one, other)
    pico = weights.create(CsmConfig.named("pico"), seed=1)
    with torch.inference_mode():
        frames = model_oracle.random_frames(pico.config, np.random.default_rng(1))
        logits = pico.lm_head(pico.hidden_states(torch.tensor(frames)[None]))
    assert 0.5 < logits.std() < 2.0


def test_describe_counts_what_the_file_holds(tmp_path: Path, model: Csm) -> None:
    found = hub.describe(PICO)
    loaded = weights.load(PICO)
    assert found.parameters == sum(value.numel() for value in loaded.parameters())
    assert found.codec_parameters > 1_000_000
    assert (found.layout, found.dtypes, found.has_tokenizer) == ("Hugging Face", ("F16",), True)
    assert found.config == loaded.config
    assert sum(found.parameters_by_part.values()) == found.parameters
    directory = write_directory(tmp_path, weights.state_dict_sesame(model), CONFIG.to_dict())
    other = hub.describe(directory)
    assert other.parameters == sum(value.numel() for value in model.parameters())
    assert other.layout == "Sesame"
    assert other.digest != found.digest
    assert other.digest == hub.describe(directory / "model.safetensors").digest
