"""`csm models`: directories that are made, converted and described are the same model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from services.generator.model import weights
from services.model_tools.making import byte_tokenizer
from services.model_tools.parts import runnable
from services.tokenizer.codec import weights as codec_weights
from tests.csm.cli.conftest import PICO, Csm

SMALL: dict[str, dict[str, object]] = {
    "backbone": {
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "hidden_size": 32, "head_dim": 8, "intermediate_size": 48, "max_position_embeddings": 64,
    },
    "depth_decoder_config": {
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "hidden_size": 16, "head_dim": 8, "intermediate_size": 24, "max_position_embeddings": 8,
    },
    "codec": {
        "upsampling_ratios": [8, 6, 5, 4], "num_filters": 8, "hidden_size": 32, "head_dim": 8,
        "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 48,
        "num_hidden_layers": 1, "num_quantizers": 5, "codebook_size": 16, "codebook_dim": 8,
        "vector_quantization_hidden_dimension": 8, "upsample_groups": 32, "sliding_window": 16,
        "sampling_rate": 24000, "_frame_rate": 12.5,
    },
}  # fmt: skip


def shape_file(
    directory: Path, text_vocab_size: int = 300, *, codec: bool = True, codebook_size: int = 16
) -> Path:
    """A config.json of a tiny model with 5 codebooks."""
    values: dict[str, object] = SMALL["backbone"] | {
        "text_vocab_size": text_vocab_size,
        "vocab_size": codebook_size + 3,
        "num_codebooks": 5,
        "depth_decoder_config": SMALL["depth_decoder_config"],
    }
    if codec:
        values["codec_config"] = SMALL["codec"]
    file = directory / "shape.json"
    file.write_text(json.dumps(values))
    return file


@pytest.fixture
def small(csm: Csm, tmp_path: Path) -> Path:
    """A tiny model directory of random weights."""
    made = tmp_path / "small"
    result = csm("models", "create", "--shape", shape_file(tmp_path), "-o", made, "--dtype", "fp32")
    assert result.exit_code == 0, result.output
    return made


def tensors_of(directory: Path) -> dict[str, torch.Tensor]:
    """All tensors of a model directory, in one file or in several."""
    files = sorted(directory.glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def same(one: Path, other: Path) -> None:
    """Both directories hold the same tensors."""
    first, second = tensors_of(one), tensors_of(other)
    # The flag that says that training has set the codebooks is not part of the model.
    names = {name for name in first if not name.endswith("initialized")}
    assert names == {name for name in second if not name.endswith("initialized")}
    for name in names:
        torch.testing.assert_close(
            first[name].float(), second[name].float(), rtol=0, atol=1e-6, msg=name
        )


def test_what_is_created_loads_as_model_and_codec(small: Path) -> None:
    model = weights.load(small)
    codec = codec_weights.load(small)
    assert model.config.num_codebooks == codec.config.num_codebooks == 5
    assert model.config.codebook_size == codec.config.codebook_size == 16
    assert (small / "tokenizer.json").is_file()
    assert (small / "generation_config.json").is_file()


def test_the_same_seed_makes_the_same_model_and_another_another(csm: Csm, tmp_path: Path) -> None:
    shape = shape_file(tmp_path)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        csm("models", "create", "--shape", shape, "-o", tmp_path / name, "--seed", seed)
    bytes_of = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert bytes_of[0] == bytes_of[1]
    assert bytes_of[0] != bytes_of[2]


def test_pico_gets_its_tokenizer_and_its_codec(csm: Csm, tmp_path: Path) -> None:
    assert csm("models", "create", "-o", tmp_path, "--dtype", "bf16").exit_code == 0
    assert (tmp_path / "tokenizer.json").read_bytes() == (PICO / "tokenizer.json").read_bytes()
    made, shipped = (json.loads((d / "config.json").read_text()) for d in (tmp_path, PICO))
    assert made["hidden_size"] == shipped["hidden_size"]
    assert made["codec_config"]["num_filters"] == shipped["codec_config"]["num_filters"]
    assert weights.load(tmp_path, dtype=torch.bfloat16).dtype is torch.bfloat16


def test_a_shape_without_a_codec_gets_mimi_with_its_codebooks(csm: Csm, tmp_path: Path) -> None:
    shape = shape_file(tmp_path, codec=False)
    assert csm("models", "create", "--shape", shape, "-o", tmp_path / "m").exit_code == 0
    codec = codec_weights.load(tmp_path / "m").config
    assert (codec.num_codebooks, codec.codebook_size, codec.hidden_size) == (5, 16, 512)


def test_a_vocabulary_too_small_for_bytes_asks_for_a_tokenizer(csm: Csm, tmp_path: Path) -> None:
    shape = shape_file(tmp_path, text_vocab_size=64)
    result = csm("models", "create", "--shape", shape, "-o", tmp_path / "m")
    assert result.exit_code == 1
    assert "text_vocab_size 64" in result.stderr
    assert "--tokenizer" in result.stderr
    own = PICO / "tokenizer.json"
    done = csm("models", "create", "--shape", shape, "-o", tmp_path / "m", "--tokenizer", own)
    assert done.exit_code == 0


def test_the_byte_tokenizer_spells_any_text_and_adds_one_bos_and_eos(tmp_path: Path) -> None:
    byte_tokenizer().save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("[0]Hello there.", "é漢字🙂\n\t "):
        encoded = tokenizer.encode(text)
        assert encoded.ids[0] == 256
        assert encoded.ids[-1] == 257
        assert len(encoded.ids) == len(text.encode()) + 2
        assert tokenizer.decode(encoded.ids, skip_special_tokens=True) == text


def test_to_sesame_and_back_is_the_same_model(csm: Csm, small: Path, tmp_path: Path) -> None:
    sesame, back = tmp_path / "sesame", tmp_path / "back"
    assert csm("models", "convert", small, sesame, "--layout", "sesame").exit_code == 0
    names = load_file(sesame / "model.safetensors")
    assert "codebook0_head.weight" in names
    assert "backbone.layers.0.attn.q_proj.weight" in names
    assert "encoder.model.0.conv.conv.weight" in load_file(sesame / "mimi.safetensors")
    result = csm("models", "convert", sesame, back)
    assert result.exit_code == 0, result.stderr
    same(small, back)
    for file in ("tokenizer.json", "generation_config.json"):
        assert json.loads((small / file).read_text()) == json.loads((back / file).read_text())


def test_the_shipped_voice_survives_a_conversion_and_keeps_its_limits(
    csm: Csm, tmp_path: Path
) -> None:
    sesame, back = tmp_path / "sesame", tmp_path / "back"
    assert csm("models", "convert", PICO, sesame, "--layout", "sesame").exit_code == 0
    assert csm("models", "convert", sesame, back).exit_code == 0
    same(PICO, back)
    limits = [
        json.loads((d / "config.json").read_text()).get("max_context_segments")
        for d in (PICO, sesame, back)
    ]
    assert len(set(limits)) == 1


def test_flavors_are_written_in_sesame_s_own_words(csm: Csm, tmp_path: Path) -> None:
    from services.generator.model.config import CsmConfig
    from services.model_tools.conversion import _sesame_config

    config = CsmConfig.from_flavors("llama-100M", "llama-100M", text_vocab_size=300)
    values = _sesame_config(config)
    assert values is not None
    assert (values["backbone_flavor"], values["decoder_flavor"]) == ("llama-100M", "llama-100M")
    assert CsmConfig.from_dict(values) == config
    assert _sesame_config(CsmConfig.named("pico")) is None


def test_another_dtype_is_written_when_asked_for(csm: Csm, small: Path, tmp_path: Path) -> None:
    assert csm("models", "convert", small, tmp_path / "h", "--dtype", "bf16").exit_code == 0
    tensors = load_file(tmp_path / "h" / "model.safetensors")
    assert tensors["lm_head.weight"].dtype is torch.bfloat16
    assert tensors["codec_model.encoder.layers.0.conv.weight"].dtype is torch.float32


def test_a_source_without_codec_or_tokenizer_says_what_to_give(
    csm: Csm, small: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    tensors = load_file(small / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if not k.startswith("codec_")},
              bare / "model.safetensors")  # fmt: skip
    (bare / "config.json").write_text((small / "config.json").read_text())
    result = csm("models", "convert", bare, tmp_path / "x")
    assert result.exit_code == 1
    assert "--tokenizer" in result.stderr
    (bare / "tokenizer.json").write_text((small / "tokenizer.json").read_text())
    result = csm("models", "convert", bare, tmp_path / "x")
    assert result.exit_code == 1
    assert "--codec" in result.stderr
    assert csm("models", "convert", bare, tmp_path / "x", "--codec", small).exit_code == 0
    same(small, tmp_path / "x")
    other = csm("models", "convert", bare, tmp_path / "y", "--codec", PICO)
    assert other.exit_code == 1
    assert "does not fit" in other.stderr


def test_a_mis_shaped_tensor_is_named(csm: Csm, small: Path, tmp_path: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-1].contiguous()
    save_file(tensors, small / "model.safetensors")
    result = csm("models", "convert", small, tmp_path / "x")
    assert result.exit_code == 1
    assert "lm_head.weight" in result.stderr
    assert "[18, 32]" in result.stderr


def test_a_directory_is_not_converted_into_itself(csm: Csm, small: Path) -> None:
    before = (small / "model.safetensors").read_bytes()
    result = csm("models", "convert", small, small, "--layout", "sesame")
    assert result.exit_code == 1
    assert "source itself" in result.stderr
    assert (small / "model.safetensors").read_bytes() == before


def test_info_counts_what_is_there(csm: Csm, small: Path) -> None:
    told = json.loads(csm("models", "info", small, "--json").stdout)
    model, codec = weights.load(small), codec_weights.load(small)
    assert told["parameters"] == sum(p.numel() for p in model.parameters())
    assert told["codebooks"] == {"count": 5, "size": 16}
    assert told["codec"]["codebooks"] == codec.config.num_codebooks
    assert told["codec"]["sample_rate_hz"] == 24_000
    assert told["tokenizer"] is True
    assert told["dtypes"] == ["F32"]
    text = csm("models", "info", small)
    assert text.exit_code == 0
    assert told["digest"] in "".join(text.stderr.split())


def test_weights_in_parts_are_put_together_to_run(csm: Csm, small: Path, tmp_path: Path) -> None:
    sesame = tmp_path / "sesame"
    csm("models", "convert", small, sesame, "--layout", "sesame")
    with runnable(sesame, None, None, None) as directory:
        assert directory == sesame
    apart = tmp_path / "apart"
    apart.mkdir()
    for source, target in (("model.safetensors", "weights.safetensors"),
                           ("config.json", "config.json")):  # fmt: skip
        (sesame / source).rename(apart / target)
    parts = (apart / "weights.safetensors", None)
    with pytest.raises(ValueError, match="--tokenizer"), runnable(*parts, None, None):
        pass
    text, codec = sesame / "tokenizer.json", sesame / "mimi.safetensors"
    with pytest.raises(ValueError, match="--codec"), runnable(*parts, None, text):
        pass
    with runnable(*parts, codec, text) as directory:
        weights.load(directory)
        assert (directory / "tokenizer.json").is_file()
        assert len(list(directory.glob("*.safetensors"))) == 2
    assert not directory.exists()
    with (
        pytest.raises(ValueError, match="is not llama-1B"),
        runnable(parts[0], "llama-1B", codec, text),
    ):
        pass


def test_an_unreachable_hub_says_what_to_do(
    csm: Csm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    result = csm("models", "pull", "nobody/nothing", "-o", tmp_path / "m")
    assert result.exit_code == 1
    assert "nobody/nothing" in result.stderr
    assert "Traceback" not in result.stderr
