"""What LiveKit Agents reads audio from: a text that is whole, and one that is still coming."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APITimeoutError,
    tts,
    utils,
)

from csm import (
    AudioChunk,
    FinishReason,
    ServiceError,
    TurnCompleted,
    TurnStarted,
    WarningKind,
)

from .api_errors import api_error
from .log import logger
from .spoken_turn import SpokenTurn
from .transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .tts import TTS

SILENCE_S = 0.08
"""Given instead of speech for a text in which there is nothing to speak, "..." for instance: the
framework takes no audio for a failure, and would ask for it again."""
MIME_TYPE = "audio/pcm"


class _ReplyTimer:
    """Raises `APITimeoutError` where the server, once it has all it needs, is silent for long."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._limit = asyncio.timeout(None)
        self._active = False
        self._running = False
        self._failure: BaseException | None = None

    def start(self) -> None:
        """From now on the server is waited for, and no longer the caller."""
        self._running = True
        self.restart()

    def restart(self) -> None:
        """Something came."""
        if self._running:
            self._end_in(self._timeout_s)

    def fail(self, failure: BaseException) -> None:
        """Ends the wait with `failure`."""
        self._failure = failure
        self._end_in(0.0)

    def _end_in(self, seconds: float) -> None:
        if self._active and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        try:
            async with self._limit:
                self._active = True
                try:
                    yield
                finally:
                    self._active = False
        except TimeoutError:
            raise (self._failure or APITimeoutError()) from None


def _check_end(completed: TurnCompleted) -> None:
    """Raises for a turn that did not come to its end; logs what the caller should know of it."""
    if completed.error is not None:
        raise api_error(completed.error)
    if completed.finish_reason is FinishReason.SHUTDOWN:
        raise APIConnectionError("the server went away while it spoke")
    if completed.finish_reason is FinishReason.DEADLINE:
        raise APITimeoutError("the turn's deadline passed while it was spoken")
    if completed.finish_reason is FinishReason.MAX_DURATION:
        logger.warning("speech was cut at the longest audio allowed")
    for warning in completed.warnings:
        logger.warning("%s: %s", warning.kind, warning.description)


def _nothing_to_speak(completed: TurnCompleted) -> bool:
    return any(warning.kind is WarningKind.UNSPEAKABLE for warning in completed.warnings)


def _silence(sample_rate_hz: int) -> bytes:
    return bytes(2 * round(SILENCE_S * sample_rate_hz))


class TextStream(tts.ChunkedStream):
    """One text, whole: a `Synthesize` call. Made by `TTS.synthesize`."""

    def __init__(self, *, tts: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._csm_tts = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        rate_hz = self._csm_tts.sample_rate
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=rate_hz,
            num_channels=1,
            mime_type=MIME_TYPE,
        )
        if not self._input_text.strip():
            return
        transcript = self._csm_tts._transcript()
        transcript.said(self._input_text)
        timer = _ReplyTimer(self._conn_options.timeout)
        heard = False
        try:
            async with timer(), self._csm_tts._synthesis(self._input_text) as speech:
                timer.start()
                async for chunk in speech:
                    timer.restart()
                    output_emitter.push_timed_transcript(transcript.beside(chunk))
                    output_emitter.push(chunk.pcm)
                    heard = True
            completed = speech.completed
            if completed is None:
                raise APIConnectionError("the server ended the call before the turn's end")
            self._set_token_usage(
                input_tokens=completed.usage.text_tokens,
                output_tokens=completed.usage.generated_frames,
            )
            _check_end(completed)
        except ServiceError as error:
            # The framework would begin again from the start, behind what was heard.
            raise api_error(error, retryable=not heard) from error
        except APIError as error:
            error.retryable = error.retryable and not heard
            raise
        if not heard and _nothing_to_speak(completed):
            output_emitter.push(_silence(rate_hz))


class SpeechStream(tts.SynthesizeStream):
    """A text that is still coming: one turn of a `Converse` call. Made by `TTS.stream`.

    The first sentence is spoken while the rest is written. `flush` and `end_input` end the turn.
    Closing the stream cancels it at the server. A turn that failed is said again as long as
    nothing of it was heard.
    """

    def __init__(self, *, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._csm_tts = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self._csm_tts.sample_rate,
            num_channels=1,
            mime_type=MIME_TYPE,
            stream=True,
        )
        beginning = await self._beginning()
        if not beginning:
            return
        asked_at = time.perf_counter()
        try:
            async with self._csm_tts._turn(self._conn_options.timeout) as turn:
                self._acquire_time = time.perf_counter() - asked_at
                await self._speak(turn, beginning, output_emitter)
        except ServiceError as error:
            raise api_error(error) from error

    async def _beginning(self) -> str:
        """The text up to its first part that is not blank; empty where there is none."""
        text = ""
        async for part in self._input_ch:
            if isinstance(part, str):
                text += part
            if text.strip():
                return text
        return ""

    async def _speak(self, turn: SpokenTurn, beginning: str, emitter: tts.AudioEmitter) -> None:
        timer = _ReplyTimer(self._conn_options.timeout)
        transcript = self._csm_tts._transcript()
        sending = asyncio.create_task(self._send(turn, beginning, transcript, timer))
        sending.add_done_callback(lambda task: self._sent(task, timer))
        try:
            async with timer():
                completed = await self._receive(turn, transcript, timer, emitter)
            if not sending.done():
                # The turn ended by itself; what is still coming of its text belongs to it.
                sending.cancel()
                await turn.conversation.end_turn()
        finally:
            await utils.aio.cancel_and_wait(sending)
        self._set_token_usage(
            input_tokens=completed.usage.text_tokens,
            output_tokens=completed.usage.generated_frames,
        )
        _check_end(completed)
        if emitter.num_segments == 0:
            emitter.start_segment(segment_id=completed.turn_id)
            if _nothing_to_speak(completed):
                emitter.push(_silence(self._csm_tts.sample_rate))
        emitter.end_segment()

    @staticmethod
    def _sent(task: asyncio.Task[None], timer: _ReplyTimer) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            timer.fail(failure)

    async def _send(
        self, turn: SpokenTurn, beginning: str, transcript: Transcript, timer: _ReplyTimer
    ) -> None:
        """Sends the text up to a flush or to its end, where the turn ends."""
        self._mark_started()
        turn.begun = True
        transcript.said(beginning)
        await turn.conversation.say(beginning)
        async for part in self._input_ch:
            if not isinstance(part, str):
                break
            transcript.said(part)
            await turn.conversation.say(part)
        await turn.conversation.end_turn()
        timer.start()

    async def _receive(
        self,
        turn: SpokenTurn,
        transcript: Transcript,
        timer: _ReplyTimer,
        emitter: tts.AudioEmitter,
    ) -> TurnCompleted:
        """Hands out audio until the turn's terminal, which it gives back."""
        end_s = 0.0
        async for event in turn.conversation:
            timer.restart()
            if isinstance(event, TurnStarted):
                turn.turn_id = event.turn_id
                emitter.start_segment(segment_id=event.turn_id)
            elif isinstance(event, AudioChunk):
                if not end_s:
                    self._csm_tts._speaking(turn)
                end_s += event.duration_s
                emitter.push_timed_transcript(transcript.beside(event))
                emitter.push(event.pcm)
            elif isinstance(event, TurnCompleted) and not event.heard:
                turn.over = True
                emitter.push_timed_transcript(transcript.rest(end_s))
                return event
        raise APIConnectionError("the server ended the call before the turn's end")
