"""`CsmTTSService`: csm behind the interface of Pipecat."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode, TTSService

from csm import (
    AsyncClient,
    AsyncConversation,
    AudioChunk,
    AudioFormat,
    FinishReason,
    ServiceError,
    TurnCompleted,
    WarningKind,
)
from pipecat_csm.converse_call import ConverseCall
from pipecat_csm.error_category import error_category
from pipecat_csm.playout import Playout
from pipecat_csm.settings import CsmTTSSettings
from pipecat_csm.spoken_turn import WORD_TIMES, SpokenContext, SpokenTurn

DEFAULT_TARGET = "127.0.0.1:50050"
CONTEXT_TIMEOUT_S = 20.0
"""An audio context of which nothing comes for so long is over. Text of a slow language model, or
a turn that waits for a slot, takes longer than Pipecat's own 3 s."""
SILENCE_S = 0.08
"""Given instead of speech for a text in which there is nothing to speak, "..." for instance:
Pipecat takes a context without audio for a failure."""


class CsmTTSService(TTSService):
    """Speech of a csm server: one conversation, in which each turn of the bot is one turn.

    The first sentence is spoken while the rest is written. An interruption cancels the turn, and
    what was not heard of it leaves the conversation. Words come with their times.

    Event handlers: those of `TTSService` (`on_connected`, `on_disconnected`,
    `on_connection_error`, `on_tts_request`).
    """

    Settings = CsmTTSSettings
    _settings: CsmTTSSettings

    def __init__(
        self,
        *,
        target: str = DEFAULT_TARGET,
        conversation_id: str = "",
        word_times: bool = True,
        max_audio_ms: int = 0,
        max_lead_ms: int = 0,
        root_certificates: bytes | Path | None = None,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        settings: CsmTTSSettings | None = None,
        **kwargs: Any,
    ) -> None:
        """A service that speaks through the gateway at `target`.

        Args:
            target: where the gateway listens, `host:port` or a name of gRPC.
            conversation_id: the conversation to open or to go on with, at most 128 characters;
                empty: one that the server names.
            word_times: words are timed one by one, where the installed csm can ask for it;
                otherwise they have the time at which their sentence begins.
            max_audio_ms: longest turn, 80..600000; 0: by its text.
            max_lead_ms: audio is sent at most so far ahead of real time; 0: as fast as it is made.
            root_certificates: PEM, or the path of a file: turns TLS on.
            metadata: sent with every call, e.g. `[("authorization", "Bearer ...")]`.
            settings: voice, language, sampling.
            kwargs: those of `TTSService`, e.g. `sample_rate` and `text_aggregation_mode`.
        """
        all_settings = CsmTTSSettings.defaults()
        if settings is not None:
            all_settings.apply_update(settings)
        kwargs.setdefault("stop_frame_timeout_s", CONTEXT_TIMEOUT_S)
        super().__init__(
            push_start_frame=True,
            push_text_frames=False,
            append_trailing_space=True,
            settings=all_settings,
            **kwargs,
        )
        self._target = target
        self._connection: dict[str, Any] = {
            "root_certificates": root_certificates,
            "metadata": metadata,
        }
        self._call_options: dict[str, Any] = {
            "max_audio_ms": max_audio_ms,
            "max_lead_ms": max_lead_ms,
        }
        mode = kwargs.get("text_aggregation_mode")
        self._whole_sentences = mode is not TextAggregationMode.TOKEN
        self._by_word = word_times and WORD_TIMES
        if self._by_word:
            self._call_options["word_times"] = True
        self._client: AsyncClient | None = None
        self._call = ConverseCall(
            self._make_conversation, self, lambda work: self.create_task(work), conversation_id
        )
        self._contexts: dict[str, SpokenContext] = {}
        self._interrupted: set[str] = set()
        self._playout = Playout()

    @property
    def conversation_id(self) -> str:
        """The conversation; empty until the server has named it."""
        return self._call.conversation_id

    @property
    def supports_processing_metrics(self) -> bool:
        """False: audio comes after `run_tts` has returned. Time to first byte tells the latency."""
        return False

    def can_generate_metrics(self) -> bool:
        """True: time to first byte, and characters."""
        return True

    def add_heard_text(self, text: str) -> None:
        """What the user said, a turn of the conversation before the next one of the bot."""
        self._call.heard(text)

    # Life.

    async def start(self, frame: StartFrame) -> None:
        """Connects; where that fails, an `ErrorFrame` says so, and the first turn tries again."""
        await super().start(frame)
        try:
            await self._call.connect()
        except ServiceError as error:
            await self._call_event_handler("on_connection_error", error.message)
            await self.push_error_frame(self._error_frame(error))
        else:
            await self._call_event_handler("on_connected")

    async def stop(self, frame: EndFrame) -> None:
        """Plays what is there, then disconnects."""
        await super().stop(frame)
        await self._disconnect()

    async def cancel(self, frame: CancelFrame) -> None:
        """Disconnects at once."""
        await super().cancel(frame)
        await self._disconnect()

    async def cleanup(self) -> None:
        """Disconnects where that has not been done."""
        await super().cleanup()
        await self._disconnect()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        await self._call.close()
        await client.close()
        await self._call_event_handler("on_disconnected")

    def _make_conversation(self, conversation_id: str) -> AsyncConversation:
        # A channel belongs to the loop that runs when it is made.
        if self._client is None:
            self._client = AsyncClient(self._target, **self._connection)
        return self._client.converse(
            conversation_id=conversation_id,
            output_format=AudioFormat("s16", self.sample_rate),
            **self._call_options,
            **self._settings.converse_options(),
        )

    # TTSService narrows the argument in the same way.
    async def _update_settings(  # type: ignore[override]
        self, delta: TTSSettings
    ) -> dict[str, Any]:
        changed = await super()._update_settings(delta)
        if changed:
            self._call.reopen()
        return changed

    # Text.

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Sends a part of the turn's text; its audio comes by itself."""
        context = self._contexts.setdefault(context_id, SpokenContext(context_id))
        try:
            # A sentence that Pipecat has put together is complete: nothing to wait for.
            await self._call.say(context, text, flush=self._whole_sentences)
            await self.start_tts_usage_metrics(text)
        except ServiceError as error:
            yield self._error_frame(error)
        yield None

    async def flush_audio(self, context_id: str | None = None) -> None:
        """All text of the turn is there."""
        context_id = context_id or self.get_active_audio_context_id()
        if context_id is None:
            return
        context = self._contexts.setdefault(context_id, SpokenContext(context_id))
        await self._call.end(context)
        await self._finish(context)

    # Audio.

    async def on_chunk(self, turn: SpokenTurn, chunk: AudioChunk) -> None:
        """Audio has come, and words that begin in it."""
        context_id = turn.context.context_id
        if words := turn.words(chunk, by_word=self._by_word):
            await self.add_word_timestamps(words, context_id)
        await self._append(context_id, chunk.pcm)

    async def on_over(
        self, turn: SpokenTurn, completed: TurnCompleted | None, error: ServiceError | None
    ) -> None:
        """A turn has ended, or failed."""
        context_id = turn.context.context_id
        if error is not None:
            await self.append_to_audio_context(context_id, self._error_frame(error))
        elif completed is not None:
            for warning in completed.warnings:
                logger.warning(f"{self}: {warning.kind}: {warning.description}")
            if completed.finish_reason is FinishReason.MAX_DURATION:
                logger.warning(f"{self}: speech was cut at the longest audio allowed")
            unspeakable = any(w.kind is WarningKind.UNSPEAKABLE for w in completed.warnings)
            if unspeakable and not turn.audio_ms:
                await self._append(context_id, bytes(2 * round(SILENCE_S * self.sample_rate)))
        await self._finish(turn.context)

    async def _append(self, context_id: str, pcm: bytes) -> None:
        frame = TTSAudioRawFrame(pcm, self.sample_rate, 1, context_id=context_id)
        await self.append_to_audio_context(context_id, frame)

    async def _finish(self, context: SpokenContext) -> None:
        """Ends the audio context when all of its text is known and all of its audio is there."""
        name = context.context_id
        if not context.flushed or context.turns_left or self._contexts.get(name) is not context:
            return
        del self._contexts[name]
        if self.audio_context_available(name):
            await self.append_to_audio_context(name, TTSStoppedFrame(context_id=name))
            await self.remove_audio_context(name)

    # Interruption.

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Nothing more of that context is to be spoken."""
        await super().on_audio_context_interrupted(context_id)
        self._contexts.pop(context_id, None)
        self._interrupted.add(context_id)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """As `TTSService`; an interruption also tells the server how much was heard."""
        if isinstance(frame, BotStartedSpeakingFrame):
            self._playout.bot_started()
        if not isinstance(frame, InterruptionFrame):
            await super().process_frame(frame, direction)
            return
        # Also of contexts that have gone downstream whole and are no longer known here.
        heard_ms = self._playout.interrupted()
        await super().process_frame(frame, direction)
        for context_id in self._interrupted:
            heard_ms.setdefault(context_id, self._playout.heard_ms(context_id))
        self._interrupted.clear()
        if heard_ms:
            await self._call.cancel(heard_ms)

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """As `TTSService`; notes what goes out to be played."""
        await super().push_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame) and frame.context_id:
            audio_ms = frame.num_frames * 1000 / frame.sample_rate
            self._playout.pushed(
                frame.context_id, audio_ms, interruptible=getattr(frame, "interruptible", True)
            )

    def _error_frame(self, error: ServiceError) -> ErrorFrame:
        return ErrorFrame(
            error=f"{self}: {error.message}",
            processor=self,
            exception=error,
            category=error_category(error),
        )
