"""The engine thread: it owns torch, and its `step` reads as schedule, run, deliver.

The event loop talks to it by commands in a queue, drained between steps; it answers with one
`call_soon_threadsafe` a step for the whole batch. Who is let in is decided on the caller's side
(`admission`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from services.generator.engine.admission import (
    Admission,
    DrainingError,
    Reservation,
)
from services.generator.engine.commands import (
    CancelTurn,
    Command,
    Credit,
    EndAll,
    Release,
    Stop,
    Submit,
)
from services.generator.engine.events import Event, Finished, FinishReason, Sink
from services.generator.engine.observer import Load, Observer, StepStats
from services.generator.engine.runner import Runner
from services.generator.engine.scheduler import Scheduler
from services.generator.engine.turn import EngineTurn, TurnRequest

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.5
MAX_BATCH_FAILURES = 5
"""Steps in a row that failed as a whole before the engine reports that it is not alive: a CUDA
context that is lost never comes back."""


class Engine:
    """Runs turns. `submit`, `cancel`, `credit` and the rest belong to the event loop's thread."""

    def __init__(
        self,
        runner: Runner,
        *,
        max_queue: int,
        stall_s: float = float("inf"),
        stall_slot_s: float = float("inf"),
        reservation_idle_s: float = float("inf"),
        observer: Observer | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._runner = runner
        self._record = runner.cache.record
        self._scheduler = Scheduler(self._record, stall_s=stall_s, stall_slot_s=stall_slot_s)
        self._admission = Admission(self._record.slots, max_queue, idle_s=reservation_idle_s)
        self._observer = observer or Observer()
        self._prepare = prepare
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._main, name="csm-generator-engine", daemon=True)
        self._batch_failures = 0
        self._released = 0
        self._last_beat_s = time.monotonic()
        self._load = self._snapshot()

    # The event loop's side.

    def start(self) -> None:
        """Starts the thread; events are delivered on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def max_positions(self) -> int:
        """Positions of a slot."""
        return self._record.max_positions

    @property
    def max_queue(self) -> int:
        """Places in the queue."""
        return self._admission.max_queue

    @property
    def in_flight(self) -> int:
        """Turns admitted and not yet over."""
        return self._admission.in_flight

    @property
    def reserved(self) -> int:
        """Places taken of the slots and the queue, with or without a turn under way."""
        return self._admission.reserved

    @property
    def load(self) -> Load:
        """How busy the engine was after its last turn of the loop, with every admitted turn."""
        load = self._load
        return replace(load, waiting=max(0, self.in_flight - load.running - load.parked))

    def heartbeat_age_s(self) -> float:
        """Seconds since the thread last went round its loop."""
        return time.monotonic() - self._last_beat_s

    def alive(self, stuck_after_s: float) -> bool:
        """Whether the thread runs, goes round, and its steps do not all fail."""
        return (
            self._thread.is_alive()
            and self.heartbeat_age_s() < stuck_after_s
            and self._batch_failures < MAX_BATCH_FAILURES
        )

    def reserve(self, owner: str) -> Reservation:
        """Takes a place for an owner's turns to come, until it is given back.

        Raises:
            QueueFullError, OwnerBusyError, DrainingError: there is none.
        """
        self._check_running()
        return self._admission.reserve(owner)

    def give_back(self, reservation: Reservation) -> None:
        """No turn follows; one that is under way keeps the place until it is over. Idempotent."""
        self._admission.give_back(reservation)

    def submit(
        self, request: TurnRequest, sink: Sink, reservation: Reservation | None = None
    ) -> None:
        """Admits a turn; `sink` hears `Started`, frames, and exactly one `Finished`.

        Under a `reservation` it is never refused for want of a place, unless that was given back;
        without one it needs a place of its own.

        Raises:
            QueueFullError, OwnerBusyError, DrainingError: at once, and the sink hears nothing.
            ValueError: the prompt is empty or longer than the cache, or a number is out of range.
        """
        if not 0 < len(request.prompt) <= self.max_positions:
            raise ValueError(
                f"prompt: {len(request.prompt)} positions, must be 1..{self.max_positions}"
            )
        if request.max_frames < 1:
            raise ValueError(f"max_frames: {request.max_frames}, must be >= 1")
        most = min(request.max_frames, len(request.prompt)) - 1
        if not 0 <= request.begun_frames <= most:
            raise ValueError(f"begun_frames: {request.begun_frames}, must be 0..{most}")
        if request.begun_frames and request.noise is None:
            raise ValueError("noise: None; frames that were begun need `noise_after` them")
        self._check_running()
        self._admission.begin(request.key, request.owner, reservation)
        self._commands.put(Submit(EngineTurn(request, sink)))

    def noise_after(self, seed: int, frames: int) -> object:
        """The random numbers' state of a turn behind its first frames. For any thread: drawing
        takes up to a millisecond a frame."""
        return self._runner.noise_after(seed, frames)

    def _check_running(self) -> None:
        if not self._thread.is_alive():
            raise DrainingError("the engine does not run")

    def cancel(self, key: str, reason: FinishReason = FinishReason.CANCELLED) -> None:
        """Ends the turn before the next step. Idempotent; unknown turns are ignored."""
        self._commands.put(CancelTurn(key, reason, time.monotonic()))

    def credit(self, key: str, frames: int) -> None:
        """Allows the turn that many more frames."""
        self._commands.put(Credit(key, frames))

    def release(self, owner: str) -> None:
        """The owner will not come back; its slot is free."""
        self._commands.put(Release(owner))

    async def evict(self, owner: str) -> bool:
        """Frees an idle owner's slot; False where it has none, or a turn of it is under way."""
        if self._admission.busy(owner) or not self._thread.is_alive():
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def reply(released: bool) -> None:
            if not done.done():
                done.set_result(released)

        self._commands.put(Release(owner, asked=True, reply=reply))
        return await done

    @property
    def draining(self) -> bool:
        """Whether turns are refused."""
        return self._admission.closed

    def drain(self) -> None:
        """Refuses turns from now on; those admitted go on."""
        self._admission.close()

    def end_all(self, reason: FinishReason) -> None:
        """Ends every turn that was admitted."""
        self._commands.put(EndAll(reason))

    async def stop(self) -> None:
        """Ends every turn with SHUTDOWN, then the thread. Safe to call twice."""
        self.drain()
        self._commands.put(Stop())
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    # The thread's side.

    def step(self) -> None:
        """One step of the batch."""
        plan = self._scheduler.schedule(time.monotonic())
        outcome = self._runner.run(plan)
        self._batch_failures = self._batch_failures + 1 if outcome.batch_failed else 0
        began = time.perf_counter()
        events = self._scheduler.commit(plan, outcome, time.monotonic())
        outcome.phases_s["deliver"] = time.perf_counter() - began
        self._deliver(events, outcome.phases_s, len(plan.slots), plan.blocked)

    def _main(self) -> None:
        if self._prepare:
            self._prepare()
        running = True
        while running:
            self._last_beat_s = time.monotonic()
            try:
                running = self._obey()
                if running and self._scheduler.runnable:
                    self.step()
                else:
                    self._scheduler.expire(time.monotonic())
                    self._flush()
            except Exception as error:
                log.exception("the engine failed outside of the model; every turn ends")
                self._batch_failures += 1
                self._scheduler.end_all(FinishReason.ERROR, time.monotonic(), error)
                for slot in range(self._record.slots):
                    self._scheduler.slots.reset(slot)
                self._flush()

    def _obey(self) -> bool:
        """Carries out all commands there are; waits for one while there is nothing to run."""
        obeyed = False
        while True:
            try:
                if obeyed or self._scheduler.runnable:
                    command = self._commands.get_nowait()
                else:
                    command = self._commands.get(timeout=self._idle_s())
            except queue.Empty:
                break
            obeyed = True
            if not self._carry_out(command):
                return False
        if obeyed:
            self._flush()
        return True

    def _idle_s(self) -> float:
        expiry_s = self._scheduler.next_expiry_s()
        if expiry_s is None:
            return HEARTBEAT_S
        return min(HEARTBEAT_S, max(0.0, expiry_s - time.monotonic()))

    def _carry_out(self, command: Command) -> bool:
        scheduler, now = self._scheduler, time.monotonic()
        match command:
            case Submit(turn):
                scheduler.submit(turn)
            case CancelTurn(key, reason, requested_s):
                scheduler.cancel(key, reason, requested_s, now)
            case Credit(key, frames):
                scheduler.credit(key, frames)
            case Release(owner, asked, reply):
                released = scheduler.slots.release(owner)
                self._released += released and asked
                if reply:
                    self._call(reply, released)
            case EndAll(reason):
                scheduler.end_all(reason, now)
            case Stop():
                scheduler.end_all(FinishReason.SHUTDOWN, now)
                return False
        return True

    def _flush(self) -> None:
        self._deliver(self._scheduler.take_events(), {}, 0, 0)

    def _deliver(
        self,
        events: list[tuple[EngineTurn, Event]],
        phases_s: dict[str, float],
        advanced: int,
        blocked: int,
    ) -> None:
        load = self._snapshot()
        if not (events or phases_s or self._released or load != self._load):
            return
        self._load = load
        for turn, event in events:
            if isinstance(event, Finished):
                self._admission.finish(turn.request.key)
        evicted, self._scheduler.evictions = self._scheduler.evictions, 0
        released, self._released = self._released, 0
        stats = StepStats(load, phases_s, advanced, blocked, evicted, released)
        self._call(self._dispatch, stats, events)

    def _dispatch(self, stats: StepStats, events: list[tuple[EngineTurn, Event]]) -> None:
        self._told(self._observer.stats, stats)
        for turn, event in events:
            self._told(self._observer.event, event)
            # A sink that raises loses its turn, and no other; what follows it would hear with a
            # gap, so of that only the terminal.
            if turn.sink_failed and not isinstance(event, Finished):
                continue
            if not self._told(turn.sink, event):
                turn.sink_failed = True
                self.cancel(turn.request.key, FinishReason.ERROR)

    @staticmethod
    def _told(listener: Callable[..., None], what: object) -> bool:
        try:
            listener(what)
        except Exception:
            log.exception("a listener failed on %s", type(what).__name__)
            return False
        return True

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # A loop that is closed has nobody left to tell.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *arguments)

    def _snapshot(self) -> Load:
        scheduler, record = self._scheduler, self._record
        return Load(
            slots=record.slots,
            running=scheduler.running,
            waiting=scheduler.waiting,
            cached=scheduler.slots.cached,
            kv_cache_usage_ratio=scheduler.slots.positions_in_use
            / (record.slots * record.max_positions),
            parked=scheduler.parked,
        )
