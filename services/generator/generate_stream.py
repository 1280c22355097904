"""One `Generate` stream: its config, its context, and one turn at a time.

Inputs come from a reader task, outputs leave through `outputs`; neither waits for the other. A turn
is over when its terminal is handed to the writer, so that a cancel still takes back what the client
has not been sent.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import AsyncIterator, Sequence

import numpy as np

from csm import errors
from csm.serving.calls.record import current_call
from csm.serving.metrics import GeneratorMetrics
from services.generator.begun import Begun
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
from services.generator.off_loop import sized
from services.generator.output_queue import Item, OutputQueue
from services.generator.patience import Patience
from services.generator.place import Place
from services.generator.turn_stages import tell_stages
from services.generator.turn_text import TurnText
from services.generator.turns import (
    FlushRequest,
    GenerationCompleted,
    GenerationStarted,
    Output,
    RunningTurn,
    StreamConfig,
    TurnFrames,
)

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
        self._patience = Patience(max_idle_s)
        self._context = Context(
            tokenizer, limits, speaker=config.speaker, max_frames=config.max_frames
        )
        named = config.conversation_id
        self._owner = self.owner_of(named) if named else f"stream:{uuid.uuid4().hex}"
        self._place = Place(engine, self._owner, named, metrics)
        self._text = TurnText(limits.max_text_chars)
        self._turns = 0
        self._balance = config.credit_frames
        self._running: RunningTurn | None = None
        self._queue = OutputQueue()
        self._call = current_call()
        self._failure: BaseException | None = None
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
        self._patience.touch()
        if self._running:
            raise errors.FailedPrecondition(
                "segments: a turn is under way; send context before the flush, or after the turn"
            )

        def add() -> None:
            self._context.add(segments, replace=replace, field="segments.segments")

        try:
            await sized(sum(len(item.segment.text) for item in segments), add)
        except errors.TooLong:
            self._metrics.rejected.labels("too_long").inc()
            raise
        self._patience.touch()

    def append_text(self, text: str) -> None:
        """Adds to the text of the next turn; `flush` tells whether it is too long."""
        self._patience.touch()
        self._text.append(text)

    async def flush(self, flushed: FlushRequest, deadline_s: float | None, now: float) -> None:
        """Speaks the text so far. `deadline_s` and `now` are on the monotonic clock.

        The first one takes a reservation, which holds until the stream ends or is cancelled. A text
        that is too long, or that the model cannot say, ends its turn in band, and the stream goes
        on.

        Raises:
            FailedPrecondition: a turn is under way here, or in another call of the conversation.
            InvalidArgument, QueueFull, Unavailable, DeadlineExceeded: nothing was begun.
        """
        self._patience.touch()
        if self._running:
            raise errors.FailedPrecondition(
                f"flush: turn {self._running.turn_id!r} is under way; one turn at a time"
            )
        if deadline_s is not None and now >= deadline_s:
            self._metrics.rejected.labels("deadline").inc()
            raise errors.DeadlineExceeded("the call's deadline has passed")
        turn_id, max_frames = flushed.turn_id, flushed.max_frames or self._config.max_frames
        speaker, begun = flushed.speaker, Begun.of(flushed, max_frames)
        # Before the work: a server that is full says so at once.
        self._place.take()
        try:
            text = self._text.take()
            prompt = await sized(len(text), lambda: self._context.prompt(text, max_frames, speaker))
            rows = begun.behind(prompt.rows, self._limits.max_positions)
        except errors.InvalidArgument as error:
            reason = "too_long" if isinstance(error, errors.TooLong) else "unspeakable"
            self._metrics.rejected.labels(reason).inc()
            self._push(GenerationCompleted(turn_id, FinishReason.ERROR, 0, 0, NEVER_RUN, error))
            return
        seed = self._seed() if flushed.seed is None else flushed.seed
        noise = await begun.noise(self._engine, seed)
        if self._closed or self._failure:
            return
        running = RunningTurn(
            turn_id,
            uuid.uuid4().hex,
            prompt,
            seed,
            begun.frames,
            sent=len(begun),
            submitted_s=time.monotonic(),
        )
        request = TurnRequest(
            key=running.key,
            owner=self._owner,
            prompt=rows,
            sampling=self._config.sampling,
            seed=seed,
            max_frames=max_frames,
            min_frames=self._config.min_frames,
            credit_frames=self._balance,
            deadline_s=deadline_s,
            begun_frames=len(begun),
            noise=noise,
            cache_scope=self._config.cache_scope,
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
        self._patience.touch()
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
        self._patience.touch()
        if self._balance is None:
            return
        self._balance += frames
        if self._running:
            self._engine.credit(self._running.key, frames)

    def end_input(self) -> None:
        """Nothing more comes; a turn under way finishes."""
        self._input_ended = True
        self._place.give_back()
        self._queue.wake()

    def fail(self, error: BaseException) -> None:
        """Ends the stream with an error; the turn stops at once, whether or not anyone reads."""
        if self._failure is None:
            self._failure = error
            self._abandon(FinishReason.CANCELLED)
            self._place.give_back()
            self._queue.wake()

    def shut_down(self, idle_s: float) -> None:
        """Ends the stream once no turn was under way for `idle_s`: the server is going away.

        A caller speaks sentence by sentence, and between two of them there is no turn.
        """
        self._patience.shut_down(idle_s)
        self._queue.wake()

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
                left_s = self._patience.left_s(turn_under_way=self._running is not None)
                # A turn that began meanwhile has woken nobody yet.
                if not await self._queue.wait(left_s) and not (self._running or self._queue):
                    self._patience.check()

    def _pop(self) -> Output:
        item, frames = self._queue.pop()
        if isinstance(item, RunningTurn):
            return self._settle(item)
        if self._running:
            self._running.sent += frames
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
                tell_stages(self._call, running.turn_id, running.submitted_s, event)
                if not running.cancelled:
                    self._push(running)

    def _settle(self, running: RunningTurn) -> GenerationCompleted:
        """The turn is over for the client too: what stays of it joins the context."""
        terminal, kept = running.completed(), running.kept_frames
        self._running = None
        self._patience.touch()
        if kept:
            self._context.complete(running.prompt, np.concatenate(running.codes[:kept]))
        return terminal

    def _drop_unsent(self, running: RunningTurn) -> None:
        self._queue.drop_turn()
        unsent = running.drop_unsent()
        if self._balance is not None:
            self._balance += unsent

    def _push(self, item: Item) -> None:
        if not self._closed and self._failure is None:
            self._queue.push(item)

    def _abandon(self, reason: FinishReason) -> None:
        if self._running and self._running.finished is None:
            self._engine.cancel(self._running.key, reason)
