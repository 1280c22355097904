"""Level `amx` on any machine, over tiles and AVX-512 in plain C++: the promises of every level."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.generator.model import weights
from services.generator.model.csm import Csm
from services.generator.native.library import INTERFACE
from services.generator.native.native_csm import PREFILL_ROWS, NativeCsm
from services.native import levels
from services.native.levels import Level
from tests.generator.native.harness import (
    CONFIGS,
    GREEDY,
    PAIRED,
    Loop,
    assert_all_alike,
    cut_prefills,
    prompt,
)
from tests.generator.native.test_native_company import assert_same, company, make
from tests.native.emulated import reader, watched

ROOT = Path(__file__).resolve().parents[3]
AMX = levels.named("amx")
KINDS = pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
PACKED = pytest.mark.parametrize("kind", ["bf16", "int8"])
NAMES = pytest.mark.parametrize("name", sorted(CONFIGS))


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Level]:
    with watched(monkeypatch, INTERFACE) as level:
        yield level


@KINDS
@NAMES
def test_alone_and_among_two_to_nine(name: str, kind: str, emulated: Level) -> None:
    model = make(name, kind, level=emulated)
    alone = company(model, 1, 0, seed=1)
    for slots in (2, 3, 4, 9):
        assert_same(company(model, slots, slots // 2, seed=slots), alone)


@PACKED
@NAMES
def test_on_one_thread_and_on_several(name: str, kind: str, emulated: Level) -> None:
    one = company(make(name, kind, level=emulated), 3, 1, seed=4)
    for threads in (2, 3):
        model = make(name, kind, threads=threads, level=emulated)
        assert_same(company(model, 3, 1, seed=4), one)


@PACKED
@pytest.mark.parametrize("name", ["grouped", "paired"])
def test_however_a_prefill_is_cut(name: str, kind: str, emulated: Level) -> None:
    # Keys and values in bf16, whatever the weights are.
    theirs = weights.create(CONFIGS[name], seed=2, dtype=torch.bfloat16)
    model = NativeCsm(theirs, kind, threads=2, level=emulated)  # type: ignore[arg-type]
    frames = torch.cat([prompt(CONFIGS[name], seed) for seed in range(4)])
    # What stood there before reaches nobody.
    cuts = (len(frames), PREFILL_ROWS, 23, 3, 1)
    whole = cut_prefills(model, frames, cuts, 160, before=float("nan"))
    results = [(hidden, k[..., :148, :], v[..., :148, :]) for hidden, k, v in whole]
    assert not results[0][0].isnan().any()
    assert_all_alike(results)


def test_a_row_that_is_no_number_reaches_no_row_before_it(emulated: Level) -> None:
    theirs = weights.create(PAIRED, seed=2, dtype=torch.bfloat16)
    model = NativeCsm(theirs, "bf16", threads=1, level=emulated)
    frames = torch.cat([prompt(PAIRED, seed) for seed in range(2)])
    wrong = 45
    frames[:, -1].clamp_(max=PAIRED.text_vocab_size - 2)
    frames[wrong, -1] = PAIRED.text_vocab_size - 1
    whole, broken = model.allocate_cache(1, 160), model.allocate_cache(1, 160)
    model.prefill(frames, 0, 0, whole)
    theirs.text_embeddings[-1] = torch.nan
    assert model.prefill(frames, 0, 0, broken).isnan().any()
    for ours, others in ((whole.keys, broken.keys), (whole.values, broken.values)):
        assert torch.equal(ours[..., :wrong, :], others[..., :wrong, :])
        assert others[1:, 0, :, wrong : len(frames)].isnan().all()


@pytest.mark.parametrize(("kind", "tolerance"), [("fp32", 1e-5), ("bf16", 0.01), ("int8", 0.04)])
@NAMES
def test_states_are_near_those_of_csm(
    name: str, kind: str, tolerance: float, emulated: Level
) -> None:
    theirs = weights.create(CONFIGS[name], seed=5)
    ours = NativeCsm(theirs, kind, threads=1, level=emulated)  # type: ignore[arg-type]
    states = []
    for model in (theirs, ours):
        loop = Loop(model, 5)
        for slot in range(5):
            loop.begin(slot, 100 + slot, GREEDY, prompt(theirs.config, slot)[: 37 - 5 * slot])
        forced = [torch.full((5, theirs.config.num_codebooks), index) for index in range(6)]
        states.append(torch.stack(loop.run(6, forced).hidden))
    assert ((states[1] - states[0]).norm() / states[0].norm()).item() < tolerance


@pytest.mark.parametrize("head_dim", [32, 64, 96])
@pytest.mark.parametrize("group", [1, 3, 4, 7])
def test_heads_of_every_kind_over_bf16_keys_and_values(
    group: int, head_dim: int, emulated: Level
) -> None:
    backbone = replace(PAIRED.backbone, heads=2 * group, head_dim=head_dim)
    theirs = weights.create(replace(PAIRED, backbone=backbone), seed=9, dtype=torch.bfloat16)
    exact = Csm(theirs.config)
    exact.load_state_dict(theirs.state_dict())
    ours = NativeCsm(theirs, "bf16", threads=1, level=emulated)
    frames = torch.cat([prompt(PAIRED, seed) for seed in range(3)])
    with torch.inference_mode():
        expected = exact.prefill(frames, 0, 0, exact.allocate_cache(1, 160))
        got = ours.prefill(frames, 0, 0, ours.allocate_cache(1, 160)).float()
    assert ((got - expected).norm() / expected.norm()).item() < 0.02


def test_tiles_serve_four_rows_and_more_and_avx512_fewer(emulated: Level) -> None:
    # Keys and values in fp32: attention takes no tiles.
    use = reader(INTERFACE)
    for kind in ("bf16", "int8"):
        theirs = weights.create(CONFIGS["grouped"], seed=2)
        model = NativeCsm(theirs, kind, threads=1, level=emulated)  # type: ignore[arg-type]
        cache = model.allocate_cache(1, 80)
        before = use().products
        model.prefill(prompt(model.config, 1)[:3], 0, 0, cache)
        assert use().products == before
        model.prefill(prompt(model.config, 1)[:4], 3, 0, cache)
        assert use().products > before


COMPANY = """
from services.generator.model import weights
from services.generator.native.library import INTERFACE
from services.generator.native.native_csm import NativeCsm
from services.native import levels
from tests.generator.native.harness import CONFIGS, prompt, assert_all_alike, cut_prefills
from tests.generator.native.test_native_company import assert_same, company, make
from tests.native.emulated import EMULATED, reader

levels.available = lambda: [EMULATED]
model = make("paired", "bf16", level=EMULATED)
alone = company(model, 1, 0, seed=1)
for slots in (2, 5):
    assert_same(company(model, slots, slots - 1, seed=slots), alone)

use = reader(INTERFACE)
# Keys and values in fp32: attention takes no tiles.
model = NativeCsm(weights.create(CONFIGS["grouped"], seed=2), "bf16", threads=1, level=EMULATED)
before = use().products
model.prefill(prompt(model.config, 1)[:1], 0, 0, model.allocate_cache(1, 80))
print(use().products - before, use().faults, use().held)
"""


def test_where_tiles_sum_in_another_order_they_serve_every_row() -> None:
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CSM_EMULATED_ORDER": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPANY],
        env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    products, faults, held = map(int, done.stdout.split())
    assert products > 0
    assert (faults, held) == (0, 0)


@pytest.mark.skipif(AMX not in levels.available(), reason="this processor has no tiles to compare")
@KINDS
@NAMES
def test_real_tiles_give_the_bits_of_emulated_ones(name: str, kind: str, emulated: Level) -> None:
    real = company(make(name, kind, level=AMX), 6, 2, seed=3)
    assert_same(real, company(make(name, kind, level=emulated), 6, 2, seed=3))
