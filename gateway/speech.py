"""Speaking: one text, or a conversation; who may, and how a drain ends what is left."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol

from csm import errors
from csm.serving.metrics import GatewayMetrics
from csm.v1 import common_pb2
from gateway.backends.backends import Backends, Info
from gateway.backends.calls import context_messages
from gateway.commands import Command, ContextTurn, ConverseOptions, Synthesis, TurnOptions
from gateway.conversations.store import Conversation, ConversationStore, Segment, Turn, new_turn_id
from gateway.converse_call import Session
from gateway.hearing.encoding import encode_file
from gateway.settings import GatewaySettings
from gateway.speaking.attempt import SHUTDOWN
from gateway.speaking.meter import TurnMeter, outcome_of
from gateway.speaking.outbox import Event, Outbox
from gateway.speaking.spoken_turn import SpokenTurn
from gateway.text.sentences import Sentence, SentenceSplitter
from gateway.voices.library import Voices

SHUTDOWN_TERMINALS_S = 2.0
GIVE_BACK_S = 0.25
"""What a call that was cancelled may need to give its conversation back to the next."""
FILES_AT_ONCE = 4
"""Of one call's context: each holds a stream of the tokenizer, and others want some too."""


class _Live(Protocol):
    """A call under way."""

    def drain(self) -> None:
        """Finish what runs, begin nothing."""

    def shutdown(self) -> None:
        """End now, with the terminal SHUTDOWN."""


class Speech:
    """What SpeechService does, without protobuf of its own."""

    def __init__(
        self,
        settings: GatewaySettings,
        backends: Backends,
        voices: Voices,
        store: ConversationStore,
        metrics: GatewayMetrics,
    ) -> None:
        self.settings = settings
        self.backends = backends
        self.voices = voices
        self.store = store
        self._metrics = metrics
        self._live: set[_Live] = set()
        self._draining = self._ending = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._streams = 0

    async def synthesize(
        self, asked: Callable[[], Synthesis], deadline: float | None
    ) -> AsyncGenerator[Event, None]:
        """Speaks one text: `TurnStarted`, `Audio`, `TurnCompleted`.

        `asked` gives the checked request, or raises what is wrong with it.
        """
        meter = TurnMeter(self._metrics, "Synthesize")
        meter.accepted()
        outbox = Outbox()
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._admitted())
                turn = await self._turn(asked(), outbox, meter, deadline, held)
            except errors.ServiceError as error:
                meter.finish(outcome_of(error), 0.0)
                raise
            except BaseException:
                meter.finish("cancelled", 0.0)
                raise
            held.enter_context(self._registered(_OneTurn(turn)))
            task = asyncio.create_task(_speak(turn, outbox))
            try:
                async for event in outbox:
                    yield event
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def converse(
        self, opening: ConverseOptions, commands: AsyncIterator[Command], deadline: float | None
    ) -> AsyncGenerator[Event, None]:
        """A conversation: `ConversationOpened`, then the events of its turns."""
        with contextlib.ExitStack() as held:
            held.enter_context(self._admitted())
            await self.store.given_back(opening.conversation_id, GIVE_BACK_S)
            voice = self.voices.get(opening.voice or self.store.voice_of(opening.conversation_id))
            conversation = held.enter_context(self._acquired(opening.conversation_id, voice.name))
            session = Session(
                opening,
                voice,
                conversation,
                self.backends,
                self.settings,
                self._metrics,
                deadline,
            )
            held.enter_context(self._registered(session))
            async with contextlib.aclosing(session.run(commands)) as events:
                async for event in events:
                    yield event

    async def delete_conversation(self, conversation_id: str) -> None:
        """Forgets a conversation here and in the generator. Raises as the store does."""
        await self.store.given_back(conversation_id, GIVE_BACK_S)
        self.store.delete(conversation_id)
        await self.backends.forget(conversation_id)

    async def drain(self, finish_s: float) -> None:
        """Idle conversations end at once, turns may finish; after `finish_s` all end."""
        self._draining = True
        for live in list(self._live):
            live.drain()
        await self._empty(finish_s)
        self._ending = True
        for live in list(self._live):
            live.shutdown()
        await self._empty(SHUTDOWN_TERMINALS_S)

    async def _empty(self, timeout_s: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout_s)

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        gauge, limit = self._metrics.streams_active, self.settings.max_streams
        if self._streams >= limit:
            raise errors.QueueFull(f"{limit} calls speak or converse, as many as are allowed")
        self._streams += 1
        self._idle.clear()
        gauge.inc()
        try:
            yield
        finally:
            self._streams -= 1
            gauge.dec()
            if not self._streams:
                self._idle.set()

    @contextlib.contextmanager
    def _registered(self, live: _Live) -> Iterator[None]:
        self._live.add(live)
        # One that came before the drain, and waited or encoded until now.
        if self._ending:
            live.shutdown()
        elif self._draining:
            live.drain()
        try:
            yield
        finally:
            self._live.discard(live)

    @contextlib.contextmanager
    def _acquired(self, conversation_id: str, voice: str) -> Iterator[Conversation]:
        conversation = self.store.acquire(conversation_id, voice)
        conversation.voice = voice
        try:
            yield conversation
        finally:
            self.store.release(conversation)

    async def _turn(
        self,
        asked: Synthesis,
        outbox: Outbox,
        meter: TurnMeter,
        deadline: float | None,
        held: contextlib.ExitStack,
    ) -> SpokenTurn:
        info = self.backends.info
        await self.store.given_back(asked.conversation_id, GIVE_BACK_S)
        voice = self.voices.get(asked.voice or self.store.voice_of(asked.conversation_id))
        speaker = voice.speaker if asked.speaker is None else asked.speaker
        conversation: Conversation | None = None
        context: list[Segment] = []
        if asked.conversation_id:
            conversation = held.enter_context(self._acquired(asked.conversation_id, voice.name))
        elif asked.context:
            began = time.monotonic()
            timeout_s = None if deadline is None else max(0.0, deadline - began)
            context = await self._encoded(asked.context, timeout_s, info)
            self._metrics.stage_duration_seconds.labels("context_encode").observe(
                time.monotonic() - began
            )
            if not asked.text and asked.speaker is None:
                speaker = asked.context[-1].speaker

        def history() -> list[common_pb2.Segment]:
            if conversation is None:
                # A model trained without context leaves history out; what the caller gives
                # explicitly is asked for, so it is pinned there like a voice's prompt.
                if info.generator.HasField("max_context_segments"):
                    return context_messages([*voice.prompts, *context], [])
                return context_messages(voice.prompts, context)
            return context_messages(
                voice.prompts, conversation.history(info.generator.max_positions)
            )

        def keep(turn: Turn) -> None:
            if conversation is not None and turn.segments:
                conversation.add(turn)

        turn = SpokenTurn(
            new_turn_id(),
            TurnOptions(
                speaker,
                asked.form,
                asked.sampling,
                asked.max_audio_ms,
                asked.max_lead_ms,
                asked.conversation_id,
            ),
            history,
            self.backends,
            self.settings,
            outbox,
            meter,
            deadline,
            keep,
        )
        if asked.text:
            splitter = SentenceSplitter(self.settings.max_sentence_chars)
            turn.add(splitter.feed(asked.text) + splitter.finish())
        else:
            # No words: the generator goes on with the last audio of the context.
            turn.add([Sentence("", 0)])
        turn.end_text()
        return turn

    async def _encoded(
        self, context: Sequence[ContextTurn], timeout_s: float | None, info: Info
    ) -> list[Segment]:
        """The context's segments in order, its files encoded side by side, some at a time.

        Raises `InvalidArgument` about the one that is longer than any context.
        """
        places = asyncio.Semaphore(FILES_AT_ONCE)

        async def one(turn: ContextTurn) -> Segment:
            if not turn.audio_file:
                checked(f"{turn.field}.frames.num_frames", turn.num_frames)
                return Segment(turn.speaker, turn.text, turn.codes, turn.num_frames)
            field = f"{turn.field}.audio_file"
            async with places:
                frames = await encode_file(self.backends, turn.audio_file, field, timeout_s)
            checked(field, frames.num_frames)
            return Segment(turn.speaker, turn.text, frames.codes, frames.num_frames)

        def checked(field: str, num_frames: int) -> None:
            limit = info.generator.max_positions
            if num_frames > limit:
                raise errors.invalid(
                    field,
                    f"{num_frames} frames ({num_frames * info.frame_ms / 1000:.1f} s); the model's "
                    f"context has {limit}",
                )

        tasks = [asyncio.create_task(one(turn)) for turn in context]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _OneTurn:
    """A Synthesize call under way."""

    def __init__(self, turn: SpokenTurn) -> None:
        self._turn = turn

    def drain(self) -> None:
        """A text that is being spoken is spoken to its end."""

    def shutdown(self) -> None:
        """Ends it now."""
        self._turn.stop(SHUTDOWN)


async def _speak(turn: SpokenTurn, outbox: Outbox) -> None:
    try:
        await turn.run()
    except Exception as error:
        outbox.fail(error)
    else:
        outbox.close()
