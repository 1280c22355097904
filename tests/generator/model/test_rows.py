"""A row of the batch is the same bit for bit whatever its neighbours are and wherever it sits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from services.generator.model import rows, weights
from services.generator.model.attention import LiveAttention, MaskedAttention
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingParams, SamplingRows
from tests.generator.model import oracle as model_oracle

CONFIGS = {**model_oracle.ODD_CONFIGS, "pico": CsmConfig.named("pico")}
POSITIONS = 90


@pytest.fixture
def threads(request: pytest.FixtureRequest):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


class Company:
    """Random neighbours around one row of interest."""

    def __init__(self, model: Csm, slots: int, seed: int) -> None:
        self.model, self.slots = model, slots
        self.random = torch.Generator().manual_seed(seed)
        numbers = np.random.default_rng(17)
        self.prompt = torch.tensor(model_oracle.random_frames(model.config, numbers))

    def integers(self, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, high, shape, generator=self.random)

    @torch.inference_mode()
    def run(self, slot: int, seed: int, params: SamplingParams, frames: int, occupied: float):
        """Run `frames` frames of the row of interest at `slot`; return its hidden states and codes.

        The neighbours' caches, codes, positions, parameters and activity are random every step.
        """
        model, config, slots = self.model, self.model.config, self.slots
        cache = model.allocate_cache(slots, POSITIONS)
        cache.keys.normal_(generator=self.random)
        cache.values.normal_(generator=self.random)
        sampling = SamplingRows(slots)
        noise = Noise(slots, config.num_codebooks, config.audio_vocab_size)
        kinds = (
            SamplingParams(0.5, 1.3, 7, 0.8),
            SamplingParams(0.0, 0.0, 0, 1.0),
            SamplingParams(1.0, 0.4, 0, 0.3),
            SamplingParams(2.0, 0.0, 30, 1.0),
        )
        for other in range(slots):
            sampling.set(other, kinds[int(self.integers(4, 1))])
            noise.seed(other, int(self.integers(2**31, 1)))
        sampling.set(slot, params)
        noise.seed(slot, seed)
        hidden = torch.randn(slots, config.backbone.width, generator=self.random)
        hidden = hidden.to(model.dtype)
        hidden[slot] = model.prefill(self.prompt, 0, slot, cache)
        states, made = [hidden[slot].clone()], []
        for index in range(frames):
            active = torch.rand(slots, generator=self.random) < occupied
            active[slot] = True
            codes = model.sample_frame(hidden, sampling, noise.fill(active))
            made.append(codes[slot].clone())
            previous = self.integers(config.codebook_size, slots, config.num_codebooks)
            previous[slot] = codes[slot]
            positions = self.integers(POSITIONS, slots)
            positions[slot] = len(self.prompt) + index
            before = cache.keys.clone(), cache.values.clone()
            hidden = model.backbone_step(previous, positions, active, cache)
            for old, new in zip(before, (cache.keys, cache.values), strict=True):
                assert torch.equal(old[:, ~active], new[:, ~active])
            states.append(hidden[slot].clone())
        return torch.stack(states), torch.stack(made)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("name", "slots", "threads"),
    [
        ("five_books", 3, 1),
        ("five_books", 11, 1),
        ("scaled", 2, 1),
        ("scaled", 6, 1),
        ("pico", 5, 1),
        ("five_books", 6, 2),
        ("pico", 7, 2),
    ],
    indirect=["threads"],
)
def test_a_row_is_bit_equal_in_any_slot_and_company(
    name: str, slots: int, dtype: torch.dtype, threads: int
) -> None:
    model = weights.create(CONFIGS[name], seed=1, dtype=dtype)
    params = SamplingParams(0.9, 0.7, 20, 0.95)
    frames = 3
    alone = Company(model, slots, seed=0).run(0, 99, params, frames, occupied=0.0)
    assert alone[1].unique().numel() > 4
    for seed, slot in enumerate(sorted({0, 1, slots // 2, slots - 1}), start=1):
        company = Company(model, slots, seed).run(slot, 99, params, frames, occupied=0.7)
        assert torch.equal(company[0], alone[0])
        assert torch.equal(company[1], alone[1])


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("count", [2, 3, 5, 6, 7, 8, 9, 11, 12, 16])
def test_linear_rows_do_not_depend_on_their_place(count: int, threads: int) -> None:
    generator = torch.Generator().manual_seed(count)
    for width, out in ((320, 640), (896, 320), (30, 33), (36, 67), (192, 515)):
        weight = torch.randn(out, width, generator=generator)
        row = torch.randn(width, generator=generator)
        results = []
        for place in range(count):
            batch = torch.randn(count, width, generator=generator)
            batch[place] = row
            with torch.inference_mode():
                results.append(rows.linear(batch, weight)[place])
        assert all(torch.equal(result, results[0]) for result in results), (width, out)


def test_silu_is_the_same_in_a_vectors_body_and_in_its_tail() -> None:
    x = torch.randn(1003) * 5
    with torch.inference_mode():
        whole = rows.silu(x)
        single = torch.cat([rows.silu(value[None]) for value in x])
    assert torch.equal(whole, single)
    torch.testing.assert_close(whole, torch.nn.functional.silu(x))
    with torch.inference_mode():
        assert torch.equal(rows.silu(torch.tensor([-1e4, 0.0])), torch.tensor([0.0, 0.0]))


@torch.inference_mode()
@pytest.mark.parametrize("name", sorted(model_oracle.ODD_CONFIGS))
def test_masked_attention_equals_the_live_one_and_leaves_inactive_rows_alone(name: str) -> None:
    config = CONFIGS[name].backbone
    slots, max_positions = 5, 40
    generator = torch.Generator().manual_seed(3)
    results, caches = [], []
    positions = torch.tensor([0, 39, 7, 1000, 12])
    active = torch.tensor([True, True, False, False, True])
    for kind in (LiveAttention, MaskedAttention):
        generator.manual_seed(3)
        shape = (slots, config.kv_heads, max_positions, config.head_dim)
        cache = weights.create(CONFIGS[name]).allocate_cache(slots, max_positions)
        cache.keys[1].copy_(torch.randn(shape, generator=generator))
        cache.values[1].copy_(torch.randn(shape, generator=generator))
        before = cache.keys.clone()
        q = torch.randn(slots, config.heads, config.head_dim, generator=generator)
        k = torch.randn(slots, config.kv_heads, config.head_dim, generator=generator)
        v = torch.randn(slots, config.kv_heads, config.head_dim, generator=generator)
        results.append(kind(cache, positions, active)(1, q, k, v)[active])
        caches.append(cache)
        assert torch.equal(cache.keys[:, ~active], before[:, ~active])
        assert torch.equal(cache.keys[1, 0, :, 0], k[0])
        assert torch.equal(cache.keys[1, 1, :, 39], k[1])
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=0)
    assert torch.equal(caches[0].keys, caches[1].keys)
    assert torch.equal(caches[0].values, caches[1].values)
