"""The scheduler alone: no thread, no torch, time as the test says."""

import numpy as np
import pytest

from services.generator.engine.cache_rows import CacheRecord
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady, Started
from services.generator.engine.plan import Outcome, Plan
from services.generator.engine.scheduler import Scheduler
from services.generator.engine.turn import EngineTurn, EngineTurnState, PromptRows, TurnRequest
from services.generator.model.sampling import GREEDY
from tests.generator.harness import audio_rows, random_rows, text_rows


class Bench:
    """Steps a scheduler by hand; every sampled frame is [7, 7, 7, 7] unless it is told."""

    def __init__(self, slots: int = 2, chunk: int = 8, max_positions: int = 64) -> None:
        self.scheduler = Scheduler(
            CacheRecord(slots, max_positions, 5, chunk, cuts_freely=False), stall_s=100.0
        )
        self.slots = slots
        self.now = 0.0
        self.heard: dict[str, list[Event]] = {}

    def submit(self, prompt: PromptRows, key: str, **options: object) -> EngineTurn:
        values: dict = {"owner": key, "sampling": GREEDY, "seed": 0, "max_frames": 10, **options}
        self.heard[key] = []
        turn = EngineTurn(TurnRequest(key=key, prompt=prompt, **values), self.heard[key].append)
        turn.accepted_s = self.now
        self.scheduler.submit(turn)
        return turn

    def step(self, code: int | np.ndarray = 7, failed: tuple[int, ...] = ()) -> Plan:
        self.now += 1
        plan = self.scheduler.schedule(self.now)
        codes = np.zeros((self.slots, 4), np.int64) + code if plan.sample else None
        outcome = Outcome(codes, {slot: RuntimeError("broken") for slot in failed})
        for turn, event in self.scheduler.commit(plan, outcome, self.now):
            turn.sink(event)
        return plan

    def terminal(self, key: str) -> Finished:
        found = [event for event in self.heard[key] if isinstance(event, Finished)]
        assert len(found) == 1
        assert self.heard[key][-1] is found[0]
        return found[0]


def test_a_turn_is_prefilled_in_chunks_then_makes_a_frame_a_step() -> None:
    bench = Bench(chunk=8)
    bench.submit(random_rows(20, 1), "a", max_frames=3)
    plans = [bench.step() for _ in range(5)]
    assert [[(p.start, len(p.rows), p.last) for p in plan.prefills] for plan in plans] == [
        [(0, 8, False)],
        [(8, 8, False)],
        [(16, 4, True)],
        [],
        [],
    ]
    assert [plan.sample for plan in plans] == [[], [], [0], [0], [0]]
    assert [plan.decode for plan in plans] == [{}, {}, {}, {0: 20}, {0: 21}]
    kinds = [type(event) for event in bench.heard["a"]]
    assert kinds == [Started, FrameReady, FrameReady, FrameReady, Finished]
    assert bench.terminal("a").reason is FinishReason.MAX_DURATION
    assert bench.terminal("a").generated_frames == 3


def test_the_eos_frame_ends_a_turn_and_is_not_delivered() -> None:
    bench = Bench()
    bench.submit(random_rows(4, 1), "a")
    bench.step()
    bench.step(code=0)
    assert bench.terminal("a").reason is FinishReason.EOS
    assert bench.terminal("a").generated_frames == 1


@pytest.mark.parametrize("book", range(4))
def test_a_frame_with_any_code_but_zero_is_no_eos(book: int) -> None:
    bench = Bench()
    bench.submit(random_rows(4, 1), "a", max_frames=2)
    codes = np.zeros(4, np.int64)
    codes[book] = 5
    for _ in range(2):
        bench.step(code=codes)
    assert bench.terminal("a").reason is FinishReason.MAX_DURATION
    assert bench.terminal("a").generated_frames == 2


def test_a_turn_ends_with_the_last_position() -> None:
    bench = Bench(max_positions=16)
    bench.submit(random_rows(14, 1), "a", max_frames=100)
    for _ in range(6):
        bench.step()
    # Positions 14 and 15 take the frames fed back, each making one more.
    assert bench.terminal("a").reason is FinishReason.MAX_DURATION
    assert bench.terminal("a").generated_frames == 3


def test_running_turns_advance_in_every_step_while_another_is_prefilled() -> None:
    bench = Bench(chunk=8)
    bench.submit(random_rows(4, 1), "a", max_frames=100)
    bench.step()
    bench.submit(random_rows(40, 2), "b")
    for _ in range(5):
        plan = bench.step()
        assert 0 in plan.decode
        assert sum(len(p.rows) for p in plan.prefills) <= 8
    assert bench.heard["b"]


def test_chunk_boundaries_do_not_depend_on_company() -> None:
    def chunks(company: int) -> list[tuple[int, int]]:
        bench = Bench(slots=4, chunk=8)
        for index in range(company):
            bench.submit(random_rows(5 + 7 * index, index), f"other-{index}", max_frames=100)
        bench.step()
        turn = bench.submit(random_rows(29, 9), "a")
        found = []
        while turn.state is not EngineTurnState.DECODE:
            plan = bench.step()
            found += [(p.start, len(p.rows)) for p in plan.prefills if p.slot == turn.slot]
        return found

    assert chunks(0) == chunks(1) == chunks(3) == [(0, 8), (8, 8), (16, 8), (24, 5)]


def test_a_short_prompt_overtakes_a_long_prefill_but_does_not_starve_it() -> None:
    bench = Bench(slots=2, chunk=8)
    long = bench.submit(random_rows(60, 1), "long")
    bench.step()
    served = []
    for index in range(40):
        bench.submit(random_rows(8, 100 + index), f"short-{index}", max_frames=1)
        bench.step()
        served.append(long.computed)
        if long.state is not EngineTurnState.PREFILL:
            break
    assert isinstance(bench.heard["short-0"][1], FrameReady)
    assert long.state is not EngineTurnState.PREFILL
    assert len(served) < 40


def test_slots_go_first_come_first_served() -> None:
    bench = Bench(slots=1)
    for key in "abc":
        bench.submit(random_rows(4, ord(key)), key, max_frames=1)
    order = []
    for _ in range(3):
        bench.step()
        order.append([key for key in "abc" if bench.heard[key]])
    assert order == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_a_conversation_keeps_its_slot_and_only_the_new_rows_are_computed() -> None:
    bench = Bench()
    prompt = random_rows(20, 1)
    bench.submit(prompt, "a1", owner="talk", max_frames=2)
    for _ in range(4):
        bench.step()
    spoken = audio_rows(np.full((2, 4), 7))
    second = np.concatenate([prompt, spoken, random_rows(6, 2)])
    turn = bench.submit(second, "a2", owner="talk")
    plan = bench.step()
    # Frame 0 was fed back, frame 1 was not: 20 + 1 positions are in the cache.
    assert turn.reused == 21
    assert plan.prefills[0].start == 21


def test_the_last_position_is_computed_even_when_all_is_in_the_cache() -> None:
    bench = Bench(chunk=32)
    prompt = random_rows(20, 1)
    for key in ("a1", "a2"):
        turn = bench.submit(prompt, key, owner="talk", max_frames=1)
        bench.step()
    assert turn.reused == 19
    assert bench.terminal("a2").generated_frames == 1


def test_a_truncated_history_keeps_what_still_matches() -> None:
    bench = Bench(chunk=8)
    prompt = random_rows(24, 1)
    bench.submit(prompt, "a1", owner="talk", max_frames=8)
    for _ in range(10):
        bench.step()
    heard = audio_rows(np.full((3, 4), 7))
    turn = bench.submit(np.concatenate([prompt, heard, random_rows(4, 2)]), "a2", owner="talk")
    bench.step()
    assert turn.reused == 24 + 3


def test_the_longest_idle_conversation_gives_up_its_slot() -> None:
    bench = Bench(slots=2)
    for owner in ("old", "new"):
        bench.submit(random_rows(20, ord(owner[0])), owner, owner=owner, max_frames=1)
        for _ in range(3):
            bench.step()
    bench.submit(random_rows(4, 5), "third", owner="third", max_frames=1)
    bench.step()
    assert bench.scheduler.slots.of("old") is None
    assert bench.scheduler.slots.of("new") is not None
    assert bench.scheduler.evictions == 1


def test_a_running_turn_is_never_evicted() -> None:
    bench = Bench(slots=1)
    turn = bench.submit(random_rows(4, 1), "a", max_frames=100)
    bench.submit(random_rows(4, 2), "b")
    for _ in range(5):
        bench.step()
    assert turn.state is EngineTurnState.DECODE
    assert bench.scheduler.waiting == 1
    assert not bench.scheduler.slots.release("a")


def test_the_idle_slot_of_a_conversation_that_waits_is_spared() -> None:
    bench = Bench(slots=2)
    for owner in ("a", "b"):
        bench.submit(random_rows(20, ord(owner)), owner + "1", owner=owner, max_frames=1)
        for _ in range(3):
            bench.step()
    # a has been idle longer, but its next turn is already in the queue.
    bench.submit(random_rows(4, 7), "c", owner="c", max_frames=1)
    turn = bench.submit(random_rows(20, ord("a")), "a2", owner="a", max_frames=1)
    bench.step()
    bench.step()
    assert turn.reused > 0
    assert bench.scheduler.slots.of("b") is None


def test_a_prefix_that_another_slot_holds_is_copied_in_whole_chunks() -> None:
    bench = Bench(slots=2, chunk=8)
    voice = random_rows(20, 1)
    bench.submit(np.concatenate([voice, random_rows(4, 2)]), "a", max_frames=100)
    for _ in range(3):
        bench.step()
    turn = bench.submit(np.concatenate([voice, random_rows(9, 3)]), "b", max_frames=100)
    plan = bench.step()
    assert [(c.source, c.target, c.length) for c in plan.copies] == [(0, 1, 16)]
    assert turn.reused == 16
    assert plan.prefills[0].start == 16


def test_turns_with_one_voice_that_arrive_together_compute_it_once() -> None:
    bench = Bench(slots=4, chunk=8)
    voice = random_rows(24, 1)
    for index in range(4):
        bench.submit(
            np.concatenate([voice, random_rows(4, 10 + index)]), f"t{index}", max_frames=100
        )
    computed = 0
    for _ in range(12):
        computed += sum(len(p.rows) for p in bench.step().prefills)
    assert computed == 24 + 4 * 4
    assert bench.scheduler.record.length(3) >= 28


def test_own_rows_are_not_traded_for_a_neighbours() -> None:
    bench = Bench(slots=2, chunk=8)
    prompt = random_rows(30, 1)
    bench.submit(prompt[:18], "a1", owner="a", max_frames=1)
    bench.submit(prompt, "b", owner="b", max_frames=100)
    for _ in range(8):
        bench.step()
    turn = bench.submit(prompt, "a2", owner="a", max_frames=1)
    plan = bench.step()
    assert not plan.copies
    assert turn.reused == 18


def test_rows_of_an_evicted_owner_are_not_taken_for_the_new_owners() -> None:
    bench = Bench(slots=1, chunk=8)
    prompt = random_rows(20, 1)
    bench.submit(prompt, "a", owner="a", max_frames=4)
    for _ in range(8):
        bench.step()
    # b is given a's slot, and cancelled before its prefill begins.
    bench.submit(prompt, "b1", owner="b")
    plan = Plan()
    bench.scheduler._admit(plan, 1.0)
    bench.scheduler.cancel("b1", FinishReason.CANCELLED, bench.now, bench.now)
    turn = bench.submit(prompt, "b2", owner="b")
    bench.step()
    assert turn.reused == 16


def test_a_slot_without_credit_sits_out_and_the_others_do_not() -> None:
    bench = Bench()
    slow = bench.submit(random_rows(4, 1), "slow", credit_frames=2)
    fast = bench.submit(random_rows(4, 2), "fast")
    for _ in range(5):
        bench.step()
    assert (slow.frames, fast.frames) == (2, 5)
    assert bench.step().blocked == 1
    bench.scheduler.credit("slow", 1)
    bench.step()
    assert slow.frames == 3


def test_a_turn_that_only_waits_for_credit_leaves_nothing_to_run() -> None:
    bench = Bench()
    bench.submit(random_rows(4, 1), "a", credit_frames=1)
    bench.step()
    assert not bench.scheduler.runnable
    assert bench.scheduler.next_expiry_s() == bench.now + 100.0
    bench.scheduler.credit("a", 1)
    assert bench.scheduler.runnable


def test_a_turn_stalled_for_too_long_ends_and_frees_its_slot() -> None:
    bench = Bench()
    bench.submit(random_rows(4, 1), "a", credit_frames=1)
    bench.step()
    bench.now += 100
    bench.step()
    assert bench.terminal("a").reason is FinishReason.DEADLINE
    assert bench.scheduler.running == 0


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_a_turn_whose_deadline_has_passed_ends_wherever_it_is(steps: int) -> None:
    bench = Bench(slots=1, chunk=8)
    if not steps:
        bench.submit(random_rows(4, 3), "first", max_frames=100)
        bench.step()
    bench.submit(random_rows(20, 1), "a", max_frames=100, deadline_s=50.0)
    for _ in range(steps):
        bench.step()
    bench.now = 50.0
    plan = bench.step()
    assert bench.terminal("a").reason is FinishReason.DEADLINE
    assert bench.terminal("a").generated_frames == max(0, steps - 2)
    if not steps:
        assert plan.decode
        assert not plan.prefills


def test_a_failed_prefill_takes_only_its_own_turn() -> None:
    bench = Bench()
    bench.submit(random_rows(4, 1), "well", max_frames=100)
    bench.step()
    bench.submit(random_rows(4, 2), "ill", max_frames=100)
    bench.step(failed=(1,))
    assert bench.terminal("ill").reason is FinishReason.ERROR
    assert isinstance(bench.terminal("ill").error, RuntimeError)
    assert bench.scheduler.record.length(1) == 0
    assert bench.scheduler.slots.of("ill") is None
    assert isinstance(bench.heard["well"][-1], FrameReady)


def test_timings_are_of_the_turns_own_life() -> None:
    bench = Bench(slots=1, chunk=8)
    bench.submit(random_rows(4, 1), "first", max_frames=2)
    bench.step()
    bench.submit(random_rows(16, 2), "a", max_frames=2)
    for _ in range(6):
        bench.step()
    timing = bench.terminal("a").timing
    # Accepted at 1; first ends in step 2; slot in step 3, prefill in 3 and 4, frames at 4 and 5.
    assert (timing.queue_s, timing.prefill_s) == (2.0, 1.0)
    assert (timing.first_frame_s, timing.total_s) == (3.0, 4.0)


def test_cancelling_what_is_unknown_or_over_does_nothing() -> None:
    bench = Bench()
    bench.submit(text_rows(1, 2), "a", max_frames=1)
    bench.step()
    for key in ("a", "nobody"):
        bench.scheduler.cancel(key, FinishReason.CANCELLED, 0.0, 0.0)
        bench.scheduler.credit(key, 5)
    assert bench.scheduler.take_events() == []


def test_a_turn_without_credit_gives_its_slot_to_those_who_wait_and_comes_back_in_its_place(
) -> None:  # fmt: skip
    bench = Bench(slots=1)
    bench.scheduler = Scheduler(
        CacheRecord(1, 64, 5, 8, cuts_freely=False), stall_s=100.0, stall_slot_s=3.0
    )
    slow = bench.submit(random_rows(12, 1), "slow", credit_frames=2, max_frames=5)
    for _ in range(4):
        bench.step()
    assert slow.frames == 2
    bench.submit(random_rows(4, 2), "second", max_frames=3)
    bench.submit(random_rows(4, 3), "third", max_frames=3)
    assert bench.step().prefills == []  # blocked since the third step, for two seconds
    plan = bench.step()
    assert slow.state is EngineTurnState.PARKED
    assert [parked.slot for parked in plan.parked] == [0]
    counts = bench.scheduler
    assert (counts.running, counts.waiting, counts.parked) == (1, 1, 1)
    # Credit that comes puts it before the third, which came later.
    bench.scheduler.credit("slow", 10)
    assert (counts.running, counts.waiting, counts.parked) == (1, 2, 0)
    for _ in range(12):
        bench.step()
    order = [key for key in ("slow", "second", "third") if bench.terminal(key)]
    ends = {key: bench.terminal(key).timing.total_s for key in order}
    assert ends["slow"] - 4 < ends["third"]
    kinds = [type(event) for event in bench.heard["slow"]]
    assert kinds == [Started, *[FrameReady] * 5, Finished]


def test_a_prefix_of_another_scope_is_never_taken_over() -> None:
    bench = Bench(slots=3, chunk=8)
    voice = random_rows(20, 1)
    for key, scope in (("a", "one"), ("b", "two"), ("c", "one")):
        prompt = np.concatenate([voice, random_rows(4, ord(key))])
        turn = bench.submit(prompt, key, max_frames=100, cache_scope=scope)
        plans = [bench.step() for _ in range(3)]
        copies = [(c.source, c.target, c.length) for plan in plans for c in plan.copies]
        assert (copies, turn.reused) == (([(0, 2, 16)], 16) if key == "c" else ([], 0))


def test_an_owners_rows_of_another_scope_are_computed_anew() -> None:
    bench = Bench(slots=1)
    rows = random_rows(20, 1)
    for scope, reused in (("one", 0), ("one", 19), ("two", 0), ("two", 19)):
        turn = bench.submit(rows, f"{scope}{reused}", owner="a", max_frames=1, cache_scope=scope)
        for _ in range(5):
            bench.step()
        assert turn.reused == reused
