"""A row's numbers are the same bit for bit, whoever runs beside it and however it is computed."""

from __future__ import annotations

import pytest
import torch

from services.generator.model import weights
from services.generator.model.sampler import SamplingParams, SamplingRows
from services.generator.native.native_csm import PREFILL_ROWS, NativeCsm
from services.native import levels
from tests.generator.native.harness import (
    CONFIGS,
    KINDS,
    Frames,
    Loop,
    assert_all_alike,
    cut_prefills,
    prompt,
)

FRAMES = 6
FORMATS = ("fp32", "bf16", "int8")
EVERY_FORMAT = pytest.mark.parametrize("kind", FORMATS)


def make(name: str, kind: str, *, threads: int = 1, level: levels.Level | None = None) -> NativeCsm:
    """A model in bf16 keeps bf16 keys and values, the others fp32."""
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    theirs = weights.create(CONFIGS[name], seed=2, dtype=dtype)
    return NativeCsm(theirs, kind, threads=threads, level=level)  # type: ignore[arg-type]


def company(model: NativeCsm, slots: int, slot: int, seed: int) -> Frames:
    """One row of interest at `slot`, all others something else each time."""
    loop = Loop(model, slots)
    generator = torch.Generator().manual_seed(seed)
    loop.cache.keys.normal_(generator=generator)
    loop.cache.values.normal_(generator=generator)
    for other in range(slots):
        if other != slot:
            frames = prompt(model.config, seed + other)[: 3 + 4 * other]
            loop.begin(other, seed * 31 + other, KINDS[(seed + other) % len(KINDS)], frames)
    loop.begin(slot, 7, KINDS[0], prompt(model.config, 1))
    result = loop.run(FRAMES)
    return Frames([h[slot] for h in result.hidden], [c[slot] for c in result.codes])


def assert_same(got: Frames, expected: Frames) -> None:
    assert torch.equal(torch.stack(got.codes), torch.stack(expected.codes))
    assert torch.equal(torch.stack(got.hidden), torch.stack(expected.hidden))


@EVERY_FORMAT
@pytest.mark.parametrize("level", levels.available(), ids=lambda level: level.name)
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_alone_and_among_two_to_nine(name: str, level: levels.Level, kind: str) -> None:
    model = make(name, kind, level=level)
    alone = company(model, 1, 0, seed=1)
    for slots in range(2, 10):
        for slot in {0, slots // 2, slots - 1}:
            assert_same(company(model, slots, slot, seed=slots), alone)


@EVERY_FORMAT
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_on_one_thread_and_on_several(name: str, kind: str) -> None:
    one = company(make(name, kind), 3, 1, seed=4)
    for threads in (2, 3):
        assert_same(company(make(name, kind, threads=threads), 3, 1, seed=4), one)


@EVERY_FORMAT
@pytest.mark.parametrize("name", ["grouped", "paired"])
def test_however_a_prefill_is_cut(name: str, kind: str) -> None:
    model = make(name, kind, threads=2)
    frames = torch.cat([prompt(CONFIGS[name], seed) for seed in range(4)])
    assert_all_alike(cut_prefills(model, frames, (len(frames), PREFILL_ROWS, 23, 1), 160))


@EVERY_FORMAT
@pytest.mark.parametrize("name", ["five_books", "paired"])
def test_a_step_is_the_prefill_of_one_frame(name: str, kind: str) -> None:
    model = make(name, kind)
    frames = prompt(model.config, 3)
    codes = torch.tensor([[3, 1, 4, 1, 5]])[:, : model.config.num_codebooks]
    caches = [model.allocate_cache(1, 60) for _ in range(2)]
    for cache in caches:
        model.prefill(frames, 0, 0, cache)
    stepped = model.backbone_step(codes, torch.tensor([37]), torch.ones(1).bool(), caches[0])
    frame = torch.cat([codes, torch.tensor([[-1]])], dim=1)
    filled = model.prefill(frame, 37, 0, caches[1])
    assert torch.equal(stepped[0], filled)
    assert torch.equal(caches[0].keys, caches[1].keys)


@EVERY_FORMAT
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_row_that_went_wrong_leaves_nothing_behind(name: str, kind: str) -> None:
    model = make(name, kind)
    expected = company(model, 2, 0, seed=6)
    cache = model.allocate_cache(2, 80)
    cache.keys.fill_(float("nan"))
    cache.values.fill_(float("nan"))
    codes = torch.zeros(2, model.config.num_codebooks, dtype=torch.int64)
    broken = model.backbone_step(codes, torch.tensor([5, 6]), torch.ones(2).bool(), cache)
    assert broken.isnan().all()
    noise = torch.ones(2, model.config.num_codebooks, model.config.audio_vocab_size)
    sampling = SamplingRows(2)
    sampling.set(1, SamplingParams(1.0, 1.0, 5, 0.5))
    drawn = model.sample_frame(broken, sampling, noise)
    assert ((drawn >= 0) & (drawn < model.config.codebook_size)).all()
    assert_same(company(model, 2, 0, seed=6), expected)


def test_two_models_run_at_once_from_two_threads() -> None:
    import threading

    models = [make("scaled", "fp32", threads=2) for _ in range(2)]
    expected = company(models[0], 2, 0, seed=5)
    results: list[Frames] = []
    workers = [
        threading.Thread(target=lambda m=m: results.append(company(m, 2, 0, seed=5)))
        for m in models
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert len(results) == 2
    for result in results:
        assert_same(result, expected)
