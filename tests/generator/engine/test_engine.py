"""The engine thread over the fake: every way a turn can end, at every place where it can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from services.generator.engine.admission import DrainingError, OwnerBusyError, QueueFullError
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady, Started
from services.generator.engine.observer import Observer, StepStats
from services.generator.engine.turn import TurnRequest
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
        assert time.monotonic() - deadline_s < 3


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
        assert time.monotonic() - began < 2
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


async def test_a_reservation_is_admitted_once_and_its_later_turns_are_never_refused() -> None:
    async with running(FakeModel(), slots=1, max_queue=0) as turns:
        engine = turns.engine
        mine = engine.reserve("a")
        with pytest.raises(QueueFullError, match="all 1 slots run and 0 turns wait"):
            turns.submit(PROMPT, owner="b")
        for _ in range(3):
            spoken = await turns.speak(PROMPT, owner="a", max_frames=5, reservation=mine)
            np.testing.assert_array_equal(spoken.codes, await reference())
            with pytest.raises(QueueFullError):
                engine.reserve("b")
        assert engine.reserved == 1
        assert (engine.in_flight, engine.load.waiting) == (0, 0)
        engine.give_back(mine)
        engine.give_back(mine)
        assert engine.reserved == 0
        await turns.speak(PROMPT, owner="b")
        assert engine.reserved == 0


async def test_the_next_turn_of_a_reservation_waits_for_its_slot_as_others_do() -> None:
    async with running(FakeModel(), slots=1, max_queue=1) as turns:
        mine = turns.engine.reserve("a")
        other = turns.submit(random_rows(4, 2), owner="b", credit=1, max_frames=3)
        await other.frames(1)
        again = turns.submit(PROMPT, owner="a", max_frames=5, reservation=mine)
        await turns.settled(lambda: turns.engine.load.waiting == 1)
        turns.engine.credit(other.key, 9)
        await again.finished()
        np.testing.assert_array_equal(again.codes, await reference())


@pytest.mark.parametrize("end", ["cancel", "drain", "stop"])
async def test_a_reservation_given_back_amid_its_turn_is_free_once_with_the_turns_end(
    end: str,
) -> None:
    async with running(FakeModel(), slots=1, max_queue=0) as turns:
        engine = turns.engine
        mine = engine.reserve("a")
        turn = turns.submit(PROMPT, owner="a", credit=1, reservation=mine)
        await turn.frames(1)
        engine.give_back(mine)
        with pytest.raises(QueueFullError):
            engine.reserve("b")
        if end == "stop":
            await engine.stop()
        else:
            if end == "drain":
                engine.drain()
            engine.end_all(FinishReason.SHUTDOWN)
        await turn.finished()
        engine.give_back(mine)
        assert (engine.reserved, engine.in_flight) == (0, 0)
        if end != "cancel":
            with pytest.raises(DrainingError):
                engine.reserve("b")
        else:
            engine.give_back(engine.reserve("b"))


async def test_an_idle_reservation_yields_its_place_to_who_wants_it_and_needs_one_anew() -> None:
    async with running(FakeModel(), slots=1, max_queue=0, reservation_idle_s=0.05) as turns:
        mine = turns.engine.reserve("a")
        with pytest.raises(QueueFullError):
            turns.engine.reserve("b")
        await asyncio.sleep(0.06)
        # Nobody wanted it: it is as good as before.
        await turns.speak(PROMPT, owner="a", max_frames=2, reservation=mine)
        await asyncio.sleep(0.06)
        other = turns.submit(PROMPT, owner="b", credit=1)
        await asyncio.sleep(0.06)
        with pytest.raises(QueueFullError):
            turns.submit(PROMPT, owner="a", reservation=mine)
        turns.engine.cancel(other.key)
        await other.finished()
        await turns.speak(PROMPT, owner="a", max_frames=2, reservation=mine)
        assert turns.engine.reserved == 1


@pytest.mark.parametrize("place_taken", [False, True])
async def test_slow_readers_give_their_slots_up_and_go_on_with_the_same_codes(
    place_taken: bool,
) -> None:
    sampled: dict[str, Any] = {"sampling": SAMPLED, "max_frames": 30}
    async with running(FakeModel(), slots=4) as turns:
        prompts = [random_rows(20 + n, n) for n in range(4)]
        seeds = [3, 3 + 2**40, 2**64 - 1, 0]
        expected = [
            (await turns.speak(prompt, seed=seed, **sampled)).codes
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
    async with running(FakeModel(), slots=4, max_queue=9, stall_slot_s=0.15) as turns:
        slow = [
            turns.submit(prompt, seed=seed, credit=n + 1, **sampled)
            for n, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
        ]
        for n, listener in enumerate(slow):
            await listener.frames(n + 1)
        began = time.monotonic()
        fifth = turns.submit(PROMPT, max_frames=5)
        await fifth.finished()
        assert time.monotonic() - began < 1.5
        np.testing.assert_array_equal(fifth.codes, await reference())
        assert turns.engine.load.parked == 1
        if place_taken:
            await asyncio.gather(
                *(turns.speak(random_rows(30, 50 + n), max_frames=9) for n in range(5))
            )
            await turns.settled(lambda: turns.engine.load.parked == 4)
        assert turns.engine.load.waiting == 0
        for listener in slow:
            turns.engine.credit(listener.key, 100)
        for listener, codes in zip(slow, expected, strict=True):
            await listener.finished()
            np.testing.assert_array_equal(listener.codes, codes)
            assert [type(e) for e in listener.events].count(Started) == 1
        await turns.idle()


async def test_nobody_loses_a_slot_that_nobody_waits_for() -> None:
    async with running(FakeModel(), slots=2, stall_slot_s=0.05) as turns:
        slow = turns.submit(PROMPT, credit=1, max_frames=5)
        await slow.frames(1)
        await asyncio.sleep(0.1)
        await turns.speak(random_rows(4, 2), max_frames=5)
        assert (turns.engine.load.running, turns.engine.load.parked) == (1, 0)


@pytest.mark.parametrize("end", [cancel, shut_down, vanish])
async def test_a_parked_turn_can_be_ended_as_any_other(
    end: Callable[[Turns, Listener], None],
) -> None:
    async with running(FakeModel(), slots=1, stall_slot_s=0.05) as turns:
        slow = turns.submit(PROMPT, owner="a", credit=1)
        await slow.frames(1)
        await turns.speak(random_rows(4, 2), owner="b", max_frames=2)
        assert turns.engine.load.parked == 1
        end(turns, slow)
        assert (await slow.finished()).generated_frames == 1
        await turns.idle()
        assert (turns.engine.load.parked, turns.engine.reserved) == (0, 0)


async def test_a_parked_turn_that_gets_no_credit_ends_with_the_stall_limit() -> None:
    async with running(FakeModel(), slots=1, stall_slot_s=0.05, stall_s=0.4) as turns:
        slow = turns.submit(PROMPT, owner="a", credit=1)
        await slow.frames(1)
        await turns.speak(random_rows(4, 2), owner="b", max_frames=2)
        assert turns.engine.load.parked == 1
        assert (await slow.finished()).reason is FinishReason.DEADLINE


async def test_a_turn_without_credit_lets_those_behind_it_in_the_queue_go_first() -> None:
    async with running(FakeModel(), slots=1) as turns:
        first = turns.submit(random_rows(4, 2), credit=1, max_frames=2)
        await first.frames(1)
        broke = turns.submit(PROMPT, owner="broke", credit=0, max_frames=5)
        behind = turns.submit(random_rows(4, 3), max_frames=5)
        turns.engine.credit(first.key, 9)
        await behind.finished()
        turns.engine.credit(broke.key, 9)
        await broke.finished()
        np.testing.assert_array_equal(broke.codes, await reference())


@pytest.mark.parametrize("on", [Started, FrameReady, Finished])
async def test_a_sink_that_raises_loses_its_own_turn_alone(on: type) -> None:
    async with running(FakeModel(), slots=3) as turns:
        listeners = [turns.submit(random_rows(9, n), max_frames=1000 if n else 20) for n in (1, 0)]

        class Raising(Listener):
            def __call__(self, event: Event) -> None:
                super().__call__(event)
                if isinstance(event, on):
                    raise RuntimeError("a fault in a sink")

        raising = Raising("raises")
        turns.engine.submit(
            TurnRequest("raises", "raises", random_rows(9, 5), SAMPLED, 1, 30), raising
        )
        quiet = listeners[1]
        finished = await raising.finished()
        assert (await quiet.finished()).generated_frames == 20
        if on is not Finished:
            assert finished.reason is FinishReason.ERROR
        turns.engine.end_all(FinishReason.CANCELLED)
        await listeners[0].finished()
        await turns.idle()


async def test_an_observer_that_raises_takes_nothing_from_the_turns() -> None:
    class Raising(Observer):
        def stats(self, stats: StepStats) -> None:
            raise RuntimeError("a fault in a metric")

        def event(self, event: Event) -> None:
            raise RuntimeError("a fault in a metric")

    async with running(FakeModel(), observer=Raising()) as turns:
        spoken = await turns.speak(PROMPT, max_frames=5)
        np.testing.assert_array_equal(spoken.codes, await reference())
