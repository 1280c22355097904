"""The native model draws what `Csm` draws: in fp32 the same codes, in bf16 and int8 nearly."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingParams, SamplingRows
from services.generator.native.native_csm import PREFILL_ROWS, NativeCsm, WeightFormat
from services.native import levels
from tests.generator.native.harness import (
    CONFIGS,
    GREEDY,
    GROUPED,
    KINDS,
    PAIRED,
    Frames,
    Loop,
    prompt,
)

SLOTS = len(KINDS)
FRAMES = 20
LEVELS = pytest.mark.parametrize("level", levels.available(), ids=lambda level: level.name)
BY_PAIRS, BY_LANES = levels.named("avx512bf16"), levels.named("avx512")
NEEDS_PAIRS = pytest.mark.skipif(
    BY_PAIRS not in levels.available(), reason="no products of bf16 pairs"
)
SHAPES = pytest.mark.parametrize("name", sorted(CONFIGS))


def run_all(model: Csm | NativeCsm, params: tuple[SamplingParams, ...] = KINDS, **kwargs) -> Frames:
    loop = Loop(model, len(params))
    for slot, kind in enumerate(params):
        frames = prompt(model.config, slot)[: 37 - 5 * slot]
        loop.begin(slot, seed=100 + slot, params=kind, frames=frames)
    return loop.run(FRAMES, **kwargs)


def same_frames(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The share of frames whose codes are all equal."""
    equal = (torch.stack(ours) == torch.stack(theirs)).all(dim=-1)
    return equal.double().mean().item()


def largest_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    return (torch.stack(ours) - torch.stack(theirs)).abs().max().item()


@LEVELS
@SHAPES
def test_fp32_gives_the_states_and_the_codes_of_csm(name: str, level: levels.Level) -> None:
    theirs = weights.create(CONFIGS[name], seed=3)
    ours = NativeCsm(theirs, "fp32", threads=1, level=level)
    expected = run_all(theirs)
    got = run_all(ours, forced=expected.codes)
    assert largest_difference(got.hidden, expected.hidden) < 1e-5
    # A draw may turn where two codes race to the last bit; none of these does so here.
    assert same_frames(got.codes, expected.codes) >= 0.99


@SHAPES
def test_greedy_frames_of_their_own_making_stay_equal(name: str) -> None:
    theirs = weights.create(CONFIGS[name], seed=4)
    params = (GREEDY,) * 5
    expected = run_all(theirs, params)
    got = run_all(NativeCsm(theirs, threads=1), params)
    assert torch.equal(torch.stack(got.codes), torch.stack(expected.codes))
    assert len({tuple(codes) for codes in torch.stack(got.codes).flatten(0, 1).tolist()}) > 20


# Weights rounded to 8 bits of mantissa leave a relative error of 2**-9 a weight, rounded to int8 of
# the largest of an output one of about 1/250 of the weights' spread, activations likewise. Random
# weights are the hard case: nothing was trained to be robust.
@LEVELS
@pytest.mark.parametrize(("kind", "tolerance"), [("bf16", 0.01), ("int8", 0.04)])
@SHAPES
def test_rounded_weights_give_states_near_those_of_csm(
    name: str, kind: str, tolerance: float, level: levels.Level
) -> None:
    theirs = weights.create(CONFIGS[name], seed=5)
    ours = NativeCsm(theirs, kind, threads=1, level=level)  # type: ignore[arg-type]
    params = (GREEDY,) * 4
    expected = run_all(theirs, params)
    got = run_all(ours, params, forced=expected.codes)
    difference = torch.stack(got.hidden) - torch.stack(expected.hidden)
    relative = (difference.norm() / torch.stack(expected.hidden).norm()).item()
    assert 1e-6 < relative < tolerance
    first = [frame[:, :1] for frame in got.codes], [frame[:, :1] for frame in expected.codes]
    assert same_frames(*first) > 0.85


@SHAPES
def test_a_model_in_bf16_keeps_its_cache_in_bf16(name: str) -> None:
    theirs = weights.create(CONFIGS[name], seed=6, dtype=torch.bfloat16)
    ours = NativeCsm(theirs, "bf16", threads=1)
    loop = Loop(ours, 2)
    assert loop.cache.keys.dtype == torch.bfloat16
    # The yardstick is the same model without any rounding but that of its weights.
    wide = Csm(theirs.config)
    wide.load_state_dict(theirs.state_dict())
    params = (GREEDY,) * 4
    expected = run_all(wide, params)
    got = run_all(ours, params, forced=expected.codes)
    by_torch = run_all(theirs, params, forced=expected.codes)
    exact = torch.stack(expected.hidden)
    ours_off = (torch.stack(got.hidden) - exact).norm() / exact.norm()
    theirs_off = (torch.stack(by_torch.hidden) - exact).norm() / exact.norm()
    assert ours_off < 0.01
    assert ours_off < theirs_off


@LEVELS
@pytest.mark.parametrize("head_dim", [20, 32, 64, 96])
@pytest.mark.parametrize("group", [1, 2, 3, 4, 7])
def test_heads_of_every_kind_over_bf16_keys_and_values(
    group: int, head_dim: int, level: levels.Level
) -> None:
    backbone = replace(PAIRED.backbone, heads=2 * group, head_dim=head_dim)
    theirs = weights.create(replace(PAIRED, backbone=backbone), seed=9, dtype=torch.bfloat16)
    exact = Csm(theirs.config)
    exact.load_state_dict(theirs.state_dict())
    ours = NativeCsm(theirs, "bf16", threads=1, level=level)
    frames = torch.cat([prompt(PAIRED, seed) for seed in range(3)])
    with torch.inference_mode():
        expected = exact.prefill(frames, 0, 0, exact.allocate_cache(1, 160))
        got = ours.prefill(frames, 0, 0, ours.allocate_cache(1, 160)).float()
    assert ((got - expected).norm() / expected.norm()).item() < 0.02


def _between_levels(theirs: Csm, kind: WeightFormat) -> float:
    """How far a state made by pairs is from one that is not."""
    states = []
    for level in (BY_PAIRS, BY_LANES):
        ours = NativeCsm(theirs, kind, threads=1, level=level)
        cache = ours.allocate_cache(1, 80)
        states.append(ours.prefill(prompt(theirs.config, 1), 0, 0, cache))
    return ((states[0] - states[1]).norm() / states[1].norm()).item()


@NEEDS_PAIRS
def test_attention_goes_by_pairs_where_heads_fit() -> None:
    # Products of int8 are the same in both.
    def off(name: str) -> float:
        return _between_levels(weights.create(CONFIGS[name], seed=9, dtype=torch.bfloat16), "int8")

    assert 0 < off("paired") < 0.02
    assert off("grouped") == 0


@NEEDS_PAIRS
def test_bf16_weights_are_multiplied_by_pairs() -> None:
    # A cache in fp32: attention is the same in both.
    theirs = weights.create(GROUPED, seed=9)
    assert 0 < _between_levels(theirs, "bf16") < 0.01
    assert _between_levels(theirs, "fp32") == 0


def test_a_prefill_longer_than_one_pass_is_that_of_csm() -> None:
    theirs = weights.create(GROUPED, seed=7)
    ours = NativeCsm(theirs, threads=1)
    frames = torch.cat([prompt(GROUPED, seed) for seed in range(4)])
    assert len(frames) > 2 * PREFILL_ROWS
    caches = [theirs.allocate_cache(2, 160), ours.allocate_cache(2, 160)]
    with torch.inference_mode():
        expected = theirs.prefill(frames, 0, 1, caches[0])
        got = ours.prefill(frames, 0, 1, caches[1])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(caches[1].keys, caches[0].keys, atol=1e-5, rtol=0)
    torch.testing.assert_close(caches[1].values, caches[0].values, atol=1e-5, rtol=0)
    assert not caches[1].keys[:, 0].any()


def test_a_held_row_does_not_end() -> None:
    config = CONFIGS["five_books"]
    theirs = weights.create(config, seed=8)
    with torch.no_grad():
        # Code 0 of codebook 0 becomes by far the likeliest: row 0 of the head along the state.
        theirs.lm_head.weight[0] = 50.0
    ours = NativeCsm(theirs, threads=1)
    hidden = torch.ones(3, config.backbone.width)
    sampling = SamplingRows(3)
    sampling.set(2, SamplingParams(1.0, 1.0, 3, 0.9))
    noise = Noise(3, config.num_codebooks, config.audio_vocab_size).fill(torch.ones(3).bool())
    free = ours.sample_frame(hidden, sampling, noise)
    assert free[:, 0].tolist() == [0, 0, 0]
    sampling.hold(torch.tensor([False, True, True]))
    held = ours.sample_frame(hidden, sampling, noise)
    assert held[0].tolist() == free[0].tolist()
    assert (held[1:, 0] > 0).all()
    with torch.inference_mode():
        assert torch.equal(held, theirs.sample_frame(hidden, sampling, noise))


def test_reserved_codes_are_never_drawn_and_ties_with_the_kth_stay() -> None:
    config = CONFIGS["five_books"]
    theirs = weights.create(config, seed=9)
    with torch.no_grad():
        theirs.lm_head.weight.zero_()
        theirs.depth.heads.zero_()
    ours = NativeCsm(theirs, threads=1)
    slots = 6
    sampling = SamplingRows(slots)
    for slot in range(slots):
        sampling.set(slot, SamplingParams(1.0, 1.0, 1, 1.0))
    noise = Noise(slots, config.num_codebooks, config.audio_vocab_size)
    drawn = torch.stack(
        [
            ours.sample_frame(torch.ones(slots, config.backbone.width), sampling, draws)
            for draws in (noise.fill(torch.ones(slots).bool()).clone() for _ in range(60))
        ]
    )
    # All codes tie with the first, so all stay, in spite of top_k 1; none at or past codebook_size.
    assert set(drawn.unique().tolist()) == set(range(config.codebook_size))


def test_only_active_rows_are_drawn_and_stepped() -> None:
    config = CONFIGS["scaled"]
    ours = NativeCsm(weights.create(config, seed=10), threads=1)
    loop = Loop(ours, 4)
    for slot in range(4):
        loop.begin(slot, seed=slot, params=KINDS[slot], frames=prompt(config, slot))
    active = torch.tensor([False, True, False, True])
    noise = loop.noise.fill(torch.ones(4).bool())
    every = ours.sample_frame(loop.hidden, loop.sampling, noise)
    some = ours.sample_frame(loop.hidden, loop.sampling, noise, active)
    assert torch.equal(some[active], every[active])
    assert not some[~active].any()
    before = loop.cache.keys.clone()
    loop.positions[0] = 1 << 40  # of an inactive row anything may stand here
    states = ours.backbone_step(every, loop.positions, active, loop.cache)
    assert not states[~active].any()
    assert torch.equal(loop.cache.keys[:, ~active], before[:, ~active])
    assert not torch.equal(loop.cache.keys[:, active], before[:, active])
    nobody = torch.zeros(4).bool()
    assert not ours.backbone_step(every, loop.positions, nobody, loop.cache).any()
    assert not ours.sample_frame(loop.hidden, loop.sampling, noise, nobody).any()


@pytest.fixture(scope="module")
def model() -> NativeCsm:
    return NativeCsm(weights.create(GROUPED, seed=1), threads=1)


class TestWhatItRefuses:
    def test_a_position_outside_the_cache(self, model: NativeCsm) -> None:
        cache = model.allocate_cache(1, 10)
        codes, active = torch.zeros(1, 3, dtype=torch.int64), torch.ones(1).bool()
        for position in (-1, 10):
            with pytest.raises(ValueError, match=rf"positions: {position} .*\[0, 9\]"):
                model.backbone_step(codes, torch.tensor([position]), active, cache)
        with pytest.raises(ValueError, match="start: 8 is not allowed"):
            model.prefill(prompt(GROUPED, 0)[:3], 8, 0, cache)

    def test_a_cache_of_another_model(self, model: NativeCsm) -> None:
        other = weights.create(CONFIGS["scaled"]).allocate_cache(1, 10)
        with pytest.raises(ValueError, match="cache: shapes"):
            model.prefill(prompt(GROUPED, 0)[:3], 0, 0, other)
        narrow = weights.create(GROUPED, dtype=torch.bfloat16).allocate_cache(1, 10)
        with pytest.raises(ValueError, match=r"bfloat16 .* must be torch.float32"):
            model.prefill(prompt(GROUPED, 0)[:3], 0, 0, narrow)

    def test_noise_for_fewer_rows(self, model: NativeCsm) -> None:
        with pytest.raises(ValueError, match=r"noise: shape \[1, 3, 16\]"):
            model.sample_frame(torch.zeros(2, 64), SamplingRows(2), torch.ones(1, 3, 16))

    def test_weights_threads_dtypes_and_levels_that_there_are_not(self) -> None:
        csm = weights.create(GROUPED)
        with pytest.raises(ValueError, match="weights: 'int4' is not allowed"):
            NativeCsm(csm, "int4")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="threads: 0 is not allowed"):
            NativeCsm(csm, threads=0)
        with pytest.raises(ValueError, match="float16 on cpu is not allowed"):
            NativeCsm(csm.to(torch.float16))
        with pytest.raises(ValueError, match="level: 'avx9' is not allowed"):
            levels.named("avx9")


def test_the_torch_model_can_be_let_go_and_int8_is_a_quarter_of_it() -> None:
    csm = weights.create(CsmConfig.named("pico"))
    ours = NativeCsm(csm, "int8", threads=1)
    embeddings = csm.text_embeddings.nbytes + csm.audio_embeddings.nbytes
    matrices = sum(each.nbytes for each in csm.parameters()) - embeddings
    assert ours.nbytes < matrices / 3.5
    gone = weakref.ref(csm.backbone.layers[0].qkv.weight)
    del csm
    gc.collect()
    assert gone() is None
