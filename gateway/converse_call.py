"""One Converse call: what the client says is obeyed at once, turns are worked off in order.

The reader feeds audio and text, appends turns to a queue, and cancels. It waits for nothing but a
tokenizer that is behind with the audio. The turn queue works them off, heard ones and spoken ones,
one after another. Only what the client does wrong on the wire ends the call.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from csm import errors
from csm.v1 import common_pb2
from gateway.backends.affinity import generator_key
from gateway.backends.convert import context_messages
from gateway.call_ports import CallPorts
from gateway.commands import (
    Cancel,
    Command,
    ConverseOptions,
    EndOfTurn,
    Flush,
    HeardPart,
    Resume,
    TextPart,
    TurnOptions,
)
from gateway.conversations.store import StoredConversation, new_turn_id
from gateway.hearing.heard_audio import HeardAudio
from gateway.hearing.heard_turn import HeardTurn
from gateway.speaking.events import (
    ConversationOpened,
    Event,
    FinishReason,
    SpeechTurnTruncated,
)
from gateway.speaking.meter import TurnMeter
from gateway.speaking.outbox import Outbox
from gateway.speaking.resumed import resumed_of
from gateway.speaking.sentence_maker import SEEDS
from gateway.speaking.spoken_turn import SpokenTurn
from gateway.speaking.turn_ports import TurnPorts
from gateway.turn_queue import TurnQueue
from gateway.voices.cast import Cast
from gateway.writing import Writing

IDLE_CHECKS = 4
"""Looks at the clock within an idle limit."""


class ConverseCall:
    """The state of one call."""

    def __init__(
        self,
        options: ConverseOptions,
        cast: Cast,
        conversation: StoredConversation,
        ports: CallPorts,
    ) -> None:
        self._options = options
        self._cast = cast
        self._conversation = conversation
        self._ports = ports
        self._settings = ports.settings
        self._frame_ms = ports.backends.info.frame_ms
        self._turn_options = TurnOptions(
            cast.own.speaker,
            options.output,
            options.sampling,
            options.max_audio_ms,
            options.max_lead_ms,
            generator_key(conversation.owner, conversation.conversation_id),
            in_conversation=True,
            sound=options.processing,
            word_times=options.word_times,
            owner=conversation.owner,
        )
        self._outbox = Outbox()
        heard_speaker = (
            cast.own.speaker + 1 if options.heard_speaker is None else options.heard_speaker
        )
        self._turns = TurnQueue(conversation, ports, self._outbox, heard_speaker)
        self._turn_ports = TurnPorts(
            ports.backends,
            ports.settings,
            self._outbox,
            self._context,
            conversation,
            ports.deadline,
            lambda: cast.prompts,
        )
        self._hearing: HeardAudio | None = None
        self._writing: Writing | None = None
        self._blank = False
        """White space came where no turn was being written."""
        self._interrupted = False
        self._resume: Resume | None = None
        self._num_spoken = 0

    async def run(self, commands: AsyncIterator[Command]) -> AsyncGenerator[Event, None]:
        """The events of the call; ends when the client has half-closed and all is said."""
        conversation = self._conversation
        self._outbox.put(
            ConversationOpened(
                conversation.conversation_id,
                self._options.output,
                len(conversation.turns),
                self._cast.own.voice.name,
            )
        )
        work = (self._read(commands), self._turns.work(), self._watch_idle())
        tasks = [asyncio.create_task(one) for one in work]
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
        self._turns.drain()

    def shutdown(self) -> None:
        """All turns end now."""
        self._cancel_all(FinishReason.SHUTDOWN, None)
        self.drain()

    # --- what the client says ---

    async def _read(self, commands: AsyncIterator[Command]) -> None:
        try:
            async for command in commands:
                self._turns.touch()
                if isinstance(command, HeardPart):
                    await self._hear(command.pcm)
                elif isinstance(command, TextPart):
                    await self._write(command.text, command.voice)
                elif isinstance(command, Flush):
                    if self._writing is not None:
                        self._writing.flush()
                elif isinstance(command, EndOfTurn):
                    self._end_of_turn(command.heard_text)
                elif isinstance(command, Resume):
                    self._go_on(command)
                else:
                    self._cancel(command)
            if self._hearing is not None or self._writing is not None:
                self._end_of_turn("")
            self._turns.close()
        except Exception as error:
            # The client is wrong: nothing more of this call has a meaning.
            self._outbox.fail(error, at_once=True)

    def _go_on(self, command: Resume) -> None:
        if self._writing is not None or self._spoken_turns():
            raise errors.FailedPrecondition("resume: a turn is under way; it goes before all text")
        named = [t for t in self._conversation.turns if t.turn_id == command.turn_id]
        if named and named[-1].heard:
            raise errors.FailedPrecondition("resume.turn_id: this turn was heard, not spoken")
        if named and named[-1] is not self._conversation.turns[-1]:
            raise errors.FailedPrecondition("resume.turn_id: other turns have followed this one")
        self._resume = command

    async def _hear(self, pcm: bytes) -> None:
        if not pcm:
            return
        self._interrupted = False
        if self._hearing is None:
            self._hearing = self._ports.encoder.hear(self._options.input, self._ports.remaining_s())
        self._hearing.feed(pcm)
        await self._hearing.room()

    async def _write(self, text: str, voice: str) -> None:
        if not text:
            return
        if self._writing is None and text.isspace():
            self._blank = True  # begins no turn: texts often end in a line break
            return
        self._interrupted = False
        if self._writing is None:
            self._writing = self._begin_writing()
        with self._turns.held():
            await self._writing.feed(text, voice)

    def _begin_writing(self) -> Writing:
        return Writing(
            self._spoken_turn(),
            self._ports.texts.front_end(self._options.text, self._cast),
            self._settings.max_text_chars,
            self._settings.text_quiet_ms,
            self._speakable,
            self._ports.look_for,
        )

    def _speakable(self) -> None:
        """The turn that is being written has something to speak."""
        if self._hearing is None:
            self._queue_writing()

    def _end_of_turn(self, heard_text: str) -> None:
        hearing, writing = self._hearing, self._writing
        blank, self._blank = self._blank, False
        if hearing is None and writing is None and not heard_text:
            if self._interrupted:
                return  # of the turn that was cancelled in the meantime
            if not blank:
                raise errors.invalid(
                    "end_of_turn", "there is no turn to end; allowed is after heard_audio or text"
                )
            writing = self._writing = self._begin_writing()
        if writing is not None:
            # A text without a word is a turn of 0 ms, with a warning.
            writing.queued, queued = True, writing.queued
            writing.finish()
            writing.queued = queued
        if hearing is not None or heard_text:
            if hearing is not None:
                hearing.close()
            self._hearing = None
            self._turns.put(HeardTurn(new_turn_id(), hearing, heard_text))
        if writing is not None:
            self._queue_writing()
            self._writing = None

    def _cancel(self, command: Cancel) -> None:
        """Ends the turn that is named, or all that are spoken or wait to be.

        Of a turn that is over it says how much was heard: no second terminal, but the conversation
        keeps only that, and the answer says so. Without a name that is the turn last spoken.
        """
        spoken = self._spoken_turns()
        if not command.turn_id and spoken:
            self._cancel_all(FinishReason.CANCELLED, command.heard_ms)
            return
        turn_id = command.turn_id or self._turns.last_spoken
        for turn in spoken:
            if turn.turn_id == turn_id:
                self._stop(turn, FinishReason.CANCELLED, command.heard_ms)
                return
        if command.heard_ms is None:
            return
        self._conversation.truncate(turn_id, command.heard_ms, self._frame_ms)
        kept = next((t for t in self._conversation.turns if t.turn_id == turn_id), None)
        known = kept is not None or turn_id == self._turns.last_spoken
        self._outbox.put(
            SpeechTurnTruncated(
                turn_id if known else "",
                kept.audio_ms(self._frame_ms) if kept else 0,
                kept.text if kept else "",
            )
        )

    def _cancel_all(self, reason: FinishReason, heard_ms: int | None) -> None:
        for turn in self._spoken_turns():
            self._stop(turn, reason, heard_ms)

    def _stop(self, turn: SpokenTurn, reason: FinishReason, heard_ms: int | None) -> None:
        turn.stop(reason, heard_ms)
        if self._writing is not None and self._writing.turn is turn:
            # Its terminal comes from the worker like any other's, however many turns wait.
            self._queue_writing(limited=False)
            self._writing.close()
            self._writing = None
            self._interrupted = True

    def _spoken_turns(self) -> list[SpokenTurn]:
        """The one that is spoken, those that wait, the one being written; each once."""
        turns = self._turns.spoken()
        if self._writing is not None and not self._writing.queued:
            turns.append(self._writing.turn)
        return turns

    def _queue_writing(self, *, limited: bool = True) -> None:
        writing = self._writing
        if writing is not None and not writing.queued:
            writing.queued = True
            if not self._turns.spoken():
                writing.turn.meter.accepted()
            self._turns.put(writing.turn, limited=limited)

    async def _watch_idle(self) -> None:
        """Ends a call in which nothing has been said or heard for too long."""
        limit_s = self._settings.max_idle_s
        while True:
            await asyncio.sleep(limit_s / IDLE_CHECKS)
            if self._turns.idle_s >= limit_s:
                self._outbox.fail(
                    errors.DeadlineExceeded(
                        f"nothing was said or heard for {limit_s:g} s, the longest that a "
                        "conversation's call may be idle (max_idle_s); its turns are kept"
                    )
                )
                return

    def _spoken_turn(self) -> SpokenTurn:
        options, seed = self._turn_options, self._options.sampling.seed
        if seed is not None:
            # Each turn has noise of its own, and the same one when the call is made again.
            sampling = replace(options.sampling, seed=(seed + self._num_spoken) % SEEDS)
            options = replace(options, sampling=sampling)
        self._num_spoken += 1
        meter = TurnMeter(self._ports.metrics, "Converse")
        command, self._resume = self._resume, None
        if command is None:
            return SpokenTurn(new_turn_id(), options, self._turn_ports, meter)
        resumed = resumed_of(self._conversation, command, options)
        return SpokenTurn(command.turn_id, options, self._turn_ports, meter, resumed)

    def _context(self) -> list[common_pb2.Segment]:
        positions = self._ports.backends.info.generator.max_positions
        return context_messages(self._cast.prompts, self._conversation.history(positions))

    async def _abandon(self) -> None:
        """Gives back what turns hold that nobody will work off."""
        if self._writing is not None:
            self._writing.close()
        for turn in self._spoken_turns():
            turn.abandon()
        pending = [self._hearing, *self._turns.heard()]
        for audio in pending:
            if audio is not None:
                with contextlib.suppress(Exception):
                    await audio.abort()
