"""One Synthesize call: its context, its one turn, and what joins the conversation."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from csm import errors
from csm.serving.metrics import GatewayMetrics
from gateway.backends.affinity import generator_key
from gateway.backends.backends import Backends, Info
from gateway.backends.convert import context_messages
from gateway.commands import ContextEntry, Synthesis, TurnOptions
from gateway.conversations.store import Segment, StoredConversation, new_turn_id
from gateway.hearing.encoder import AudioEncoder
from gateway.settings import GatewaySettings
from gateway.sounds import Sounds
from gateway.speaking.events import FinishReason, TurnWarning
from gateway.speaking.meter import TurnMeter
from gateway.speaking.outbox import Outbox
from gateway.speaking.spoken_turn import SpokenTurn
from gateway.speaking.turn_ports import TurnPorts
from gateway.speaking.warnings import of_recording
from gateway.text.off_loop import off_loop
from gateway.text.sentence import CONTINUE
from gateway.texts import DEFAULT_LANGUAGE, Texts
from gateway.voices.cast import Cast

LISTENING_WAIT_S = 2.0
"""That a terminal waits for what is found out about the words of recordings."""
FILES_AT_ONCE = 4
"""Of one call's context: each holds a stream of the tokenizer, and others want some too."""


@dataclass(frozen=True)
class SynthesisParts:
    """What a Synthesize call is made of, beside its request."""

    cast: Cast
    conversation: StoredConversation | None
    backends: Backends
    texts: Texts
    sounds: Sounds
    encoder: AudioEncoder
    settings: GatewaySettings
    metrics: GatewayMetrics
    deadline: float | None
    """A time of the monotonic clock."""
    owner: str
    """The tenant that asks; "" where identity is off."""


class SynthesizeCall:
    """A call under way."""

    def __init__(self, asked: Synthesis, parts: SynthesisParts) -> None:
        self._asked = asked
        self._parts = parts
        self._context: list[Segment] = []
        self._recordings: list[list[TurnWarning]] = []
        """What is odd about each turn of the context."""
        self._listening: dict[str, asyncio.Task[str | None]] = {}
        self.outbox = Outbox()
        self.turn: SpokenTurn | None = None

    async def prepare(self, meter: TurnMeter) -> None:
        """Encodes the context and makes the turn. Raises `ServiceError` about the context."""
        asked, parts = self._asked, self._parts
        cast = parts.cast
        speaker = cast.own.speaker if asked.speaker is None else asked.speaker
        if asked.context and parts.conversation is None:
            began = time.monotonic()
            self._context = await self._encoded(asked.context, parts.backends.info)
            meter.encoded(began, len(asked.context))
            if not asked.text and asked.speaker is None:
                speaker = asked.context[-1].speaker
        turn = self.turn = SpokenTurn(
            new_turn_id(),
            TurnOptions(
                speaker,
                asked.form,
                asked.sampling,
                asked.max_audio_ms,
                asked.max_lead_ms,
                generator_key(parts.owner, asked.conversation_id),
                word_times=asked.word_times,
                owner=parts.owner,
                sound=await parts.sounds.processing(asked.sound, cast),
            ),
            TurnPorts(
                parts.backends,
                parts.settings,
                self.outbox,
                self._history,
                parts.conversation,
                parts.deadline,
                lambda: cast.prompts,
                self._heard,
            ),
            meter,
        )
        turn.text_chars = len(asked.text)
        meter.record.say(asked.text)
        turn.warnings += [warning for one in self._recordings for warning in one]
        if asked.text:
            front_end = parts.texts.front_end(
                asked.text_rules, cast, speaker=asked.speaker, must_know=True
            )
            with meter.preparing_text():
                sentences = await off_loop(len(asked.text), lambda: front_end.whole(asked.text))
            turn.add(sentences)
            turn.warn(front_end.warnings())
            turn.end_text(front_end.trailing_pause_ms)
        else:
            turn.add([CONTINUE])
            turn.end_text()

    async def speak(self) -> None:
        """Speaks the turn into the outbox, which ends with it."""
        if self.turn is None:
            raise RuntimeError("`prepare` comes first")
        try:
            await self.turn.run()
        except Exception as error:
            self.outbox.fail(error)
        else:
            self.outbox.close()
        finally:
            for task in self._listening.values():
                task.cancel()

    def drain(self) -> None:
        """A text that is being spoken is spoken to its end."""

    def shutdown(self) -> None:
        """Ends it now."""
        if self.turn is not None:
            self.turn.stop(FinishReason.SHUTDOWN)

    # --- inside ---

    def _history(self) -> list[Any]:
        generator, prompts = self._parts.backends.info.generator, self._parts.cast.prompts
        conversation = self._parts.conversation
        if conversation is not None:
            return context_messages(prompts, conversation.history(generator.max_positions))
        # A model trained without context leaves history out; what the caller gives explicitly is
        # asked for, so it is pinned there like a voice's prompt.
        if generator.HasField("max_context_segments"):
            return context_messages([*prompts, *self._context], [])
        return context_messages(prompts, self._context)

    def _listen(self, field: str, turn: ContextEntry) -> None:
        """Whether a file of the context says its words is found out beside the speech."""
        recordings = self._parts.encoder.recordings
        own = self._parts.cast.own.voice
        language = self._asked.text_rules.language or own.language or DEFAULT_LANGUAGE
        check = recordings.words_problem(turn.audio_file, turn.text, language)
        self._listening[field] = asyncio.create_task(check)

    async def _heard(self) -> list[TurnWarning]:
        """What was found out of it; what takes longer is not waited for."""
        if not self._listening:
            return []
        await asyncio.wait(self._listening.values(), timeout=LISTENING_WAIT_S)
        found = {f: task.result() for f, task in self._listening.items() if task.done()}
        return [of_recording(field, problem) for field, problem in found.items() if problem]

    async def _encoded(self, context: Sequence[ContextEntry], info: Info) -> list[Segment]:
        """The context's segments in order, its files encoded side by side, some at a time.

        Raises `InvalidArgument` about the one that is longer than any context.
        """
        encoder, deadline = self._parts.encoder, self._parts.deadline
        places = asyncio.Semaphore(FILES_AT_ONCE)
        self._recordings = [[] for _ in context]

        async def one(turn: ContextEntry, odd: list[TurnWarning]) -> Segment:
            if not turn.audio_file:
                checked(f"{turn.field}.frames.num_frames", turn.num_frames)
                told(f"{turn.field}.frames", turn, turn.num_frames, odd)
                return Segment(turn.speaker, turn.text, turn.codes, turn.num_frames)
            field = f"{turn.field}.audio_file"
            async with places:
                encoded = await encoder.encode(turn.audio_file, field, deadline)
            frames = encoded.frames
            checked(field, frames.num_frames)
            odd += [of_recording(field, description) for description in encoded.warnings]
            if not told(field, turn, frames.num_frames, odd):
                self._listen(field, turn)
            return Segment(turn.speaker, turn.text, frames.codes, frames.num_frames)

        def told(field: str, turn: ContextEntry, num_frames: int, odd: list[TurnWarning]) -> bool:
            seconds = num_frames * info.frame_ms / 1000
            wrong = encoder.recordings.length_problem(turn.text, seconds) if num_frames else None
            if wrong:
                odd.append(of_recording(field, wrong))
            return bool(wrong)

        def checked(field: str, num_frames: int) -> None:
            limit = info.generator.max_positions
            if num_frames > limit:
                raise errors.invalid(
                    field,
                    f"{num_frames} frames ({num_frames * info.frame_ms / 1000:.1f} s); the model's "
                    f"context has {limit}",
                )

        tasks = [
            asyncio.create_task(one(turn, odd))
            for turn, odd in zip(context, self._recordings, strict=True)
        ]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
