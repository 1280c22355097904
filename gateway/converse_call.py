"""One Converse call: what the client says is obeyed at once, turns are worked off in order.

The reader feeds audio and text, appends turns to a queue, and cancels. It waits for nothing but a
tokenizer that is behind with the audio. A worker takes turns from the queue, heard ones and spoken
ones, one after another.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from csm import errors
from csm.serving.metrics import GatewayMetrics
from csm.v1 import common_pb2
from gateway.backends.backends import Backends
from gateway.backends.calls import context_messages
from gateway.commands import (
    Cancel,
    Command,
    ConverseOptions,
    EndOfTurn,
    HeardPart,
    TextPart,
    TurnOptions,
)
from gateway.conversations.store import Conversation, Turn, new_turn_id
from gateway.hearing.encoding import HeardAudio
from gateway.hearing.heard_turn import HeardTurn
from gateway.settings import GatewaySettings
from gateway.speaking.attempt import CANCELLED, SHUTDOWN
from gateway.speaking.meter import TurnMeter
from gateway.speaking.outbox import ConversationOpened, Event, Outbox
from gateway.speaking.spoken_turn import SpokenTurn
from gateway.text.sentences import SentenceSplitter
from gateway.voices.library import Voice

MAX_WAITING_TURNS = 64


@dataclass
class _Writing:
    """A spoken turn whose text is still coming."""

    turn: SpokenTurn
    splitter: SentenceSplitter
    num_chars: int = 0
    has_words: bool = False
    queued: bool = False


class Session:
    """The state of one call."""

    def __init__(
        self,
        opening: ConverseOptions,
        voice: Voice,
        conversation: Conversation,
        backends: Backends,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        deadline: float | None,
    ) -> None:
        self._opening = opening
        self._voice = voice
        self._conversation = conversation
        self._backends = backends
        self._settings = settings
        self._metrics = metrics
        self._deadline = deadline
        self._frame_ms = backends.info.frame_ms
        self._heard_speaker = (
            voice.speaker + 1 if opening.heard_speaker is None else opening.heard_speaker
        )
        self._manner = TurnOptions(
            voice.speaker,
            opening.output,
            opening.sampling,
            opening.max_audio_ms,
            opening.max_lead_ms,
            conversation.conversation_id,
            errors_in_band=True,
        )
        self._outbox = Outbox()
        self._hearing: HeardAudio | None = None
        self._writing: _Writing | None = None
        self._interrupted = False
        self._turns: deque[SpokenTurn | HeardTurn] = deque()
        self._speaking: SpokenTurn | None = None
        self._busy = False
        self._wake = asyncio.Event()
        self._closing = False
        self._draining = False

    async def run(self, commands: AsyncIterator[Command]) -> AsyncGenerator[Event, None]:
        """The events of the call; ends when the client has half-closed and all is said."""
        conversation = self._conversation
        self._outbox.put(
            ConversationOpened(
                conversation.conversation_id,
                self._opening.output,
                len(conversation.turns),
                self._voice.name,
            )
        )
        tasks = [asyncio.create_task(self._read(commands)), asyncio.create_task(self._work())]
        try:
            async for event in self._outbox:
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._abandon()

    def drain(self) -> None:
        """Turns that are complete are spoken, then the call ends; without any at once."""
        self._draining = True
        self._wake.set()

    def shutdown(self) -> None:
        """All turns end now."""
        self._cancel_all(SHUTDOWN, None)
        self.drain()

    # --- what the client says ---

    async def _read(self, commands: AsyncIterator[Command]) -> None:
        try:
            async for command in commands:
                if isinstance(command, HeardPart):
                    await self._hear(command.pcm)
                elif isinstance(command, TextPart):
                    self._write(command.text)
                elif isinstance(command, EndOfTurn):
                    self._end_of_turn(command.heard_text)
                else:
                    self._cancel(command)
            if self._hearing is not None or self._writing is not None:
                self._end_of_turn("")
            self._closing = True
            self._wake.set()
        except Exception as error:
            # The client is wrong: nothing more of this call has a meaning.
            self._outbox.fail(error, at_once=True)

    async def _hear(self, pcm: bytes) -> None:
        if not pcm:
            return
        self._interrupted = False
        if self._hearing is None:
            self._hearing = HeardAudio(
                self._backends,
                self._opening.input,
                self._settings.max_heard_audio_ms,
                self._remaining_s(),
            )
        self._hearing.feed(pcm)
        await self._hearing.room()

    def _write(self, text: str) -> None:
        if not text or (self._writing is None and text.isspace()):
            return  # white space alone begins no turn: texts often end in a line break
        self._interrupted = False
        if self._writing is None:
            self._writing = _Writing(
                self._spoken_turn(), SentenceSplitter(self._settings.max_sentence_chars)
            )
        writing = self._writing
        writing.num_chars += len(text)
        limit = self._settings.max_text_chars
        if writing.num_chars > limit:
            raise errors.invalid(
                "text", f"{writing.num_chars} characters in one turn; allowed are 1..{limit}"
            )
        if sentences := writing.splitter.feed(text):
            writing.has_words = True
            writing.turn.add(sentences)
            if self._hearing is None:
                self._queue_writing()

    def _end_of_turn(self, heard_text: str) -> None:
        hearing, writing = self._hearing, self._writing
        if hearing is None and writing is None and not heard_text:
            if self._interrupted:
                return  # of the turn that was cancelled in the meantime
            raise errors.invalid(
                "end_of_turn", "there is no turn to end; allowed is after heard_audio or text"
            )
        if writing is not None:
            rest = writing.splitter.finish()
            if not rest and not writing.has_words:
                raise errors.invalid(
                    "text", "the turn has nothing to speak; allowed is text with letters or digits"
                )
            writing.turn.add(rest)
            writing.turn.end_text()
        if hearing is not None or heard_text:
            if hearing is not None:
                hearing.close()
            self._hearing = None
            self._queue(HeardTurn(new_turn_id(), hearing, heard_text))
        if writing is not None:
            self._queue_writing()
            self._writing = None

    def _cancel(self, command: Cancel) -> None:
        """Ends the turn that is named, or all that are spoken or wait to be.

        Naming a turn that is over says how much of it was heard: no second terminal, but the
        conversation keeps only that. Unknown turns are ignored.
        """
        if not command.turn_id:
            self._cancel_all(CANCELLED, command.heard_ms)
            return
        for turn in self._spoken_turns():
            if turn.turn_id == command.turn_id:
                self._stop(turn, CANCELLED, command.heard_ms)
                return
        if command.heard_ms is not None:
            self._conversation.truncate(
                command.turn_id, math.ceil(command.heard_ms / self._frame_ms)
            )

    def _cancel_all(self, reason: common_pb2.FinishReason, heard_ms: int | None) -> None:
        for turn in self._spoken_turns():
            self._stop(turn, reason, heard_ms)

    def _stop(
        self, turn: SpokenTurn, reason: common_pb2.FinishReason, heard_ms: int | None
    ) -> None:
        turn.stop(reason, heard_ms)
        if self._writing is not None and self._writing.turn is turn:
            # Its terminal comes from the worker like any other's, however many turns wait.
            self._queue_writing(limited=False)
            self._writing = None
            self._interrupted = True

    def _spoken_turns(self) -> list[SpokenTurn]:
        """The one that is spoken, those that wait, the one being written; each once."""
        turns = [self._speaking, *(t for t in self._turns if isinstance(t, SpokenTurn))]
        if self._writing is not None and not self._writing.queued:
            turns.append(self._writing.turn)
        return [turn for turn in turns if turn is not None]

    def _queue_writing(self, *, limited: bool = True) -> None:
        writing = self._writing
        if writing is not None and not writing.queued:
            writing.queued = True
            if self._speaking is None and not any(
                isinstance(turn, SpokenTurn) for turn in self._turns
            ):
                writing.turn.meter.accepted()
            self._queue(writing.turn, limited=limited)

    def _queue(self, turn: SpokenTurn | HeardTurn, *, limited: bool = True) -> None:
        if limited and len(self._turns) >= MAX_WAITING_TURNS:
            raise errors.QueueFull(f"{MAX_WAITING_TURNS} turns wait in this call already")
        self._turns.append(turn)
        self._wake.set()

    # --- the turns, one after another ---

    async def _work(self) -> None:
        try:
            while True:
                while self._turns:
                    turn = self._turns.popleft()
                    if isinstance(turn, SpokenTurn):
                        self._speaking = turn
                        await turn.run()
                        self._speaking = None
                    else:
                        await self._take_in(turn)
                if self._closing:
                    self._outbox.close()
                    return
                if self._draining:
                    self._outbox.fail(errors.Unavailable("the gateway is shutting down"))
                    return
                self._wake.clear()
                await self._wake.wait()
        except Exception as error:
            self._outbox.fail(error)

    async def _take_in(self, heard: HeardTurn) -> None:
        completed = await heard.join(self._conversation, self._heard_speaker, self._frame_ms)
        self._metrics.stage_duration_seconds.labels("context_encode").observe(
            completed.timing.total_ms / 1000
        )
        self._outbox.put(completed)

    def _spoken_turn(self) -> SpokenTurn:
        return SpokenTurn(
            new_turn_id(),
            self._manner,
            self._context,
            self._backends,
            self._settings,
            self._outbox,
            TurnMeter(self._metrics, "Converse"),
            self._deadline,
            self._keep,
        )

    def _context(self) -> list[common_pb2.Segment]:
        positions = self._backends.info.generator.max_positions
        return context_messages(self._voice.prompts, self._conversation.history(positions))

    def _keep(self, turn: Turn) -> None:
        if turn.segments:
            self._conversation.add(turn)

    def _remaining_s(self) -> float | None:
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic())

    async def _abandon(self) -> None:
        """Gives back what turns hold that nobody will work off."""
        for turn in self._spoken_turns():
            turn.abandon()
        pending = [self._hearing, *(t.audio for t in self._turns if isinstance(t, HeardTurn))]
        for audio in pending:
            if audio is not None:
                with contextlib.suppress(Exception):
                    await audio.abort()
