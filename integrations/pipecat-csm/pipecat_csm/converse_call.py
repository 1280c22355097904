"""The `Converse` call of a service: kept open, opened anew when it ends, turns said again where
nothing of them was heard."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from loguru import logger

from csm import (
    AsyncConversation,
    AudioChunk,
    Event,
    FinishReason,
    RetryableError,
    ServiceError,
    TurnCompleted,
    TurnStarted,
    Unavailable,
)
from pipecat_csm.spoken_turn import SpokenContext, SpokenTurn

MAX_ATTEMPTS = 3
"""Of one turn."""
MAX_RETRY_DELAY_S = 2.0
MAX_OVER_TURNS = 32
"""Turns whose audio came and may still be playing."""
MAX_HEARD_TEXTS = 64


class Listener(Protocol):
    """Who is told what comes."""

    async def on_chunk(self, turn: SpokenTurn, chunk: AudioChunk) -> None:
        """Audio of a turn that was not interrupted."""

    async def on_over(
        self, turn: SpokenTurn, completed: TurnCompleted | None, error: ServiceError | None
    ) -> None:
        """Nothing more comes of a turn; `completed` is None where it was lost with its call."""


class ConverseCall:
    """Turns of one conversation, sent and received in order."""

    def __init__(
        self,
        make: Callable[[str], AsyncConversation],
        listener: Listener,
        start_task: Callable[[Coroutine[Any, Any, None]], Any],
        conversation_id: str,
    ) -> None:
        """`make` makes a conversation, not yet entered, that goes on with an id."""
        self.conversation_id = conversation_id
        self._make = make
        self._listener = listener
        self._start_task = start_task
        self._call: AsyncConversation | None = None
        self._stale = False
        self._pending: deque[SpokenTurn] = deque()
        self._over: deque[SpokenTurn] = deque(maxlen=MAX_OVER_TURNS)
        self._heard: deque[str] = deque(maxlen=MAX_HEARD_TEXTS)
        # Held by who sends, or opens the call.
        self._sending = asyncio.Lock()

    async def connect(self) -> None:
        """Opens the call where there is none. Raises the `ServiceError` that keeps it from that."""
        async with self._sending:
            await self._ready()

    async def close(self) -> None:
        """Ends the call and what is spoken in it; the conversation stays at the server."""
        async with self._sending:
            self._pending.clear()
            await self._leave()

    def reopen(self) -> None:
        """The next turn opens another call: what was asked for has changed."""
        self._stale = True

    def heard(self, text: str) -> None:
        """What the user said, told to the model before the next turn."""
        if text.strip():
            self._heard.append(text)

    async def say(self, context: SpokenContext, text: str, *, flush: bool) -> None:
        """A part of a context's text; `flush`: to be spoken without waiting for more of it.

        Raises the `ServiceError` of a server that cannot be reached.
        """
        async with self._sending:
            last = self._pending[-1] if self._pending else None
            if last is not None and not last.ended and last.context is not context:
                await self._end(last)
                last = None
            if last is None or last.ended:
                call = await self._ready()
                last = SpokenTurn(context)
                self._pending.append(last)
                context.turns_left += 1
                while self._heard and self._call is call:
                    await self._send(_end_turn(self._heard.popleft()))
            last.text += text
            sent = await self._send(lambda call: call.say(text))
            if sent and flush:
                await self._send(lambda call: call.flush())

    async def end(self, context: SpokenContext) -> None:
        """A context's text is complete."""
        async with self._sending:
            context.flushed = True
            for turn in self._pending:
                if turn.context is context and not turn.ended:
                    await self._end(turn)
                    return

    async def cancel(self, heard_ms: dict[str, int]) -> None:
        """Interrupts contexts, of which so many milliseconds were heard; the rest leaves the
        conversation, also of turns that are over."""
        async with self._sending:
            for turn in list(self._over):
                if (name := turn.context.context_id) in heard_ms:
                    self._over.remove(turn)
                    if (kept_ms := _kept_ms(turn, heard_ms[name])) < int(turn.audio_ms):
                        await self._cancel(turn.turn_id, kept_ms)
            cut = [t for t in self._pending if t.context.context_id in heard_ms]
            for turn in cut:
                turn.cancelled, turn.ended = True, True
            if cut and len(cut) == len(self._pending):
                first = cut[0]
                await self._cancel("", _kept_ms(first, heard_ms[first.context.context_id]))
                return
            # Those that have no name yet are cancelled when they get one.
            for turn in cut:
                if turn.turn_id:
                    kept_ms = _kept_ms(turn, heard_ms[turn.context.context_id])
                    await self._cancel(turn.turn_id, kept_ms)

    async def _cancel(self, turn_id: str, kept_ms: int) -> None:
        await self._send(lambda call: call.cancel(turn_id=turn_id, heard_ms=kept_ms))

    async def _end(self, turn: SpokenTurn) -> None:
        turn.ended = True
        await self._send(lambda call: call.end_turn())

    async def _send(self, send: Callable[[AsyncConversation], Coroutine[Any, Any, None]]) -> bool:
        """False: the call was lost. What was said in it is said again, or has failed."""
        call = self._call
        if call is None:
            return False
        try:
            await send(call)
        except ServiceError as error:
            await self._lost(call, error)
            return False
        return True

    # The call itself. All of these are called with the lock held.

    async def _ready(self) -> AsyncConversation:
        call = self._call
        if call is not None and (call.ended or self._stale) and not self._pending:
            await self._leave()
        if self._call is None:
            call = self._make(self.conversation_id)
            await call.__aenter__()
            self._call, self._stale = call, False
            self.conversation_id = call.conversation_id
            self._start_task(self._read(call))
        assert self._call is not None
        return self._call

    async def _leave(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            await call.__aexit__(None, None, None)

    async def _lost(self, call: AsyncConversation, error: ServiceError) -> None:
        """The call has ended. Turns of which nothing was heard are said again in another one."""
        if call is not self._call:
            return
        await self._leave()
        turns, self._pending = list(self._pending), deque()
        again = [t for t in turns if not t.cancelled and _may_again(t, error)]
        for turn in turns:
            if not turn.cancelled and turn not in again:
                await self._failed(turn, error)
        if not again:
            return
        logger.debug(f"csm: {error.message}; {len(again)} turns are said again")
        await asyncio.sleep(_delay_s(error, again[0].attempts))
        try:
            anew = await self._ready()
            for turn in again:
                self._pending.append(turn)
                await self._say_again(anew, turn)
        except ServiceError as failure:
            await self._leave()
            self._pending.clear()
            for turn in again:
                await self._failed(turn, failure)

    async def _say_again(self, call: AsyncConversation, turn: SpokenTurn) -> None:
        turn.attempts += 1
        turn.turn_id = ""
        if turn.text:
            await call.say(turn.text)
        if turn.ended:
            await call.end_turn()

    async def _failed(self, turn: SpokenTurn, error: ServiceError) -> None:
        turn.context.turns_left -= 1
        await self._listener.on_over(turn, None, error)

    # What comes.

    async def _read(self, call: AsyncConversation) -> None:
        error: ServiceError = Unavailable("the server ended the call", 0.0)
        try:
            async for event in call:
                await self._take(call, event)
        except ServiceError as failure:
            error = failure
        async with self._sending:
            await self._lost(call, error)

    async def _take(self, call: AsyncConversation, event: Event) -> None:
        if isinstance(event, TurnStarted):
            turn = next((t for t in self._pending if not t.turn_id), None)
            if turn is not None:
                turn.turn_id, turn.starts_at_ms = event.turn_id, turn.context.audio_ms
                if turn.cancelled:
                    async with self._sending:
                        await self._cancel(turn.turn_id, 0)
        elif isinstance(event, AudioChunk):
            turn = next((t for t in self._pending if t.turn_id == event.turn_id), None)
            if turn is not None and not turn.cancelled:
                turn.audio_ms += event.duration_s * 1000
                turn.context.audio_ms += event.duration_s * 1000
                await self._listener.on_chunk(turn, event)
        elif isinstance(event, TurnCompleted) and not event.heard:
            await self._complete(call, event)

    async def _complete(self, call: AsyncConversation, completed: TurnCompleted) -> None:
        named = (t for t in self._pending if t.turn_id == completed.turn_id)
        turn = next(named, None) or next((t for t in self._pending if not t.turn_id), None)
        if turn is None:
            return
        error = _error_of(completed)
        async with self._sending:
            if not turn.ended:
                # It ended by itself; what was sent of its text meanwhile belongs to it.
                await self._end(turn)
            if call is not self._call or turn not in self._pending:
                return
            alone = len(self._pending) == 1
            if error is not None and alone and not turn.cancelled and _may_again(turn, error):
                await asyncio.sleep(_delay_s(error, turn.attempts))
                try:
                    await self._say_again(call, turn)
                except ServiceError as failure:
                    await self._lost(call, failure)
                return
            self._pending.remove(turn)
        turn.context.turns_left -= 1
        if not turn.cancelled:
            self._over.append(turn)
            await self._listener.on_over(turn, completed, error)


def _end_turn(heard_text: str) -> Callable[[AsyncConversation], Coroutine[Any, Any, None]]:
    return lambda call: call.end_turn(heard_text)


def _kept_ms(turn: SpokenTurn, heard_of_context_ms: int) -> int:
    return int(min(max(heard_of_context_ms - turn.starts_at_ms, 0), turn.audio_ms))


def _may_again(turn: SpokenTurn, error: ServiceError) -> bool:
    retryable = isinstance(error, RetryableError)
    return retryable and not turn.audio_ms and turn.attempts < MAX_ATTEMPTS


def _delay_s(error: ServiceError, attempt: int) -> float:
    asked_s = error.retry_after_s if isinstance(error, RetryableError) else 0.0
    return min(MAX_RETRY_DELAY_S, max(asked_s, 0.1 * 2 ** (attempt - 1)))


def _error_of(completed: TurnCompleted) -> ServiceError | None:
    if completed.error is not None:
        return completed.error
    if completed.finish_reason in (FinishReason.SHUTDOWN, FinishReason.DEADLINE):
        return Unavailable(f"the turn ended before its text: {completed.finish_reason}", 0.0)
    return None
