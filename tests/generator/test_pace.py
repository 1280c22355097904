"""A model that cannot keep real time says so at its start, with the two numbers."""

from __future__ import annotations

import asyncio
import logging
import time

import numpy as np
import pytest

from csm.serving.metrics import Metrics
from services.generator.engine.engine import Engine
from services.generator.engine.plan import Outcome, Plan
from services.generator.engine.runner import Runner
from services.generator.model.sampling import SamplingParams
from services.generator.pace import Pace
from services.generator.service import GeneratorService
from services.generator.settings import GeneratorSettings
from services.generator.step_time import StepError, step_times_s, text_prompt
from tests.generator.tiny import tiny_csm
from tests.pico import PICO


def test_what_keeps_up_is_not_spoken_of() -> None:
    for pace in (Pace(80, 10, 8, 79), Pace(80, 79, 1), Pace(80, None, 8), Pace(80, 10, 8)):
        assert pace.warning("float32", 2, "cpu") is None


def test_one_turn_that_is_too_slow_is_told_with_both_numbers_and_what_to_change() -> None:
    told = Pace(80, 143.4, 8).warning("bfloat16", 2, "cpu")
    assert told is not None
    for part in ("143 ms a frame", "80 ms of speech", "bfloat16 on cpu, 2 threads", "int8"):
        assert part in told
    told = Pace(80, 143.4, 8).warning("int8", 2, "cpu")
    assert told is not None
    assert "set dtype" not in told
    assert "more cores" in told


@pytest.mark.parametrize(("all_ms", "turns"), [(80.0, 8), (150.0, 4), (1000.0, 1), (81.0, 7)])
def test_of_too_many_slots_the_number_that_keeps_up_is_told(all_ms: float, turns: int) -> None:
    pace = Pace(80, 10, 8, all_ms)
    assert pace.turns_in_real_time == turns
    told = pace.warning("float32", 2, "cpu")
    if turns == 8:
        assert told is None
    else:
        assert told is not None
        assert f"all 8 slots take {all_ms:.0f} ms" in told
        assert f"set slots to {turns}" in told


def slow(monkeypatch: pytest.MonkeyPatch, one_s: float, each_s: float) -> None:
    """Every step takes `one_s`, and `each_s` for every turn beyond the first."""
    run = Runner.run

    def slowly(self: Runner, plan: Plan) -> Outcome:
        outcome = run(self, plan)
        if plan.decode:
            time.sleep(one_s + each_s * (len(plan.decode) - 1))
        return outcome

    monkeypatch.setattr(Runner, "run", slowly)


@pytest.mark.parametrize(
    ("one_s", "each_s", "expected"),
    [
        (0.12, 0.0, "real time: one turn takes 1"),
        (0.0, 0.06, "turns in all 4 slots take "),
    ],
)
async def test_a_service_measures_in_its_warm_up_and_warns(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    one_s: float,
    each_s: float,
    expected: str,
) -> None:
    slow(monkeypatch, one_s, each_s)
    service = GeneratorService(
        GeneratorSettings(model=PICO, device="cpu", slots=4, threads=1), Metrics()
    )
    with caplog.at_level(logging.WARNING):
        await service.start()
    await service.stop()
    (told,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("real time")]
    assert expected in told
    assert "80 ms of speech" in told


async def running(slots: int) -> Engine:
    runner = Runner(tiny_csm(), slots, 64, 64)
    engine = Engine(runner, max_queue=0)
    engine.start()
    return engine


async def test_as_many_steps_are_measured_as_asked_for_and_no_slot_stays_taken() -> None:
    engine = await running(3)
    prompt = text_prompt(300, 4, 5)
    try:
        for turns in (1, 3, 2):
            gaps_s = await step_times_s(engine, prompt, SamplingParams(), turns, steps=6)
            assert len(gaps_s) == 6
            assert min(gaps_s) > 0
        await asyncio.sleep(0.1)
        assert (engine.in_flight, engine.load.cached) == (0, 0)
    finally:
        await engine.stop()


async def test_a_gap_is_that_of_a_step_with_all_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.01, 0.02)
    engine = await running(3)
    try:
        for turns, least_s in ((1, 0.01), (3, 0.05)):
            gaps_s = await step_times_s(
                engine, text_prompt(300, 4, 5), SamplingParams(), turns, steps=4
            )
            assert min(gaps_s) >= least_s
    finally:
        await engine.stop()


async def test_time_that_is_over_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.05, 0)
    engine = await running(1)
    try:
        gaps_s = await step_times_s(
            engine, text_prompt(300, 4, 5), SamplingParams(), 1, steps=50, within_s=0.1
        )
    finally:
        await engine.stop()
    assert 1 <= len(gaps_s) < 6


async def test_a_model_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no device")

    monkeypatch.setattr("services.generator.model.csm.Csm.sample_frame", fail)
    engine = await running(1)
    try:
        with pytest.raises(StepError, match="no device"):
            await step_times_s(engine, text_prompt(300, 4, 5), SamplingParams(), 1, steps=3)
    finally:
        await engine.stop()


def test_a_prompt_of_text_has_no_codes_and_ids_that_are_there() -> None:
    rows = text_prompt(3, 7, 5)
    assert rows.shape == (7, 6)
    assert (rows[:, :5] == -1).all()
    assert np.array_equal(rows[:, 5], [0, 1, 2, 0, 1, 2, 0])
