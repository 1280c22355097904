"""Many streams batched into one codec step.

Each direction has a state of so many rows; a stream owns one of them, from its first whole frame to
its last. A stream that finds all rows in use waits for one, in the order of coming. One worker
thread owns torch: it plans a step (`plan`), runs it on the rows concerned (`direction`) and hands
the results of all its streams to the event loop in one call.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from csm import errors
from csm.serving.metrics import TokenizerMetrics
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.open_calls import OpenCalls
from services.tokenizer.plan import MAX_STEP_FRAMES, CodecPlan, Ready, plan
from services.tokenizer.stream import CodecStream, Operation
from services.tokenizer.waiting import PoolLimits, WaitingList

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class _Step:
    """A planned step with what it takes."""

    direction: CodecDirection
    plan: CodecPlan
    streams: list[CodecStream]
    blocks: list[Block]


class CodecPool:
    """All open streams of one codec. `prepare` runs first on the worker thread."""

    def __init__(
        self,
        directions: Sequence[CodecDirection],
        frame_rate_hz: float,
        metrics: TokenizerMetrics,
        limits: PoolLimits | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._directions: dict[Operation, CodecDirection] = {
            one.operation: one for one in directions
        }
        self._free: dict[Operation, list[int]] = {
            one.operation: list(range(one.rows)) for one in directions
        }
        self._frame_rate_hz = frame_rate_hz
        self._metrics = metrics
        self._limits = limits or PoolLimits()
        self._prepare = prepare
        self._wake = threading.Condition()
        self._streams: set[CodecStream] = set()
        self._calls = OpenCalls()
        self._waiting = {
            one.operation: WaitingList(
                f"all {one.rows} {one.operation} streams are in use",
                partial(self._opened, one.operation),
                self._limits,
                metrics,
                decodes=one.operation == "decode",
            )
            for one in directions
        }
        self._steps = 0
        self._stopping = False
        self._step_began: float | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Starts the worker and warms it up. Raises what the warm-up raised.

        Where it raises, or is cancelled, the worker ends; `stop` need not be called.
        """
        self._loop = asyncio.get_running_loop()
        self._calls.start()
        warmed: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, args=(warmed,), name="codec")
        self._thread.start()
        try:
            await warmed
        except BaseException:
            # A process that is told to go while it warms up must not wait for an idle worker.
            self._end()
            raise

    def alive(self, stuck_after_s: float) -> bool:
        """Whether the worker runs, and is not stuck in a step. Idleness and load never fail it."""
        if self._thread is None or not self._thread.is_alive():
            return self._thread is None
        began = self._step_began
        return began is None or time.monotonic() - began < stuck_after_s

    async def drain(self, finish_s: float, error: BaseException) -> None:
        """Lets calls finish for `finish_s` seconds; the rest fails with `error`, those as well that
        wait for a row or for their first frame."""
        await self._calls.until_closed(finish_s)
        self._calls.shut_down(error)
        for waiting in self._waiting.values():
            waiting.fail(error)
        for stream in list(self._calls.streams):
            stream.fail(error)
        await self._calls.until_closed(1.0)

    async def stop(self) -> None:
        """Ends the worker after its step."""
        self._end()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    @property
    def open_streams(self) -> int:
        """Streams that hold a row."""
        return len(self._streams)

    def _end(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()

    # The streams' side, on the loop ----------------------------------------------------------

    async def before_shutdown(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns; it is cancelled, and the drain's error raised, when one ends."""
        return await self._calls.before_shutdown(work)

    async def acquire(self, operation: Operation) -> CodecStream:
        """A new stream, which must be closed. Waits for a row, first come first served.

        Raises `QueueFull` where too many wait already, and where none is free in time.
        """
        return await self._waiting[operation].acquire()

    def call(self) -> AbstractContextManager[None]:
        """A call is under way, whether or not it has a stream yet: a drain waits for it."""
        return self._calls.call()

    def _opened(self, operation: Operation) -> CodecStream | None:
        """A stream with a row; None where all are taken."""
        with self._wake:
            if not self._free[operation]:
                return None
            # The lowest row: open streams stay neighbours, and a step a short run of rows.
            row = heapq.heappop(self._free[operation])
            stream = CodecStream(self, operation, row, self._limits.max_idle_s)
            self._streams.add(stream)
        self._calls.streams.add(stream)
        self._metrics.sessions_active.labels(operation).inc()
        return stream

    def submit(self, stream: CodecStream, block: Block) -> None:
        """Frames for a stream."""
        with self._wake:
            stream.waiting.append(block)
            stream.waiting_frames += len(block)
            self._wake.notify()

    def note_read(self, stream: CodecStream, frames: int) -> None:
        """The stream's reader took `frames` frames."""
        with self._wake:
            stream.unread_frames -= frames
            self._wake.notify()

    def free_row(self, stream: CodecStream) -> None:
        """The stream needs its row no more: it is free at once, or after the step it is in."""
        with self._wake:
            if stream.row_freed:
                return
            stream.row_freed = True
            stream.waiting.clear()
            stream.waiting_frames = 0
            self._streams.discard(stream)
            if not stream.in_step:
                heapq.heappush(self._free[stream.operation], stream.row)
        self._metrics.sessions_active.labels(stream.operation).dec()
        self._waiting[stream.operation].serve()

    def close(self, stream: CodecStream) -> None:
        """The stream is over, read to its end or given up."""
        self.free_row(stream)
        self._calls.close(stream)

    def _deliver(self, step: _Step, outputs: list[Block] | None, seconds: float) -> None:
        operation = step.direction.operation
        # Of a stream that was closed amid the step.
        self._waiting[operation].serve()
        if outputs is None:
            for stream in step.streams:
                stream.fail(errors.Internal("the codec failed; the server's log says why"))
            return
        metrics = self._metrics
        metrics.step_seconds.labels(operation).observe(seconds)
        metrics.batch_size.labels(operation).observe(len(outputs))
        frames = len(outputs) * step.plan.frames
        metrics.audio_seconds.labels(operation).inc(frames / self._frame_rate_hz)
        for stream, block in zip(step.streams, outputs, strict=True):
            if (waited_s := stream.deliver(block)) is not None:
                metrics.first_chunk_seconds.labels(operation).observe(waited_s)

    # The worker's side, on its thread --------------------------------------------------------

    def _work(self, warmed: asyncio.Future[None]) -> None:
        try:
            self._prepare()
            self._warm_up()
        except Exception as error:
            self._post(_settle, warmed, error)
            return
        self._post(_settle, warmed, None)
        while True:
            with self._wake:
                step = None if self._stopping else self._next()
                while step is None:
                    if self._stopping:
                        return
                    self._wake.wait()
                    step = self._next()
            self._run(step)

    def _warm_up(self) -> None:
        for one in self._directions.values():
            for rows, frames in ((1, 1), (min(2, one.rows), 1), (1, MAX_STEP_FRAMES)):
                one.step(0, [one.silence(frames)] * rows)

    def _next(self) -> _Step | None:
        """The next step, its blocks taken from their streams."""
        ready: dict[Operation, list[Ready]] = {name: [] for name in self._directions}
        streams_of: dict[tuple[Operation, int], CodecStream] = {}
        for stream in self._streams:
            if (could := stream.ready()) is not None:
                ready[stream.operation].append(could)
                streams_of[stream.operation, stream.row] = stream
        # The direction of whoever was served longest ago.
        operation = min(
            (name for name in self._directions if ready[name]),
            key=lambda name: min(could.served_at for could in ready[name]),
            default=None,
        )
        if operation is None:
            return None
        direction = self._directions[operation]
        chosen = plan(ready[operation], direction.costs)
        self._steps += 1
        streams = [streams_of[operation, row] for row in chosen.rows]
        blocks = [stream.take(chosen.frames) for stream in streams]
        for stream in streams:
            stream.in_step = True
            stream.served_at = self._steps
        return _Step(direction, chosen, streams, blocks)

    def _run(self, step: _Step) -> None:
        outputs: list[Block] | None = None
        self._step_began = began = time.monotonic()
        try:
            rows: list[Block | None] = [None] * step.plan.count
            for stream, block in zip(step.streams, step.blocks, strict=True):
                if stream.fresh:
                    step.direction.reset(stream.row)
                rows[stream.row - step.plan.first] = block
            made = step.direction.step(step.plan.first, rows)
            outputs = [block for block in made if block is not None]
        except Exception:
            log.exception("a step of %s failed", step.direction.operation)
        seconds = time.monotonic() - began
        self._step_began = None
        with self._wake:
            for stream in step.streams:
                stream.in_step = False
                stream.fresh = False
                stream.failed = outputs is None
                if stream.row_freed:
                    heapq.heappush(self._free[stream.operation], stream.row)
        self._post(self._deliver, step, outputs, seconds)

    def _post(self, callback: Callable[..., None], *args: object) -> None:
        # The loop may be gone where a process ends without draining.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback, *args)


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
