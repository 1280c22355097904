"""The passes that CUDA graphs are recorded of, on the CPU: what is recorded there runs as it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from services.generator.graphs.capture import Recorder
from services.generator.graphs.graphed_csm import GraphedCsm
from services.generator.model.csm import Csm
from services.generator.model.sampler import SamplingParams
from tests.generator.harness import SAMPLED, random_rows, running
from tests.generator.native.harness import KINDS, Loop, prompt
from tests.generator.tiny import tiny_csm

SLOTS = 6

# Each makes the host wait for a value or a shape of the device, which no graph can hold.
HOST_LOOKS = ("_local_scalar_dense", "nonzero", "item", "is_nonzero", "equal", "masked_select")


class Ops(TorchDispatchMode):
    """Writes down which operations run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Everything that was handed over to be recorded."""
    found: list[Callable[[], None]] = []

    def record(self: Recorder, work: Callable[[], None]) -> Callable[[], None]:
        found.append(work)
        return work

    monkeypatch.setattr(Recorder, "record", record)
    return found


def in_buckets() -> GraphedCsm:
    return GraphedCsm(tiny_csm(), buckets=True)


def begun(model: Csm | GraphedCsm, slots: int = SLOTS) -> Loop:
    loop = Loop(model, slots)
    for slot in range(slots):
        frames = prompt(model.config, seed=slot)[: 20 + 3 * slot]
        loop.begin(slot, slot, KINDS[slot % len(KINDS)], frames)
    return loop


@pytest.mark.parametrize("buckets", [False, True])
def test_it_says_what_the_plain_model_says(buckets: bool) -> None:
    plain, graphed = begun(tiny_csm()), begun(GraphedCsm(tiny_csm(), buckets=buckets))
    told = plain.run(12)
    # Other attention kernels round otherwise: the same past for both, so that no draw parts them.
    heard = graphed.run(12, forced=told.codes)
    for ours, theirs in zip(heard.hidden, told.hidden, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    same = [torch.equal(a, b) for a, b in zip(heard.codes, told.codes, strict=True)]
    assert np.mean(same) > 0.8


def test_inactive_slots_keep_their_cache() -> None:
    loop = begun(in_buckets())
    loop.active[1] = loop.active[4] = False
    before = [loop.cache.keys[:, slot].clone() for slot in range(SLOTS)]
    loop.run(3)
    kept = [torch.equal(loop.cache.keys[:, slot], before[slot]) for slot in range(SLOTS)]
    assert kept == [False, True, False, False, True, False]


def test_nothing_recorded_looks_at_a_value_on_the_host(
    recorded: list[Callable[[], None]],
) -> None:
    begun(in_buckets()).run(2)
    assert len(recorded) >= 8
    with Ops() as ops, torch.inference_mode():
        for work in recorded:
            work()
    assert "mm" in ops.names or "_linear_pointwise" in ops.names or "addmm" in ops.names
    assert not ops.names & set(HOST_LOOKS)


def test_the_check_above_sees_a_look_at_the_host() -> None:
    plain = begun(tiny_csm())
    with Ops() as ops:
        plain.run(1)
    assert ops.names & set(HOST_LOOKS)


def test_what_was_recorded_does_not_depend_on_values_then(
    recorded: list[Callable[[], None]],
) -> None:
    # A value that went into a recording as a Python number would be the old one ever after.
    graphed = in_buckets()
    loop = Loop(graphed, SLOTS)
    count = len(recorded)
    for slot in range(SLOTS):
        frames = prompt(graphed.config, seed=slot)[: 20 + 3 * slot]
        loop.begin(slot, slot, SamplingParams(0.8, 0.6, 7, 1.0), frames)
    loop.run(4)
    assert len(recorded) == count


def test_a_new_way_of_sampling_is_recorded_once() -> None:
    graphed = GraphedCsm(tiny_csm())
    loop = Loop(graphed, 2)
    usual = graphed.recorded
    frames = prompt(graphed.config, seed=0)
    loop.begin(0, 0, SamplingParams(1.0, 1.0, 5, 0.9), frames)
    loop.run(2)
    assert graphed.recorded == usual + 1
    loop.run(2)
    assert graphed.recorded == usual + 1


def test_a_held_slot_does_not_end() -> None:
    graphed = GraphedCsm(tiny_csm())
    loop = Loop(graphed, 2)
    hidden = torch.zeros(2, graphed.config.backbone.width)
    noise = torch.ones(2, graphed.config.num_codebooks, graphed.config.audio_vocab_size)
    # With noise so small the race is won by code 0 whatever the logits are.
    noise[:, 0, 0] = 1e-30
    for slot in range(2):
        loop.sampling.set(slot, SamplingParams(1.0, 1.0, 0, 1.0))
    every = torch.ones(2, dtype=torch.bool)
    with torch.inference_mode():
        assert graphed.sample_frame(hidden, loop.sampling, noise, every)[:, 0].tolist() == [0, 0]
        loop.sampling.hold(torch.tensor([False, True]))
        first = graphed.sample_frame(hidden, loop.sampling, noise, every)[:, 0]
        held = first.tolist()
        # Once its minimum is over, a slot may end like any other.
        loop.sampling.hold(torch.tensor([False, False]))
        freed = graphed.sample_frame(hidden, loop.sampling, noise, every)[:, 0].tolist()
    assert held[0] == 0
    assert held[1] != 0
    assert freed == [0, 0]


def test_another_cache_is_refused() -> None:
    graphed = GraphedCsm(tiny_csm())
    loop = begun(graphed)
    other = tiny_csm().allocate_cache(SLOTS, 80)
    with pytest.raises(ValueError, match="cache: this one is not allowed"):
        graphed.backbone_step(loop.run(1).codes[0], loop.positions, loop.active, other)


def test_buckets_are_recorded_for_every_batch_and_length() -> None:
    graphed = GraphedCsm(tiny_csm(max_positions=600), buckets=True)
    graphed.allocate_cache(6, 600)
    # Batches 1, 2, 4, 6; lengths 256, 512, 600; and a frame for each batch.
    assert graphed.recorded == 4 * 3 + 4
    one = GraphedCsm(tiny_csm(max_positions=600))
    one.allocate_cache(6, 600)
    assert one.recorded == 2


async def test_the_engine_runs_it_alone_and_in_company() -> None:
    prompts = [random_rows(5 + 7 * index, index, columns=6) for index in range(5)]

    def options(seed: int) -> dict[str, Any]:
        return {"sampling": SAMPLED, "seed": seed, "max_frames": 12}

    async with running(GraphedCsm(tiny_csm()), slots=3, chunk=16, max_queue=6) as turns:
        company = [turns.submit(rows, **options(seed)) for seed, rows in enumerate(prompts)]
        for turn in company:
            await turn.finished()
    for seed, rows in enumerate(prompts):
        async with running(GraphedCsm(tiny_csm()), slots=3, chunk=5) as turns:
            alone = await turns.speak(rows, **options(seed))
        np.testing.assert_array_equal(alone.codes, company[seed].codes)


def test_recording_on_a_cpu_is_the_work_itself() -> None:
    done: list[Tensor] = []
    replay = Recorder(torch.device("cpu")).record(lambda: done.append(torch.ones(1)))
    assert not done
    replay()
    assert len(done) == 1


@pytest.mark.parametrize("buckets", [False, True])
def test_all_that_torch_compiles_is_compiled_before_the_first_conversation(
    buckets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = 0

    def backend(graph: Any, inputs: Any) -> Any:
        nonlocal compiled
        compiled += 1
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    torch._dynamo.reset()
    model = GraphedCsm(tiny_csm(), buckets=buckets, compiled=True)
    cache = model.allocate_cache(SLOTS, 256)
    before = compiled
    assert before
    assert not cache.keys[:, 0].any()
    with torch.inference_mode():
        frames = prompt(model.config, seed=1)
        model.prefill(frames[:1], 0, 0, cache)
        model.prefill(frames[1:3], 1, 0, cache)
        model.prefill(frames[3:20], 3, 0, cache)
    assert compiled == before
