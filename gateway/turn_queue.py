"""The turns of a Converse call, heard and spoken ones, worked off one after another."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterator

from csm import errors
from gateway.call_ports import CallPorts
from gateway.conversations.store import StoredConversation
from gateway.hearing.heard_audio import HeardAudio
from gateway.hearing.heard_turn import HeardTurn
from gateway.speaking.fate import TurnState
from gateway.speaking.outbox import Outbox
from gateway.speaking.spoken_turn import SpokenTurn

MAX_WAITING_TURNS = 64


class TurnQueue:
    """Turns that wait, and the one that is worked on; what they say goes to the outbox."""

    def __init__(
        self,
        conversation: StoredConversation,
        ports: CallPorts,
        outbox: Outbox,
        heard_speaker: int,
    ) -> None:
        """`heard_speaker` is the speaker number that heard turns are kept under."""
        self._conversation = conversation
        self._ports = ports
        self._outbox = outbox
        self._heard_speaker = heard_speaker
        self._frame_ms = ports.backends.info.frame_ms
        self._waiting: deque[SpokenTurn | HeardTurn] = deque()
        self._speaking: SpokenTurn | None = None
        self.last_spoken = ""
        """Id of the turn that was spoken last; empty: none was."""
        self._busy = False
        self._active_s = time.monotonic()
        self._wake = asyncio.Event()
        self._closing = False
        self._draining = False
        self._held = False

    @property
    def idle_s(self) -> float:
        """Seconds since anything was worked on or `touch` was called; 0 while a turn is."""
        return 0.0 if self._busy else time.monotonic() - self._active_s

    def touch(self) -> None:
        """The client has said something."""
        self._active_s = time.monotonic()

    def spoken(self) -> list[SpokenTurn]:
        """The turn that is spoken and those that wait to be, in order."""
        waiting = [turn for turn in self._waiting if isinstance(turn, SpokenTurn)]
        return waiting if self._speaking is None else [self._speaking, *waiting]

    def heard(self) -> list[HeardAudio]:
        """The audio of heard turns that wait."""
        heard = [turn.audio for turn in self._waiting if isinstance(turn, HeardTurn)]
        return [audio for audio in heard if audio is not None]

    def put(self, turn: SpokenTurn | HeardTurn, *, limited: bool = True) -> None:
        """Raises QueueFull where `MAX_WAITING_TURNS` wait, if the number is `limited`."""
        if limited and len(self._waiting) >= MAX_WAITING_TURNS:
            raise errors.QueueFull(f"{MAX_WAITING_TURNS} turns wait in this call already")
        self._waiting.append(turn)
        self._wake.set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A drain does not end the call within: a text is worked on."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._wake.set()

    def close(self) -> None:
        """No turn comes any more: the call ends when all are worked off."""
        self._closing = True
        self._wake.set()

    def drain(self) -> None:
        """Turns that are here are worked off, then the call ends; without any at once."""
        self._draining = True
        self._wake.set()

    async def work(self) -> None:
        """Works until the call ends, and ends its outbox then."""
        try:
            while True:
                while self._waiting:
                    self._busy = True
                    turn = self._waiting.popleft()
                    if isinstance(turn, SpokenTurn):
                        await self._speak(turn)
                    else:
                        await self._take_in(turn)
                    self._busy, self._active_s = False, time.monotonic()
                if self._closing:
                    self._outbox.close()
                    return
                # What was accepted is spoken, and so is a text that is still worked on.
                if self._draining and not self._held:
                    self._outbox.fail(errors.Unavailable("the gateway is shutting down"))
                    return
                self._wake.clear()
                await self._wake.wait()
        except Exception as error:
            self._outbox.fail(error)

    async def _speak(self, turn: SpokenTurn) -> None:
        self._speaking = turn
        try:
            if turn.state is TurnState.STOPPING:
                # Cancelled before it began: it speaks nothing, and needs no place.
                await turn.run()
                return
            async with self._ports.turns.taken(turn):
                await turn.run()
        except (errors.QueueFull, errors.QuotaExceeded) as full:
            # There is no place for this turn. The next may find one.
            if turn.ended:
                raise
            turn.refuse(full)
        finally:
            self._speaking, self.last_spoken = None, turn.turn_id

    async def _take_in(self, heard: HeardTurn) -> None:
        completed = await heard.join(self._conversation, self._heard_speaker, self._frame_ms)
        self._ports.metrics.stage_duration_seconds.labels("context_encode").observe(
            completed.timing.total_ms / 1000
        )
        self._ports.metrics.count_warnings(warning.kind for warning in completed.warnings)
        self._outbox.put(completed)
