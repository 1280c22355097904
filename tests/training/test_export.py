"""What is trained becomes a voice."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import CsmForConditionalGeneration, PreTrainedTokenizerFast

from services.generator.model import weights
from services.generator.model.csm import Csm
from services.generator.model.text import TextTokenizer
from services.tokenizer import codec as codecs
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.codec.random import create
from tests.training.tiny import CODEC, small
from training.codec.quantizer import reserve_end_code
from training.export import export
from training.language_model import shape


@pytest.fixture(scope="module")
def trained() -> tuple[Mimi, Csm]:
    codec = create(CODEC, seed=2).requires_grad_(False)
    # As after training: sums and counts, not vectors.
    for part in (codec.quantizer.semantic, codec.quantizer.acoustic):
        part.cluster_usage.uniform_(0.3, 40.0)
        part.embed_sum.copy_(part.codebooks * part.cluster_usage[..., None])
        part.refresh()
    reserve_end_code(codec.quantizer)
    return codec, small()


@pytest.fixture(scope="module")
def voice(trained: tuple[Mimi, Csm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("voice")
    (directory / "MODEL_CARD.md").write_text("kept")
    return export(*trained, directory)


def test_the_voice_speaks_as_what_was_trained(trained: tuple[Mimi, Csm], voice: Path) -> None:
    codec, model = trained
    loaded = codecs.load(voice)
    torch.manual_seed(0)
    codes = torch.randint(1, CODEC.codebook_size, (1, 3, 6))
    torch.testing.assert_close(loaded.decode(codes), codec.decode(codes), rtol=2e-2, atol=2e-3)
    books = (loaded.quantizer.acoustic.codebooks, codec.quantizer.acoustic.codebooks)
    torch.testing.assert_close(*books, rtol=1e-3, atol=1e-4)
    again = weights.load(voice)
    frames = torch.randint(1, 16, (1, 5, 4))
    torch.testing.assert_close(
        again.hidden_states(frames), model.hidden_states(frames), rtol=2e-2, atol=2e-2
    )
    assert (voice / "MODEL_CARD.md").read_text() == "kept"


def test_the_language_model_has_the_precision_of_bfloat16(voice: Path) -> None:
    tensors = load_file(voice / "lm.safetensors")
    heads = next(name for name in tensors if name.endswith("codebooks_head.weight"))
    tensors[heads] = tensors[heads][..., : CODEC.codebook_size]
    assert all(value.dtype == torch.float16 for value in tensors.values())
    assert all(torch.equal(value.bfloat16().half(), value) for value in tensors.values())


def test_what_is_trained_alone_lies_in_a_file_of_its_own(
    trained: tuple[Mimi, Csm], voice: Path
) -> None:
    index = json.loads((voice / "model.safetensors.index.json").read_text())["weight_map"]
    files = {name: {k for k, file in index.items() if file == name} for name in index.values()}
    assert set(files) == {"lm.safetensors", "enc.safetensors", "dec.safetensors"}
    assert not any(key.startswith("codec_model") for key in files["lm.safetensors"])
    assert all("codec_model.decoder" in k or "upsample" in k for k in files["dec.safetensors"])
    before = {name: (voice / name).read_bytes() for name in files}
    codec = create(CODEC, seed=2).requires_grad_(False)
    codec.load_state_dict(trained[0].state_dict())
    for parameter in (*codec.decoder.parameters(), *codec.decoder_transformer.parameters()):
        parameter.mul_(1.5)
    polished = export(codec, trained[1], voice.parent / "polished")
    same = [name for name in files if (polished / name).read_bytes() == before[name]]
    assert sorted(same) == ["enc.safetensors", "lm.safetensors"]


def test_an_old_single_file_does_not_stay_beside_new_shards(
    trained: tuple[Mimi, Csm], tmp_path: Path
) -> None:
    weights.save(trained[1], tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    export(*trained, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    weights.save(trained[1], tmp_path)
    assert not (tmp_path / "model.safetensors.index.json").exists()
    assert weights.load(tmp_path).config == trained[1].config


def test_no_audio_becomes_the_end_code(voice: Path) -> None:
    loaded = codecs.load(voice)
    torch.manual_seed(0)
    for level in (0.0, 0.01, 0.3, 3.0):
        codes = loaded.encode(level * torch.randn(4, 1, 8 * CODEC.frame_samples))
        assert int(codes[:, 0].min()) > 0


def test_no_reserved_code_is_the_likeliest(trained: tuple[Mimi, Csm], tmp_path: Path) -> None:
    codec, model = trained
    wild = copy.deepcopy(model)
    size = CODEC.codebook_size
    with torch.no_grad():
        wild.depth.heads[:, size:] *= 50.0
    hidden = torch.randn(200, model.config.backbone.width)
    codes = torch.randint(0, size, (200, model.config.num_codebooks))
    shipped = weights.load(export(codec, wild, tmp_path)).float()
    with torch.no_grad():
        before, after = (m.depth_logits(hidden, codes) for m in (wild, shipped))
        rounded = wild.bfloat16().float().depth_logits(hidden, codes)
    assert int(before.argmax(-1).max()) >= size
    assert int(after.argmax(-1).max()) < size
    torch.testing.assert_close(after[..., :size], rounded[..., :size], rtol=1e-2, atol=1e-2)


def test_transformers_reads_it(trained: tuple[Mimi, Csm], voice: Path) -> None:
    theirs = CsmForConditionalGeneration.from_pretrained(voice).float().eval()
    model = weights.load(voice).float()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(voice / "tokenizer.json"))
    ids = tokenizer("[1]On 12 May it costs $3.")["input_ids"]
    assert ids == TextTokenizer.from_directory(voice).encode(1, "On 12 May it costs $3.")
    frames = torch.full((1, len(ids), 4), -1)
    frames[0, :, -1] = torch.tensor(ids)
    with torch.no_grad():
        logits = theirs(input_ids=torch.tensor([ids])).logits[0, -1]
    torch.testing.assert_close(
        model.lm_head(model.hidden_states(frames)[0, -1]), logits, rtol=1e-4, atol=1e-4
    )
    codes = torch.randint(1, CODEC.codebook_size, (1, 3, 4))
    with torch.no_grad():
        audio = theirs.codec_model.float().decode(codes).audio_values
    torch.testing.assert_close(codecs.load(voice).decode(codes), audio, rtol=1e-4, atol=1e-4)


def test_the_ways_to_sample_are_written_down(voice: Path) -> None:
    values = json.loads((voice / "generation_config.json").read_text())
    assert values["depth_decoder_temperature"] < values["temperature"]
    assert values["eos_token_id"] == shape.TOKEN_IDS.eos_token_id


def test_a_codec_of_another_size_is_refused(trained: tuple[Mimi, Csm], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="num_codebooks is 4 in the language model; allowed: the codec's 3"
    ):
        export(trained[0], small(num_codebooks=4), tmp_path)
