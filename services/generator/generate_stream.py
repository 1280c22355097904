"""One `Generate` stream: its config, its context, and one turn at a time.

Inputs come from a reader task, outputs leave through `outputs`; neither waits for the other. A turn
is over when its terminal is handed to the writer, so that a cancel still takes back what the client
has not been sent.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from csm import errors
from csm.limits import MAX_ID_CHARS
from csm.serving.metrics import GeneratorMetrics
from services.generator.context import Context, ContextLimits, PinnedSegment, TooLongError
from services.generator.engine.engine import DrainingError, Engine, OwnerBusyError, QueueFullError
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady, Started
from services.generator.engine.turn import TurnRequest
from services.generator.model.text import TextTokenizer
from services.generator.turns import (
    Output,
    RunningTurn,
    StreamConfig,
    TurnCompleted,
    TurnFrames,
    TurnStarted,
)

MAX_FRAMES_A_MESSAGE = 256
SEEDS = 1 << 64


class GenerateStream:
    """The logic of one stream."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: TextTokenizer,
        limits: ContextLimits,
        metrics: GeneratorMetrics,
        config: StreamConfig,
    ) -> None:
        self._engine, self._limits, self._metrics, self._config = engine, limits, metrics, config
        self._context = Context(
            tokenizer, limits, speaker=config.speaker, max_frames=config.max_frames
        )
        named = config.conversation_id
        self._owner = self.owner_of(named) if named else f"stream:{uuid.uuid4().hex}"
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

    def add_segments(self, segments: Sequence[PinnedSegment], *, replace: bool) -> None:
        """Appends to the context.

        Raises:
            FailedPrecondition: a turn is under way.
            InvalidArgument: as `Context.add`.
        """
        if self._running:
            raise errors.FailedPrecondition(
                "segments: a turn is under way; send context before the flush, or after the turn"
            )
        with self._counting_too_long():
            self._context.add(segments, replace=replace, field="segments.segments")

    def append_text(self, text: str) -> None:
        """Adds to the text of the next turn."""
        self._text_chars += len(text)
        if self._text_chars > self._limits.max_text_chars:
            raise errors.invalid(
                "text",
                f"{self._text_chars} characters; at most {self._limits.max_text_chars} are allowed",
            )
        self._text.append(text)

    def flush(self, turn_id: str, deadline_s: float | None, now: float) -> None:
        """Speaks the text so far. `deadline_s` and `now` are on the monotonic clock.

        Raises:
            FailedPrecondition: a turn is under way here, or in another call of the conversation.
            InvalidArgument, QueueFull, Unavailable, DeadlineExceeded: nothing was begun.
        """
        if len(turn_id) > MAX_ID_CHARS:
            raise errors.invalid(
                "flush.turn_id", f"{len(turn_id)} characters; at most {MAX_ID_CHARS} are allowed"
            )
        if self._running:
            raise errors.FailedPrecondition(
                f"flush: turn {self._running.turn_id!r} is under way; one turn at a time"
            )
        if deadline_s is not None and now >= deadline_s:
            self._metrics.rejected.labels("deadline").inc()
            raise errors.DeadlineExceeded("the call's deadline has passed")
        text, self._text, self._text_chars = "".join(self._text), [], 0
        with self._counting_too_long():
            prompt = self._context.prompt(text)
        given = self._config.seed
        seed = secrets.randbits(63) if given is None else (given + self._turns) % SEEDS
        running = RunningTurn(turn_id, uuid.uuid4().hex, prompt, seed)
        request = TurnRequest(
            key=running.key,
            owner=self._owner,
            prompt=prompt.rows,
            sampling=self._config.sampling,
            seed=seed,
            max_frames=self._config.max_frames,
            min_frames=self._config.min_frames,
            credit_frames=self._balance,
            deadline_s=deadline_s,
        )
        self._submit(request, running)
        self._running = running
        self._turns += 1
        self._metrics.segments_evicted.inc(prompt.evicted)

    async def cancel(self, turn_id: str, keep_frames: int | None) -> None:
        """Ends the turn in band: what was not sent is dropped first, then the engine is told.

        Returns when the slot is free, so that a flush right behind a cancel is in order.
        Unknown and finished turns are ignored.
        """
        running = self._running
        if running is None or (turn_id and turn_id != running.turn_id):
            return
        if not running.cancelled:
            running.cancelled = True
            running.keep_frames = keep_frames
            self._drop_unsent(running)
            self._engine.cancel(running.key)
        await running.over.wait()
        if self._running is running:
            self._push(self._settle(running))

    def credit(self, frames: int) -> None:
        """Allows more frames; without flow control there is nothing to allow."""
        if frames < 1:
            raise errors.invalid("credit.frames", "0 is not allowed; at least 1")
        if self._balance is None:
            return
        self._balance += frames
        if self._running:
            self._engine.credit(self._running.key, frames)

    def end_input(self) -> None:
        """Nothing more comes; a turn under way finishes."""
        self._input_ended = True
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """Ends the stream with an error; the turn stops at once, whether or not anyone reads."""
        if self._failure is None:
            self._failure = error
            self._abandon(FinishReason.CANCELLED)
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
        if not self._config.conversation_id:
            self._engine.release(self._owner)

    # Outputs.

    async def outputs(self) -> AsyncIterator[Output]:
        """What is to be sent, until the input has ended and no turn is under way.

        Raises what `fail` was given, and `Unavailable` on shutdown when no turn follows.
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
                    async with asyncio.timeout(self._closing_idle_s if closing else None):
                        await self._wake.wait()
                except TimeoutError:
                    # A turn that began meanwhile has woken nobody yet.
                    if closing and self._running is None:
                        raise closing from None

    def _pop(self) -> Output:
        item = self._queue.popleft()
        if isinstance(item, RunningTurn):
            return self._settle(item)
        if isinstance(item, TurnFrames):
            parts = [item.codes]
            while (
                self._queue
                and isinstance(self._queue[0], TurnFrames)
                and len(parts) < MAX_FRAMES_A_MESSAGE
            ):
                following = self._queue.popleft()
                if isinstance(following, TurnFrames):
                    parts.append(following.codes)
            if self._running:
                self._running.sent += len(parts)
            if len(parts) > 1:
                return TurnFrames(item.turn_id, np.concatenate(parts), item.first_frame)
        return item

    # The turn.

    def _submit(self, request: TurnRequest, running: RunningTurn) -> None:
        try:
            self._engine.submit(request, lambda event: self._hear(running, event))
        except QueueFullError as refusal:
            self._metrics.rejected.labels("queue_full").inc()
            raise errors.QueueFull(f"the generator is full: {refusal}") from None
        except DrainingError:
            self._metrics.rejected.labels("draining").inc()
            raise errors.Unavailable("the service is shutting down") from None
        except OwnerBusyError:
            raise errors.FailedPrecondition(
                f"config.conversation_id: {self._config.conversation_id!r} has a turn under way "
                "in another call; one turn at a time"
            ) from None

    def _hear(self, running: RunningTurn, event: Event) -> None:
        match event:
            case Started():
                self._push(
                    TurnStarted(
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

    def _settle(self, running: RunningTurn) -> TurnCompleted:
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
        if kept:
            self._context.complete(running.prompt, np.concatenate(running.codes[:kept]))
        return TurnCompleted(
            running.turn_id,
            reason,
            running.prompt.text_tokens,
            running.prompt.evicted,
            finished,
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

    @contextmanager
    def _counting_too_long(self) -> Iterator[None]:
        try:
            yield
        except TooLongError:
            self._metrics.rejected.labels("too_long").inc()
            raise
