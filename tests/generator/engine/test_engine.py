"""The engine thread over the fake: every way a turn can end, at every place where it can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from services.generator.engine.engine import DrainingError, OwnerBusyError, QueueFullError
from services.generator.engine.observer import Observer, StepStats
from services.generator.engine.turn import Event, Finished, FinishReason, FrameReady, Started
from tests.generator.fake_model import FakeModel
from tests.generator.harness import (
    SAMPLED,
    Listener,
    Turns,
    audio_rows,
    random_rows,
    reasons,
    running,
)

PROMPT = random_rows(40, 1)
CHUNK = 16


async def reference(frames: int = 5) -> np.ndarray:
    """What the prompt's turn says, alone in an engine of its own."""
    async with running(FakeModel(), slots=1) as turns:
        return (await turns.speak(PROMPT, max_frames=frames)).codes


async def bring_to(place: str, turns: Turns, deadline_s: float | None = None) -> Listener:
    """A turn of owner "a" that is queued, amid its prefill or its frames, or over."""
    if place == "queued":
        blocker = turns.submit(random_rows(4, 2), owner="blocker", credit=1)
        await blocker.frames(1)
        waiting = turns.submit(PROMPT, owner="a", max_frames=1000, deadline_s=deadline_s)
        await turns.settled(lambda: turns.engine.load.waiting == 1)
        return waiting
    if place == "prefill":
        turns.model.gates["prefill"].close()
        listener = turns.submit(PROMPT, owner="a", max_frames=1000, deadline_s=deadline_s)
        await turns.reached("prefill")
    elif place == "decode":
        listener = turns.submit(PROMPT, owner="a", max_frames=1000, credit=3, deadline_s=deadline_s)
        await listener.frames(3)
        turns.model.gates["backbone"].close()
        turns.engine.credit(listener.key, 1000)
        await turns.reached("backbone")
    else:
        listener = await turns.speak(PROMPT, owner="a", max_frames=5, deadline_s=deadline_s)
    return listener


def cancel(turns: Turns, listener: Listener) -> None:
    turns.engine.cancel(listener.key)
    turns.engine.cancel(listener.key)


def shut_down(turns: Turns, listener: Listener) -> None:
    turns.engine.end_all(FinishReason.SHUTDOWN)


def vanish(turns: Turns, listener: Listener) -> None:
    turns.engine.cancel(listener.key)
    turns.engine.release("a")


@pytest.mark.parametrize("place", ["queued", "prefill", "decode", "after"])
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (cancel, FinishReason.CANCELLED),
        (vanish, FinishReason.CANCELLED),
        (shut_down, FinishReason.SHUTDOWN),
    ],
)
async def test_a_turn_that_is_ended_frees_all_it_holds_within_a_step(
    place: str, end: Callable[[Turns, Listener], None], expected: FinishReason
) -> None:
    model = FakeModel()
    async with running(model, slots=1, chunk=CHUNK) as turns:
        listener = await bring_to(place, turns)
        before = (len(model.prefilled), model.steps)
        end(turns, listener)
        for gate in model.gates.values():
            gate.open()
        finished = await listener.finished()
        assert finished.reason is (FinishReason.MAX_DURATION if place == "after" else expected)
        # The pass that was under way is the last one.
        assert (len(model.prefilled), model.steps) <= (before[0] + 1, before[1] + 1)
        turns.engine.end_all(FinishReason.CANCELLED)
        await turns.idle()
        np.testing.assert_array_equal(
            (await turns.speak(PROMPT, owner="b", max_frames=5)).codes, await reference()
        )
        for owner in ("a", "b", "blocker"):
            turns.engine.release(owner)
        await turns.idle(cached=0)


@pytest.mark.parametrize("place", ["queued", "prefill", "decode"])
async def test_a_deadline_ends_a_turn_wherever_it_is(place: str) -> None:
    model = FakeModel()
    async with running(model, slots=1, chunk=CHUNK) as turns:
        deadline_s = time.monotonic() + 0.4
        listener = await bring_to(place, turns, deadline_s)
        await asyncio.sleep(max(0.0, deadline_s - time.monotonic()) + 0.01)
        for gate in model.gates.values():
            gate.open()
        assert (await listener.finished()).reason is FinishReason.DEADLINE
        if place == "queued":
            assert not any(isinstance(event, Started) for event in listener.events)
        turns.engine.end_all(FinishReason.CANCELLED)
        await turns.idle()


async def test_a_turn_that_expires_in_the_queue_does_not_wait_for_a_step() -> None:
    async with running(FakeModel(), slots=1) as turns:
        blocker = turns.submit(random_rows(4, 2), credit=1)
        await blocker.frames(1)
        deadline_s = time.monotonic() + 0.1
        listener = turns.submit(PROMPT, deadline_s=deadline_s)
        assert (await listener.finished()).reason is FinishReason.DEADLINE
        assert time.monotonic() - deadline_s < 0.3


@pytest.mark.parametrize("place", ["queued", "prefill", "decode"])
async def test_stopping_the_engine_gives_every_turn_its_terminal(place: str) -> None:
    model = FakeModel()
    async with running(model, slots=1, chunk=CHUNK) as turns:
        listener = await bring_to(place, turns)
        stop = asyncio.create_task(turns.engine.stop())
        await asyncio.sleep(0)
        for gate in model.gates.values():
            gate.open()
        await stop
        assert (await listener.finished()).reason is FinishReason.SHUTDOWN
        assert turns.engine.in_flight == 0
        assert not turns.engine.alive(10.0)
        with pytest.raises(DrainingError):
            turns.submit(PROMPT)


@pytest.mark.parametrize("pass_name", ["prefill", "backbone", "sample"])
async def test_a_pass_that_raises_ends_its_turns_with_error_and_the_engine_lives_on(
    pass_name: str,
) -> None:
    model = FakeModel()
    async with running(model, slots=2, chunk=CHUNK) as turns:
        model.fail_next(pass_name)
        listener = await turns.speak(PROMPT, owner="a", max_frames=5)
        assert listener.terminals[0].reason is FinishReason.ERROR
        assert "broke" in str(listener.terminals[0].error)
        assert len(listener.codes) == (1 if pass_name == "backbone" else 0)
        await turns.idle(cached=0)
        assert turns.engine.alive(10.0)
        again = await turns.speak(PROMPT, owner="a", max_frames=5)
        assert again.started.reused_frames == 0
        np.testing.assert_array_equal(again.codes, await reference())


async def test_an_exception_leaves_the_queue_and_those_who_sat_out_alone() -> None:
    model = FakeModel()
    async with running(model, slots=2, chunk=CHUNK) as turns:
        sits_out = turns.submit(random_rows(4, 3), credit=1, max_frames=3)
        await sits_out.frames(1)
        model.gates["backbone"].close()
        fails = turns.submit(PROMPT, max_frames=5)
        await turns.reached("backbone")
        waits = turns.submit(PROMPT, max_frames=5)
        model.fail_next("backbone")
        model.gates["backbone"].open()
        assert (await fails.finished()).reason is FinishReason.ERROR
        await waits.finished()
        np.testing.assert_array_equal(waits.codes, await reference())
        turns.engine.credit(sits_out.key, 9)
        assert (await sits_out.finished()).generated_frames == 3


async def test_steps_that_all_fail_are_told_to_liveness_until_one_succeeds() -> None:
    model = FakeModel()
    async with running(model, slots=1) as turns:
        model.fail_next("sample", times=5)
        for _ in range(5):
            await turns.speak(random_rows(4, 1))
        assert not turns.engine.alive(10.0)
        await turns.speak(random_rows(4, 1))
        assert turns.engine.alive(10.0)


async def test_a_fault_of_the_scheduler_ends_every_turn_and_the_engine_lives_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(FakeModel(), slots=1) as turns:
        blocker = turns.submit(random_rows(4, 2), credit=1)
        await blocker.frames(1)
        waits = turns.submit(PROMPT)
        scheduler = turns.engine._scheduler
        with monkeypatch.context() as patch:
            patch.setattr(scheduler, "schedule", lambda now: 1 / 0)
            turns.engine.credit(blocker.key, 1)
            await asyncio.gather(blocker.finished(), waits.finished())
        assert reasons([blocker, waits]) == [FinishReason.ERROR] * 2
        np.testing.assert_array_equal(
            (await turns.speak(PROMPT, max_frames=5)).codes, await reference()
        )


@pytest.mark.parametrize("place", ["prefill", "decode"])
async def test_a_slow_reader_pauses_its_own_slot_only(place: str) -> None:
    async with running(FakeModel(), slots=2) as turns:
        slow = turns.submit(PROMPT, credit=3 if place == "decode" else 1, max_frames=5)
        await slow.frames(1)
        fast = await turns.speak(random_rows(4, 2), max_frames=60)
        assert len(fast.codes) == 60
        assert len(slow.codes) == (3 if place == "decode" else 1)
        for _ in range(4):
            turns.engine.credit(slow.key, 1)
        await slow.finished()
        np.testing.assert_array_equal(slow.codes, await reference())


async def test_a_turn_without_any_credit_waits_with_its_prefill_done() -> None:
    async with running(FakeModel(), slots=1) as turns:
        listener = turns.submit(PROMPT, credit=0, max_frames=5)
        await turns.settled(lambda: turns.engine.load.kv_cache_usage_ratio == 40 / 128)
        assert len(listener.codes) == 0
        turns.engine.credit(listener.key, 5)
        await listener.finished()
        np.testing.assert_array_equal(listener.codes, await reference())


async def test_a_full_queue_refuses_at_once_even_in_the_middle_of_a_long_pass() -> None:
    model = FakeModel()
    async with running(model, slots=2, max_queue=3) as turns:
        model.gates["prefill"].close()
        admitted = [turns.submit(random_rows(4, seed), max_frames=2) for seed in range(5)]
        await turns.reached("prefill")
        began = time.monotonic()
        with pytest.raises(QueueFullError, match="all 2 slots run and 3 turns wait"):
            turns.submit(PROMPT)
        assert time.monotonic() - began < 0.05
        assert turns.engine.load.waiting + turns.engine.load.running == 5
        model.gates["prefill"].open()
        for listener in admitted:
            await listener.finished()
        await turns.speak(PROMPT)


async def test_an_owner_has_one_turn_at_a_time() -> None:
    async with running(FakeModel()) as turns:
        first = turns.submit(PROMPT, owner="a", credit=1)
        with pytest.raises(OwnerBusyError):
            turns.submit(PROMPT, owner="a")
        turns.engine.cancel(first.key)
        await first.finished()
        await turns.speak(PROMPT, owner="a")


async def test_draining_refuses_new_turns_and_finishes_those_admitted() -> None:
    async with running(FakeModel(), slots=1) as turns:
        admitted = [turns.submit(random_rows(4, seed), max_frames=20) for seed in range(3)]
        turns.engine.drain()
        with pytest.raises(DrainingError):
            turns.submit(PROMPT)
        for listener in admitted:
            assert (await listener.finished()).reason is FinishReason.MAX_DURATION


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": PROMPT[:0]}, "prompt: 0 positions, must be 1..128"),
        ({"prompt": random_rows(129, 1)}, "prompt: 129 positions, must be 1..128"),
        ({"max_frames": 0}, "max_frames: 0, must be >= 1"),
    ],
)
async def test_a_request_that_cannot_run_is_refused(change: dict, says: str) -> None:
    async with running(FakeModel()) as turns:
        options = {"prompt": PROMPT, **change}
        with pytest.raises(ValueError, match=says):
            turns.submit(options.pop("prompt"), **options)
        assert turns.engine.in_flight == 0


async def test_a_prompt_that_fills_the_cache_makes_one_frame() -> None:
    async with running(FakeModel(), max_positions=40) as turns:
        listener = await turns.speak(PROMPT, max_frames=100)
        assert listener.terminals[0].reason is FinishReason.MAX_DURATION
        np.testing.assert_array_equal(listener.codes, await reference(frames=1))


async def test_eviction_frees_an_idle_owner_and_never_a_running_one() -> None:
    async with running(FakeModel()) as turns:
        await turns.speak(PROMPT, owner="idle")
        runs = turns.submit(PROMPT, owner="runs", credit=1)
        await runs.frames(1)
        assert not await turns.engine.evict("runs")
        assert not await turns.engine.evict("nobody")
        assert await turns.engine.evict("idle")
        assert not await turns.engine.evict("idle")
        again = await turns.speak(random_rows(30, 5), owner="idle")
        assert again.started.reused_frames == 0


async def test_a_second_turn_reuses_the_cache_and_equals_a_full_prefill() -> None:
    async with running(FakeModel(), chunk=CHUNK) as turns:
        first = await turns.speak(PROMPT, owner="a", max_frames=9)
        history = np.concatenate([PROMPT, audio_rows(first.codes), random_rows(7, 3)])
        second = await turns.speak(history, owner="a", max_frames=9)
        assert second.started.reused_frames == len(PROMPT) + 8
    async with running(FakeModel(), chunk=CHUNK) as turns:
        fresh = await turns.speak(history, owner="b", max_frames=9)
        assert fresh.started.reused_frames == 0
    np.testing.assert_array_equal(second.codes, fresh.codes)


async def test_a_turn_after_a_barge_in_equals_a_fresh_one_with_the_truncated_history() -> None:
    async with running(FakeModel(), max_positions=200) as turns:
        first = turns.submit(PROMPT, owner="a", max_frames=1000, credit=20)
        await first.frames(20)
        turns.engine.cancel(first.key)
        await first.finished()
        heard = np.concatenate([PROMPT, audio_rows(first.codes[:6]), random_rows(7, 3)])
        second = await turns.speak(heard, owner="a", max_frames=9)
        assert second.started.reused_frames == len(PROMPT) + 6
    async with running(FakeModel(), max_positions=200) as turns:
        fresh = await turns.speak(heard, owner="b", max_frames=9)
    np.testing.assert_array_equal(second.codes, fresh.codes)


class Recorder(Observer):
    def __init__(self) -> None:
        self.steps: list[StepStats] = []
        self.events: list[Event] = []

    def stats(self, stats: StepStats) -> None:
        self.steps.append(stats)

    def event(self, event: Event) -> None:
        self.events.append(event)


async def test_the_observer_hears_what_the_turns_hear_and_the_load_falls_before_the_terminal(
) -> None:  # fmt: skip
    recorder = Recorder()
    async with running(FakeModel(), slots=2, observer=recorder) as turns:
        listeners = [turns.submit(random_rows(20, seed), max_frames=4) for seed in range(3)]
        running_at_terminal = []
        for listener in listeners:
            await listener.finished()
            running_at_terminal.append(recorder.steps[-1].load.running)
        await turns.idle()
    assert len(recorder.events) == sum(len(listener.events) for listener in listeners)
    assert running_at_terminal[-1] == 0
    assert {phase for step in recorder.steps for phase in step.phases_s} == {
        "prefill",
        "backbone",
        "depth",
        "deliver",
    }
    assert max(step.advanced for step in recorder.steps) == 2
    finished = [event for event in recorder.events if isinstance(event, Finished)]
    assert all(event.timing.total_s >= (event.timing.first_frame_s or 0) for event in finished)
    frames = [event for event in recorder.events if isinstance(event, FrameReady)]
    assert sum(event.gap_s is None for event in frames) == 3


async def test_a_step_wakes_the_event_loop_once_however_many_turns_advance() -> None:
    recorder = Recorder()
    async with running(FakeModel(), slots=3, observer=recorder) as turns:
        wakes: list[int] = []
        call = turns.engine._call

        def counting(*arguments: Any) -> None:
            wakes.append(1)
            call(*arguments)

        turns.engine._call = counting  # type: ignore[method-assign,assignment]
        turns.model.gates["prefill"].close()
        listeners = [turns.submit(random_rows(5, seed), max_frames=20) for seed in range(3)]
        await turns.reached("prefill")
        turns.model.gates["prefill"].open()
        for listener in listeners:
            await listener.finished()
        # Three submissions, about 20 steps: far below one wake a frame (60).
        assert len(wakes) < 32


async def interleave(model: Callable[[], FakeModel], seed: int, slots: int) -> None:
    """Conversations with random cancels, every turn compared with its solo run."""
    rng = np.random.default_rng(seed)
    plans = []
    for index in range(6):
        turns_of = [
            (
                random_rows(int(rng.integers(3, 40)), int(rng.integers(1 << 30))),
                int(rng.integers(1 << 30)),
                int(rng.integers(1, 12)),
                int(rng.integers(0, 12)) if rng.random() < 0.4 else None,
            )
            for _ in range(3)
        ]
        plans.append((f"talk-{index}", turns_of))
    heard: dict[tuple[str, int], tuple[np.ndarray, np.ndarray, int, int]] = {}

    async def converse(turns: Turns, owner: str, parts: list) -> None:
        history = random_rows(10, 77)
        for number, (text, turn_seed, frames, cancel_after) in enumerate(parts):
            prompt = np.concatenate([history, text])
            listener = turns.submit(
                prompt, owner=owner, sampling=SAMPLED, seed=turn_seed, max_frames=frames
            )
            if cancel_after is not None and cancel_after < frames:
                await listener.frames(cancel_after)
                turns.engine.cancel(listener.key)
            await listener.finished()
            heard[owner, number] = (listener.codes, prompt, turn_seed, frames)
            history = np.concatenate([prompt, audio_rows(listener.codes)])

    async with running(model(), slots=slots, max_queue=9, chunk=8, max_positions=250) as turns:
        await asyncio.gather(*(converse(turns, owner, parts) for owner, parts in plans))
        await turns.idle()
    for codes, prompt, turn_seed, frames in heard.values():
        async with running(model(), slots=slots, chunk=8, max_positions=250) as turns:
            solo = await turns.speak(prompt, sampling=SAMPLED, seed=turn_seed, max_frames=frames)
        np.testing.assert_array_equal(codes, solo.codes[: len(codes)])


@pytest.mark.parametrize("slots", [2, 6])
@pytest.mark.parametrize("seed", range(4))
async def test_conversations_that_interleave_never_bleed_into_each_other(
    seed: int, slots: int
) -> None:
    await interleave(FakeModel, seed, slots)


async def test_hundreds_of_turns_with_cancels_leave_nothing_behind() -> None:
    rng = np.random.default_rng(3)
    async with running(FakeModel(eos_after=6), slots=4, max_queue=200) as turns:
        listeners = []
        for seed in range(200):
            listeners.append(turns.submit(random_rows(int(rng.integers(1, 60)), seed)))
            if rng.random() < 0.4:
                victim = listeners[int(rng.integers(len(listeners)))]
                turns.engine.cancel(victim.key)
            if rng.random() < 0.2:
                await asyncio.sleep(0.002)
        done: list[Awaitable[Finished]] = [listener.finished() for listener in listeners]
        await asyncio.gather(*done)
        await turns.idle()
        assert set(reasons(listeners)) == {FinishReason.EOS, FinishReason.CANCELLED}
        for listener in listeners:
            turns.engine.release(listener.key)
        await turns.idle(cached=0)
