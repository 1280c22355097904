"""The levels of ARM, run by an emulator: the frames of `Csm`, and the promises bit by bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from services.generator.model import weights
from services.generator.model.csm import Csm
from services.generator.native.native_csm import PREFILL_ROWS, NativeCsm
from services.native import levels
from services.native.levels import Level
from tests.generator.native.harness import (
    CONFIGS,
    GREEDY,
    KINDS,
    Frames,
    Loop,
    assert_all_alike,
    cut_prefills,
    prompt,
)
from tests.native.emulator import emulated, emulated_levels, needs_emulator, shapes

pytestmark = needs_emulator
KIND = pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
SHAPES = shapes(sorted(CONFIGS), quick=["paired"])
AVX2 = levels.named("avx2")


@pytest.fixture(autouse=True)
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with emulated(monkeypatch, "generator"):
        yield


def by_torch(name: str, kind: str) -> Csm:
    """A model in bf16 keeps bf16 keys and values, the others fp32."""
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    return weights.create(CONFIGS[name], seed=2, dtype=dtype)


def make(name: str, kind: str, level: Level, threads: int = 1) -> NativeCsm:
    theirs = by_torch(name, kind)
    return NativeCsm(theirs, kind, threads=threads, level=level)  # type: ignore[arg-type]


def run(model: Csm | NativeCsm, slots: int, frames: int = 4, forced=None) -> Frames:
    loop = Loop(model, slots)
    for slot in range(slots):
        start = prompt(model.config, slot)[: 37 - 4 * slot]
        loop.begin(slot, 100 + slot, KINDS[slot % len(KINDS)], start)
    return loop.run(frames, forced)


def assert_same(got: Frames, expected: Frames) -> None:
    assert torch.equal(torch.stack(got.codes), torch.stack(expected.codes))
    assert torch.equal(torch.stack(got.hidden), torch.stack(expected.hidden))


@emulated_levels
@SHAPES
def test_fp32_gives_the_states_and_the_codes_of_csm(name: str, level: Level) -> None:
    theirs = weights.create(CONFIGS[name], seed=3)
    expected = run(theirs, 5)
    got = run(NativeCsm(theirs, "fp32", threads=1, level=level), 5, forced=expected.codes)
    difference = torch.stack(got.hidden) - torch.stack(expected.hidden)
    assert difference.abs().max().item() < 1e-5
    assert torch.equal(torch.stack(got.codes), torch.stack(expected.codes))


@emulated_levels
@KIND
@SHAPES
def test_rounded_weights_give_states_near_those_of_csm(name: str, kind: str, level: Level) -> None:
    ours = make(name, kind, level)
    exact = Csm(CONFIGS[name])
    exact.load_state_dict(by_torch(name, kind).state_dict())
    expected = run(exact, 4)
    got = run(ours, 4, forced=expected.codes)
    difference = torch.stack(got.hidden) - torch.stack(expected.hidden)
    relative = (difference.norm() / torch.stack(expected.hidden).norm()).item()
    assert relative < {"fp32": 1e-5, "bf16": 0.012, "int8": 0.04}[kind]


@pytest.mark.skipif(AVX2 not in levels.available(), reason="no AVX2 to compare with")
@emulated_levels
@KIND
@SHAPES
def test_it_has_the_bits_of_avx2(name: str, kind: str, level: Level) -> None:
    """Both add the same halves upon halves; products of int8 are exact everywhere."""
    if kind == "bf16" and level.name == "neonbf16":
        pytest.skip("sums of pairs are rounded otherwise")
    expected = run(make(name, kind, AVX2), 3)
    assert_same(run(make(name, kind, level), 3), expected)


def company(model: NativeCsm, slots: int, slot: int, seed: int) -> Frames:
    """One row of interest at `slot`, all others something else each time."""
    loop = Loop(model, slots)
    for other in range(slots):
        if other != slot:
            frames = prompt(model.config, seed + other)[: 3 + other]
            loop.begin(other, seed * 31 + other, KINDS[(seed + other) % len(KINDS)], frames)
    loop.begin(slot, 7, KINDS[0], prompt(model.config, 1))
    result = loop.run(2)
    return Frames([h[slot] for h in result.hidden], [c[slot] for c in result.codes])


@emulated_levels
@KIND
@SHAPES
def test_alone_and_among_two_to_nine_on_one_thread_and_on_several(
    name: str, kind: str, level: Level
) -> None:
    model = make(name, kind, level)
    alone = company(model, 1, 0, seed=1)
    for slots in range(2, 10):
        assert_same(company(model, slots, slots // 2, seed=slots), alone)
    for threads in (2, 3):
        assert_same(company(make(name, kind, level, threads), 3, 1, seed=4), alone)


@emulated_levels
@KIND
@shapes(["grouped", "paired"], quick=["paired"])
def test_however_a_prefill_is_cut(name: str, kind: str, level: Level) -> None:
    model = make(name, kind, level, threads=2)
    frames = torch.cat([prompt(CONFIGS[name], seed) for seed in range(3)])
    assert_all_alike(cut_prefills(model, frames, (len(frames), PREFILL_ROWS, 23, 1), 120))


@emulated_levels
@KIND
def test_a_row_that_went_wrong_leaves_nothing_behind(kind: str, level: Level) -> None:
    model = make("paired", kind, level)
    expected = company(model, 2, 0, seed=6)
    cache = model.allocate_cache(2, 80)
    cache.keys.fill_(float("nan"))
    cache.values.fill_(float("nan"))
    codes = torch.zeros(2, model.config.num_codebooks, dtype=torch.int64)
    broken = model.backbone_step(codes, torch.tensor([5, 6]), torch.ones(2).bool(), cache)
    assert broken.isnan().all()
    assert_same(company(model, 2, 0, seed=6), expected)


@emulated_levels
def test_greedy_frames_of_their_own_making_stay_equal(level: Level) -> None:
    theirs = weights.create(CONFIGS["grouped"], seed=4)
    frames = []
    for model in (theirs, NativeCsm(theirs, threads=1, level=level)):
        loop = Loop(model, 1)
        loop.begin(0, 1, GREEDY, prompt(model.config, 0))
        frames.append(torch.stack(loop.run(12).codes))
    assert torch.equal(frames[0], frames[1])
    assert len(frames[0].unique(dim=0)) > 5
