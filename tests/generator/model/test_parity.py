"""The model against transformers' CsmForConditionalGeneration on the same weights, in fp32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CsmConfig as HfConfig
from transformers import CsmForConditionalGeneration
from transformers.models.csm.modeling_csm import CsmRotaryEmbedding

from services.generator.model import weights
from services.generator.model.config import CsmConfig, LlamaConfig, RopeScaling
from services.generator.model.csm import Csm
from services.generator.model.generate import generate
from services.generator.model.llama import Rope
from services.generator.model.prompt import PromptSegment, audio_frames, prompt_frames, text_frames
from services.generator.model.sampler import SamplingRows
from services.generator.model.sampling import GREEDY
from services.generator.model.text import TextTokenizer
from tests.generator.model import oracle as model_oracle

PICO = Path(__file__).parents[3] / "models" / "pico"
FRAME_SAMPLES = 1920

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=sorted(model_oracle.ODD_CONFIGS))
def pair(request: pytest.FixtureRequest) -> tuple[Csm, CsmForConditionalGeneration]:
    model = weights.create(model_oracle.ODD_CONFIGS[request.param], seed=1)
    return model, model_oracle.oracle(model)


def embedded_by(theirs: CsmForConditionalGeneration, frames: torch.Tensor) -> torch.Tensor:
    """Embed frames by transformers' own tables, [positions, width]."""
    rows = []
    for frame in frames:
        if frame[-1] >= 0:
            rows.append(theirs.embed_text_tokens(frame[-1]))
        else:
            rows.append(theirs.backbone_model.embed_tokens(frame[None, None, :-1])[0, 0])
    return torch.stack(rows)


@torch.inference_mode()
def test_backbone_logits_equal_the_oracles(pair) -> None:
    model, theirs = pair
    frames = torch.tensor(model_oracle.random_frames(model.config, np.random.default_rng(2)))
    expected = theirs(inputs_embeds=embedded_by(theirs, frames)[None]).logits[0]
    ours = model.lm_head(model.hidden_states(frames[None]))[0]
    assert expected.std() > 0.3
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_depth_logits_equal_the_oracles(pair) -> None:
    model, theirs = pair
    config = model.config
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(13, config.backbone.width, generator=generator)
    codes = torch.randint(0, config.codebook_size, (13, config.num_codebooks), generator=generator)
    placeholder = torch.nn.functional.pad(codes[:, :-1], (1, 0))
    expected = theirs.depth_decoder(
        input_ids=placeholder, backbone_last_hidden_state=hidden.clone()
    ).logits
    ours = model.depth_logits(hidden, codes)
    assert expected.std() > 0.3
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("chunk", [1, 2, 5, 64])
def test_prefill_in_chunks_and_steps_equals_the_whole_sequence(pair, chunk: int) -> None:
    model, _ = pair
    frames = torch.tensor(model_oracle.random_frames(model.config, np.random.default_rng(4)))
    expected = model.hidden_states(frames[None])[0]
    cache = model.allocate_cache(3, 64)
    for start in range(0, len(frames), chunk):
        part = frames[start : start + chunk]
        hidden = model.prefill(part, start, 1, cache)
        torch.testing.assert_close(hidden, expected[start + len(part) - 1], atol=1e-5, rtol=0)
    codes = torch.randint(0, model.config.codebook_size, (3, model.config.num_codebooks))
    active = torch.tensor([False, True, False])
    positions = torch.tensor([0, len(frames), 0])
    hidden = model.backbone_step(codes, positions, active, cache)[1]
    longer = torch.cat((frames, torch.nn.functional.pad(codes[1:2], (0, 1), value=-1)))
    expected = model.hidden_states(longer[None])[0, -1]
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_frame_loop_equals_the_teacher_forced_depth_logits(pair) -> None:
    model, _ = pair
    hidden = torch.randn(4, model.config.backbone.width)
    rows = SamplingRows(4)
    noise = torch.ones(4, model.config.num_codebooks, model.config.audio_vocab_size)
    codes = model.sample_frame(hidden, rows, noise)
    size = model.config.codebook_size
    again = model.depth_logits(hidden, codes)[..., :size].argmax(-1)
    assert torch.equal(codes[:, 1:], again)
    assert torch.equal(codes[:, 0], model.lm_head(hidden)[:, :size].argmax(-1))


def two_audio_segments(
    theirs: CsmForConditionalGeneration, config: CsmConfig, seed: int, vocab: int | None = None
) -> tuple[list[int], dict[str, torch.Tensor], np.ndarray]:
    """Make one prompt in both forms: transformers' ids and waveform, and our frames."""
    generator = np.random.default_rng(seed)
    lengths = [9 * FRAME_SAMPLES, 5 * FRAME_SAMPLES]
    audio = torch.tensor(generator.normal(size=sum(lengths)) * 0.3, dtype=torch.float32)
    books, special = config.num_codebooks, config.token_ids
    ids: list[int] = []
    ours = []
    for part in (*audio.split(lengths), None):
        text = generator.integers(3, vocab or config.text_vocab_size - 2, 6).tolist()
        ids += text
        ours.append(text_frames(text, books))
        if part is not None:
            codes = theirs.codec_model.encode(part[None, None]).audio_codes[0].T
            assert codes.unique().numel() > 5
            ids += [special.audio_token_id] * len(codes) + [special.audio_eos_token_id]
            ours.append(audio_frames(codes.numpy(), books, codebook_size=config.codebook_size))
    cutoffs = torch.tensor([lengths]).cumsum(-1)
    inputs = {"input_values": audio[None, None], "input_values_cutoffs": cutoffs}
    return ids, inputs, np.concatenate(ours)


@torch.inference_mode()
def test_greedy_frames_equal_the_oracles_own_generate_after_two_audio_segments(pair) -> None:
    model, theirs = pair
    ids, inputs, frames = two_audio_segments(theirs, model.config, seed=5)
    expected = model_oracle.their_greedy(theirs, ids, 50, **inputs)
    ours = generate(model, frames, GREEDY, 50)
    assert len(ours) == 50
    assert torch.equal(ours, expected)
    assert ours.unique(dim=0).shape[0] > 10


@torch.inference_mode()
def test_rope_scaling_changes_the_hidden_states_of_the_scaled_shape() -> None:
    scaled = weights.create(model_oracle.SCALED, seed=6)
    plain_config = replace(
        model_oracle.SCALED, backbone=replace(model_oracle.SCALED.backbone, rope_scaling=None)
    )
    plain = weights.create(plain_config, seed=6)
    frames = torch.tensor(model_oracle.random_frames(plain_config, np.random.default_rng(7)))[None]
    assert (scaled.hidden_states(frames) - plain.hidden_states(frames)).abs().max() > 0.01


def rope_frequencies(config: LlamaConfig) -> torch.Tensor:
    return Rope(config).inverse_frequencies()


@pytest.mark.parametrize("flavor", ["llama-1B", "llama-100M"])
def test_rope_frequencies_equal_in_sesames_numbers_and_in_transformers(flavor: str) -> None:
    config = LlamaConfig.flavor(flavor)
    assert config.rope_scaling == RopeScaling(32.0, 1.0, 4.0, 8192)
    # What transformers writes for the same wavelengths: `write_model` in convert_csm.py.
    rewritten = {
        "llama-1B": RopeScaling(32.0, 0.125, 0.5, 1024),
        "llama-100M": RopeScaling(32.0, 0.001953125, 0.0078125, 16),
    }[flavor]
    ours = rope_frequencies(config)
    torch.testing.assert_close(
        rope_frequencies(replace(config, rope_scaling=rewritten)), ours, rtol=1e-6, atol=0
    )
    plain = rope_frequencies(replace(config, rope_scaling=None))
    torch.testing.assert_close(ours[-1], plain[-1] / 32, rtol=1e-6, atol=0)
    assert torch.equal(ours[0], plain[0])
    theirs = HfConfig.from_dict(CsmConfig.named("csm-1b").to_dict())
    stack = theirs if flavor == "llama-1B" else theirs.depth_decoder_config
    torch.testing.assert_close(ours, CsmRotaryEmbedding(stack).inv_freq, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "text", ["hello there, my friend.", "Where did you put the other two keys?"]
)
@torch.inference_mode()
def test_pico_speaks_the_oracles_frames(text: str) -> None:
    model = weights.load(PICO)
    theirs = CsmForConditionalGeneration.from_pretrained(PICO, dtype=torch.float32).eval()
    tokenizer = TextTokenizer.from_directory(PICO, model.config.token_ids)
    expected = model_oracle.their_greedy(theirs, tokenizer.encode(0, text), 50)
    frames = prompt_frames([PromptSegment(0, text)], tokenizer, model.config.num_codebooks)
    ours = generate(model, frames, GREEDY, 50)
    assert len(ours) > 10
    assert torch.equal(ours, expected[: len(ours)])
    # Where ours ended by EOS, the oracle shows the EOS frame itself.
    assert len(expected) == len(ours) or not expected[len(ours)].any()


@torch.inference_mode()
def test_pico_logits_equal_the_oracles() -> None:
    model = weights.load(PICO)
    theirs = CsmForConditionalGeneration.from_pretrained(PICO, dtype=torch.float32).eval()
    frames = torch.tensor(model_oracle.random_frames(model.config, np.random.default_rng(8)))
    expected = theirs(inputs_embeds=embedded_by(theirs, frames)[None]).logits[0]
    ours = model.lm_head(model.hidden_states(frames[None]))[0]
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


def test_gradients_reach_every_weight() -> None:
    config = model_oracle.FIVE_BOOKS
    model = weights.create(config, seed=9).requires_grad_(True)
    with torch.inference_mode():
        frames = model_oracle.random_frames(config, np.random.default_rng(9))
        generate(model, frames, GREEDY, 3)
    rows = torch.tensor(frames)[None]
    hidden = model.hidden_states(rows)
    codes = torch.randint(0, config.codebook_size, (rows.shape[1], config.num_codebooks))
    loss = model.lm_head(hidden).square().mean() + model.depth_logits(hidden[0], codes).var()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
