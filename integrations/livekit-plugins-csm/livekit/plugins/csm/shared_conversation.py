"""The conversation that all segments of a `TTS` belong to: one `Converse` call, kept open."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from livekit.agents import APITimeoutError
from livekit.agents.voice.io import AudioOutput, PlaybackFinishedEvent, PlaybackStartedEvent

from csm import AsyncConversation, FailedPrecondition, ServiceError, TurnCompleted

from .log import logger
from .spoken_turn import SpokenTurn

MAX_HEARD_TEXTS = 64
"""Turns of the user that wait to be told; beyond, the oldest are forgotten."""
MAX_UNPLAYED_TURNS = 64
_IN_USE_PAUSE_S = 0.1


@dataclass
class _Unplayed:
    turn_id: str
    playing: bool = False


class SharedConversation:
    """Segments become its turns one after another; a call that has ended is opened anew.

    The server keeps the conversation under its id, so a new call goes on with it.
    """

    def __init__(self, open_call: Callable[[str], AsyncConversation], conversation_id: str) -> None:
        """`open_call` makes a conversation, not yet entered, that goes on with an id."""
        self.conversation_id = conversation_id
        self._open_call = open_call
        self._call: AsyncConversation | None = None
        self._one_at_a_time = asyncio.Lock()
        self._terminals_owed = 0
        self._stale = False
        self._heard: deque[str] = deque(maxlen=MAX_HEARD_TEXTS)
        self._unplayed: deque[_Unplayed] = deque(maxlen=MAX_UNPLAYED_TURNS)
        self._follows_playback = False
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, text: str) -> None:
        """What the user said, told to the model before the next segment."""
        if text.strip():
            self._heard.append(text)

    @asynccontextmanager
    async def turn(self, timeout_s: float) -> AsyncIterator[SpokenTurn]:
        """The next turn, when those before it are over.

        A stream that is closed in it cancels its turn at the server. Raises `APITimeoutError`
        where the conversation is not there within `timeout_s`.
        """
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(timeout_s):
                    call = await self._ready()
            except TimeoutError:
                await self.close()
                raise APITimeoutError() from None
            turn = SpokenTurn(call)
            try:
                yield turn
            except asyncio.CancelledError:
                await self._cancel(turn)
                raise
            except BaseException:
                await self.close()
                raise

    def reopen(self) -> None:
        """The next turn opens another call: what was asked for has changed."""
        self._stale = True

    async def close(self) -> None:
        """Ends the call. The conversation stays at the server, and the next turn opens it anew."""
        call, self._call = self._call, None
        self._terminals_owed, self._stale = 0, False
        if call is not None:
            await call.__aexit__(None, None, None)

    async def _ready(self) -> AsyncConversation:
        call = self._call
        if call is not None and not call.ended and not self._stale:
            try:
                await self._read_terminals(call)
                await self._tell_heard(call)
                return call
            except ServiceError:
                logger.debug("the conversation's call has ended, another one is opened")
        await self.close()
        call = await self._open()
        await self._tell_heard(call)
        return call

    async def _open(self) -> AsyncConversation:
        while True:
            call = self._open_call(self.conversation_id)
            try:
                await call.__aenter__()
            except FailedPrecondition:
                # The server may not have noticed yet that the call before is over.
                await asyncio.sleep(_IN_USE_PAUSE_S)
                continue
            self._call = call
            self.conversation_id = call.conversation_id
            return call

    async def _read_terminals(self, call: AsyncConversation) -> None:
        while self._terminals_owed:
            event = await anext(call, None)
            if event is None:
                raise FailedPrecondition("the conversation has ended")
            if isinstance(event, TurnCompleted) and not event.heard:
                self._terminals_owed -= 1

    async def _tell_heard(self, call: AsyncConversation) -> None:
        while self._heard:
            await call.end_turn(heard_text=self._heard[0])
            self._heard.popleft()

    async def _cancel(self, turn: SpokenTurn) -> None:
        """Ends a turn whose stream was closed, without a wait for its terminal."""
        unplayed = next((u for u in self._unplayed if u.turn_id == turn.turn_id), None)
        # Never played: a reply that was prepared and dropped.
        never_heard = self._follows_playback and not (unplayed and unplayed.playing)
        if unplayed and never_heard:
            self._unplayed.remove(unplayed)
        if not turn.begun or turn.over:
            return
        self._terminals_owed += 1
        try:
            await turn.conversation.cancel(
                turn_id=turn.turn_id, heard_ms=0 if never_heard else None
            )
        except ServiceError:
            await self.close()

    # What is played of it.

    def speaking(self, turn: SpokenTurn) -> None:
        """The first audio of a turn is handed to the framework."""
        if self._follows_playback:
            self._unplayed.append(_Unplayed(turn.turn_id))

    def follow(self, output: AudioOutput) -> None:
        """From now on, of what is interrupted only what `output` played stays."""
        self._follows_playback = True
        output.on("playback_started", self._playback_started)
        output.on("playback_finished", self._playback_finished)

    def _playback_started(self, event: PlaybackStartedEvent) -> None:
        waiting = next((u for u in self._unplayed if not u.playing), None)
        if waiting:
            waiting.playing = True

    def _playback_finished(self, event: PlaybackFinishedEvent) -> None:
        if not self._unplayed:
            return
        turn = self._unplayed.popleft()
        if event.interrupted:
            self._start(self.truncate(turn.turn_id, round(event.playback_position * 1000)))

    async def truncate(self, turn_id: str, heard_ms: int) -> None:
        """Only `heard_ms` of a turn stay in the conversation, also where it is over."""
        if self._call is None or self._call.ended:
            logger.warning("an interrupted turn stays whole: its call has ended")
            return
        try:
            await self._call.cancel(turn_id=turn_id, heard_ms=heard_ms)
        except ServiceError as error:
            logger.warning("an interrupted turn stays whole: %s", error.message)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
