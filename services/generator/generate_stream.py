"""One `Generate` stream: its config, its context, and one turn at a time.

Inputs come from a reader task, outputs leave through `outputs`; neither waits for the other. A turn
is over when its terminal is handed to the writer, so that a cancel still takes back what the client
has not been sent.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import numpy as np

from csm import errors
from csm.serving.metrics import GeneratorMetrics
from services.generator.context import Context, ContextLimits, PinnedSegment
from services.generator.engine.engine import Engine
from services.generator.engine.events import (
    EngineTiming,
    Event,
    Finished,
    FinishReason,
    FrameReady,
    Started,
)
from services.generator.engine.turn import TurnRequest
from services.generator.left_out import LeftOut
from services.generator.model.text import TextTokenizer
from services.generator.off_loop import INLINE_CHARS, off_loop
from services.generator.place import Place
from services.generator.turns import (
    FlushRequest,
    GenerationCompleted,
    GenerationStarted,
    Output,
    RunningTurn,
    StreamConfig,
    TurnFrames,
    joined_frames,
)

Result = TypeVar("Result")

SEEDS = 1 << 64
DRAWN_SEED_BITS = 32
"""Of the seeds that are drawn here: larger ones cost a second generator (`model.noise`)."""

NEVER_RUN = Finished(FinishReason.ERROR, 0, 0, 0, 0, EngineTiming(None, None, None, 0.0))
"""What the engine would say of a turn that it was never given."""


class GenerateStream:
    """The logic of one stream."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: TextTokenizer,
        limits: ContextLimits,
        metrics: GeneratorMetrics,
        config: StreamConfig,
        *,
        left_out: LeftOut | None = None,
        max_idle_s: float = float("inf"),
    ) -> None:
        """`max_idle_s`: how long it may be without a turn and without input."""
        self._engine, self._limits, self._metrics, self._config = engine, limits, metrics, config
        self._left_out = left_out or LeftOut()
        self._max_idle_s = max_idle_s
        self._active_s = time.monotonic()
        self._context = Context(
            tokenizer, limits, speaker=config.speaker, max_frames=config.max_frames
        )
        named = config.conversation_id
        self._owner = self.owner_of(named) if named else f"stream:{uuid.uuid4().hex}"
        self._place = Place(engine, self._owner, named, metrics)
        self._text: list[str] = []
        self._text_chars = 0
        self._turns = 0
        self._balance = config.credit_frames
        self._running: RunningTurn | None = None
        self._queue: deque[Output | RunningTurn] = deque()
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None
        self._closing: errors.ServiceError | None = None
        self._closing_idle_s = 0.0
        self._input_ended = False
        self._closed = False

    @staticmethod
    def owner_of(conversation_id: str) -> str:
        """The name under which the engine keeps a conversation's slot."""
        return f"conversation:{conversation_id}"

    # Inputs.

    async def add_segments(self, segments: Sequence[PinnedSegment], *, replace: bool) -> None:
        """Appends to the context.

        Raises:
            FailedPrecondition: a turn is under way.
            InvalidArgument: as `Context.add`.
        """
        self._touch()
        if self._running:
            raise errors.FailedPrecondition(
                "segments: a turn is under way; send context before the flush, or after the turn"
            )

        def add() -> None:
            self._context.add(segments, replace=replace, field="segments.segments")

        try:
            await _sized(sum(len(item.segment.text) for item in segments), add)
        except errors.TooLong:
            self._metrics.rejected.labels("too_long").inc()
            raise
        self._touch()

    def append_text(self, text: str) -> None:
        """Adds to the text of the next turn."""
        self._touch()
        self._text_chars += len(text)
        if self._text_chars > self._limits.max_text_chars:
            self._metrics.rejected.labels("too_long").inc()
            raise errors.invalid(
                "text",
                f"{self._text_chars} characters; at most {self._limits.max_text_chars} are allowed",
            )
        self._text.append(text)

    async def flush(self, flushed: FlushRequest, deadline_s: float | None, now: float) -> None:
        """Speaks the text so far. `deadline_s` and `now` are on the monotonic clock.

        The first one takes a reservation, which holds until the stream ends or is cancelled. A text
        that the model cannot say ends its turn in band, and the stream goes on.

        Raises:
            FailedPrecondition: a turn is under way here, or in another call of the conversation.
            InvalidArgument, QueueFull, Unavailable, DeadlineExceeded: nothing was begun.
        """
        self._touch()
        if self._running:
            raise errors.FailedPrecondition(
                f"flush: turn {self._running.turn_id!r} is under way; one turn at a time"
            )
        if deadline_s is not None and now >= deadline_s:
            self._metrics.rejected.labels("deadline").inc()
            raise errors.DeadlineExceeded("the call's deadline has passed")
        turn_id, max_frames = flushed.turn_id, flushed.max_frames or self._config.max_frames
        text, self._text, self._text_chars = "".join(self._text), [], 0
        # Before the work: a server that is full says so at once.
        self._place.take()
        try:
            prompt = await _sized(len(text), lambda: self._context.prompt(text, max_frames))
        except errors.InvalidArgument as error:
            reason = "too_long" if isinstance(error, errors.TooLong) else "unspeakable"
            self._metrics.rejected.labels(reason).inc()
            self._push(GenerationCompleted(turn_id, FinishReason.ERROR, 0, 0, NEVER_RUN, error))
            return
        if self._closed or self._failure:
            return
        seed = self._seed() if flushed.seed is None else flushed.seed
        running = RunningTurn(turn_id, uuid.uuid4().hex, prompt, seed)
        request = TurnRequest(
            key=running.key,
            owner=self._owner,
            prompt=prompt.rows,
            sampling=self._config.sampling,
            seed=seed,
            max_frames=max_frames,
            min_frames=self._config.min_frames,
            credit_frames=self._balance,
            deadline_s=deadline_s,
        )
        self._place.submit(request, lambda event: self._hear(running, event))
        self._running = running
        self._turns += 1
        self._metrics.segments_evicted.inc(self._left_out.newly(self._owner, prompt.left_out))

    async def cancel(self, turn_id: str, keep_frames: int | None) -> None:
        """Ends the turn in band: what was not sent is dropped first, then the engine is told.

        Returns when the slot is free, so that a flush right behind a cancel is in order.
        Unknown and finished turns are ignored. The place is given back: what is said next has to
        be admitted anew.
        """
        self._touch()
        running = self._running
        if running is None or (turn_id and turn_id != running.turn_id):
            return
        if not running.cancelled:
            running.cancelled = True
            running.keep_frames = keep_frames
            self._drop_unsent(running)
            self._engine.cancel(running.key)
            self._place.give_back()
        await running.over.wait()
        if self._running is running:
            self._push(self._settle(running))

    def credit(self, frames: int) -> None:
        """Allows more frames; without flow control there is nothing to allow."""
        if frames < 1:
            raise errors.invalid("credit.frames", "0 is not allowed; at least 1")
        self._touch()
        if self._balance is None:
            return
        self._balance += frames
        if self._running:
            self._engine.credit(self._running.key, frames)

    def end_input(self) -> None:
        """Nothing more comes; a turn under way finishes."""
        self._input_ended = True
        self._place.give_back()
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """Ends the stream with an error; the turn stops at once, whether or not anyone reads."""
        if self._failure is None:
            self._failure = error
            self._abandon(FinishReason.CANCELLED)
            self._place.give_back()
            self._wake.set()

    def shut_down(self, idle_s: float) -> None:
        """Ends the stream once no turn was under way for `idle_s`: the server is going away.

        A caller speaks sentence by sentence, and between two of them there is no turn.
        """
        self._closing = errors.Unavailable("the service is shutting down")
        self._closing_idle_s = idle_s
        self._wake.set()

    def close(self, *, deadline_passed: bool) -> None:
        """The call is over, for whatever reason; frees what it holds. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._abandon(FinishReason.DEADLINE if deadline_passed else FinishReason.CANCELLED)
        self._place.give_back()
        if not self._config.conversation_id:
            self._engine.release(self._owner)
            self._left_out.forget(self._owner)

    # Outputs.

    async def outputs(self) -> AsyncIterator[Output]:
        """What is to be sent, until the input has ended and no turn is under way.

        Raises what `fail` was given, `Unavailable` on shutdown when no turn follows, and
        `DeadlineExceeded` where neither a turn nor input came for `max_idle_s`.
        """
        while True:
            if self._failure:
                raise self._failure
            if self._queue:
                yield self._pop()
            elif self._running is None and self._input_ended:
                return
            else:
                self._wake.clear()
                closing = self._closing if self._running is None else None
                try:
                    # Not wait_for: in Python 3.11 it may swallow a cancel.
                    async with asyncio.timeout(self._patience_s(closing)):
                        await self._wake.wait()
                except TimeoutError:
                    # A turn that began meanwhile has woken nobody yet.
                    if self._running is None and not self._queue:
                        if closing:
                            raise closing from None
                        self._check_idle()

    def _patience_s(self, closing: errors.ServiceError | None) -> float | None:
        """How long to wait for something to send; None: for ever."""
        if closing:
            return self._closing_idle_s
        if self._running or self._max_idle_s == float("inf"):
            return None
        return max(0.0, self._active_s + self._max_idle_s - time.monotonic())

    def _check_idle(self) -> None:
        if time.monotonic() - self._active_s >= self._max_idle_s:
            raise errors.DeadlineExceeded(
                f"neither a turn nor input for {self._max_idle_s:g} s (max_idle_s of the server); "
                "open a stream anew when there is something to say"
            )

    def _touch(self) -> None:
        self._active_s = time.monotonic()

    def _pop(self) -> Output:
        item = self._queue.popleft()
        if isinstance(item, RunningTurn):
            return self._settle(item)
        if isinstance(item, TurnFrames):
            joined, count = joined_frames(item, self._queue)
            if self._running:
                self._running.sent += count
            return joined
        return item

    # The turn.

    def _seed(self) -> int:
        given = self._config.seed
        drawn = secrets.randbits(DRAWN_SEED_BITS)
        return drawn if given is None else (given + self._turns) % SEEDS

    def _hear(self, running: RunningTurn, event: Event) -> None:
        match event:
            case Started():
                self._push(
                    GenerationStarted(
                        running.turn_id,
                        event.prompt_frames,
                        event.reused_frames,
                        running.prompt.evicted,
                        running.seed,
                    )
                )
            case FrameReady():
                if running.cancelled:
                    return
                if self._balance is not None:
                    self._balance -= 1
                codes = event.codes[None].astype(np.uint16)
                running.codes.append(codes)
                self._push(TurnFrames(running.turn_id, codes, event.index))
            case Finished():
                running.finished = event
                running.over.set()
                if not running.cancelled:
                    self._push(running)

    def _settle(self, running: RunningTurn) -> GenerationCompleted:
        """The turn is over for the client too: what stays of it joins the context."""
        finished = running.finished
        if finished is None:
            raise RuntimeError(f"turn {running.turn_id!r} is not finished")
        reason, kept = finished.reason, running.sent
        if running.cancelled:
            if running.keep_frames is not None:
                kept = min(kept, running.keep_frames)
            if reason in (FinishReason.EOS, FinishReason.MAX_DURATION):
                reason = FinishReason.CANCELLED
        self._running = None
        self._touch()
        error = None
        if reason is FinishReason.ERROR:
            error = errors.Internal("the model failed in this turn; the stream goes on")
        if kept:
            self._context.complete(running.prompt, np.concatenate(running.codes[:kept]))
        return GenerationCompleted(
            running.turn_id,
            reason,
            running.prompt.text_tokens,
            running.prompt.evicted,
            finished,
            error,
        )

    def _drop_unsent(self, running: RunningTurn) -> None:
        self._queue = deque(i for i in self._queue if not isinstance(i, TurnFrames | RunningTurn))
        unsent = len(running.codes) - running.sent
        del running.codes[running.sent :]
        if self._balance is not None:
            self._balance += unsent

    def _push(self, item: Output | RunningTurn) -> None:
        if not self._closed and self._failure is None:
            self._queue.append(item)
            self._wake.set()

    def _abandon(self, reason: FinishReason) -> None:
        if self._running and self._running.finished is None:
            self._engine.cancel(self._running.key, reason)


async def _sized(chars: int, work: Callable[[], Result]) -> Result:
    """Tokenises here what is short, and elsewhere what would hold up everybody's frames."""
    return work() if chars <= INLINE_CHARS else await off_loop(work)
