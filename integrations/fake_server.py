"""A SpeechService for the tests of the integrations: it does what a test tells it, over gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from csm import errors
from csm.v1 import common_pb2, speech_pb2, speech_pb2_grpc

CHUNK_MS = 80


class FakeServer(speech_pb2_grpc.SpeechServiceServicer):
    """Speaks `chunks` chunks of 80 ms a turn, each a square wave at half of full scale."""

    def __init__(self) -> None:
        self.chunks = 3
        self.pause_s = 0.0
        """Before each chunk."""
        self.refusals: list[errors.ServiceError] = []
        """The next calls are refused with these, one each, as soon as text comes."""
        self.fail_after: int | None = None
        """Chunks after which the call ends with UNAVAILABLE."""
        self.terminal_error: errors.ServiceError | None = None
        """The next turn has no audio, and this in its terminal."""
        self.unspeakable = False
        self.silent = False
        """Takes a text and never answers."""
        self.deaf = False
        """Takes a call and never opens it."""
        self.words: list[speech_pb2.WordTime] = []
        """Handed out with the first chunk."""
        self.calls = 0
        self.ended_calls = 0
        self.configs: list[Any] = []
        self.said: list[str] = []
        self.flushes = 0
        self.heard_texts: list[str] = []
        self.cancels: list[tuple[str, int | None]] = []
        self.turns = 0
        self.metadata: list[dict[str, str | bytes]] = []

    async def _abort(self, context: Any, error: errors.ServiceError) -> None:
        trailers = ((errors.DETAILS_KEY, errors.status_details(error)),)
        await context.abort(error.code, error.message, trailers)

    def _format(self, asked: common_pb2.AudioFormat) -> common_pb2.AudioFormat:
        return common_pb2.AudioFormat(
            encoding=common_pb2.AUDIO_ENCODING_PCM_S16LE,
            sample_rate_hz=asked.sample_rate_hz or 24_000,
            channels=1,
        )

    def _chunk(
        self, turn_id: str, index: int, chars: int, form: common_pb2.AudioFormat
    ) -> speech_pb2.SpeechAudio:
        samples = form.sample_rate_hz * CHUNK_MS // 1000
        return speech_pb2.SpeechAudio(
            turn_id=turn_id,
            audio=b"\x00\x40\x00\xc0" * (samples // 2),
            first_sample=samples * index,
            text_chars=chars,
            words=self.words if index == 0 else [],
        )

    def _num_chunks(self) -> int:
        return 0 if self.unspeakable or self.terminal_error is not None else self.chunks

    def _completed(
        self, turn_id: str, reason: common_pb2.FinishReason, kept_ms: int = 0
    ) -> speech_pb2.SpeechTurnCompleted:
        message = speech_pb2.SpeechTurnCompleted(
            turn_id=turn_id,
            finish_reason=reason,
            usage=common_pb2.Usage(text_tokens=7, generated_frames=self.chunks),
            kept_audio_ms=kept_ms,
        )
        if self.unspeakable:
            message.warnings.add(kind=common_pb2.WARNING_KIND_UNSPEAKABLE, field="text")
        if self.terminal_error is not None:
            message.finish_reason = common_pb2.FINISH_REASON_ERROR
            message.error.CopyFrom(errors.status_message(self.terminal_error))
            self.terminal_error = None
        return message

    async def Synthesize(
        self, request: speech_pb2.SynthesizeRequest, context: Any
    ) -> AsyncIterator[speech_pb2.SynthesizeResponse]:
        self.calls += 1
        self.configs.append(request)
        self.said.append(request.text)
        self.metadata.append(dict(context.invocation_metadata()))
        try:
            if self.refusals:
                await self._abort(context, self.refusals.pop(0))
            if self.silent:
                await asyncio.Event().wait()
            self.turns += 1
            turn_id, form = f"t{self.turns}", self._format(request.format)
            yield speech_pb2.SynthesizeResponse(
                started=speech_pb2.SpeechTurnStarted(turn_id=turn_id, format=form)
            )
            for index in range(self._num_chunks()):
                if index == self.fail_after:
                    await self._abort(context, errors.Unavailable("gone", 0.1))
                await asyncio.sleep(self.pause_s)
                chunk = self._chunk(turn_id, index, len(request.text), form)
                yield speech_pb2.SynthesizeResponse(audio=chunk)
            done = self._completed(turn_id, common_pb2.FINISH_REASON_EOS)
            yield speech_pb2.SynthesizeResponse(completed=done)
        finally:
            self.ended_calls += 1

    async def Converse(
        self, requests: AsyncIterator[speech_pb2.ConverseRequest], context: Any
    ) -> AsyncIterator[speech_pb2.ConverseResponse]:
        self.calls += 1
        self.metadata.append(dict(context.invocation_metadata()))
        out: asyncio.Queue[Any] = asyncio.Queue()
        reading = asyncio.create_task(self._read(requests, out))
        try:
            while (item := await out.get()) is not None:
                if isinstance(item, errors.ServiceError):
                    await self._abort(context, item)
                yield item
        finally:
            reading.cancel()
            self.ended_calls += 1

    async def _read(self, requests: Any, out: "asyncio.Queue[Any]") -> None:
        text, speaking, turn_id = "", None, ""
        form = common_pb2.AudioFormat()
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "config":
                self.configs.append(request.config)
                if self.deaf:
                    continue
                form = self._format(request.config.output_format)
                name = request.config.conversation_id or "fresh"
                opened = speech_pb2.ConverseStarted(conversation_id=name, output_format=form)
                await out.put(speech_pb2.ConverseResponse(started=opened))
            elif kind == "text":
                if self.refusals:
                    await out.put(self.refusals.pop(0))
                    return
                text += request.text.text
            elif kind == "flush":
                self.flushes += 1
            elif kind == "end_of_turn" and request.end_of_turn.heard_text:
                self.heard_texts.append(request.end_of_turn.heard_text)
                done = speech_pb2.SpeechTurnCompleted(turn_id="h", heard=True, finish_reason=1)  # type: ignore[arg-type]
                await out.put(speech_pb2.ConverseResponse(turn_completed=done))
            elif kind == "end_of_turn":
                self.said.append(text)
                if not self.silent:
                    self.turns += 1
                    turn_id = f"t{self.turns}"
                    before, work = speaking, self._speak(turn_id, len(text), form, out)
                    speaking = asyncio.create_task(self._after(before, work))
                text = ""
            elif kind == "cancel":
                heard_ms = request.cancel.heard_ms if request.cancel.HasField("heard_ms") else None
                self.cancels.append((request.cancel.turn_id, heard_ms))
                if speaking is not None and not speaking.done():
                    speaking.cancel()
                    done = self._completed(turn_id, common_pb2.FINISH_REASON_CANCELLED)
                    await out.put(speech_pb2.ConverseResponse(turn_completed=done))
                elif text:
                    text = ""
                    done = self._completed("unsaid", common_pb2.FINISH_REASON_CANCELLED)
                    await out.put(speech_pb2.ConverseResponse(turn_completed=done))
                elif heard_ms is not None:
                    cut = speech_pb2.SpeechTurnTruncated(turn_id=turn_id, kept_audio_ms=heard_ms)
                    await out.put(speech_pb2.ConverseResponse(turn_truncated=cut))
        if speaking is not None:
            await speaking
        await out.put(None)

    @staticmethod
    async def _after(before: "asyncio.Task[None] | None", work: Any) -> None:
        if before is not None:
            await asyncio.wait({before})
        await work

    async def _speak(
        self, turn_id: str, chars: int, form: common_pb2.AudioFormat, out: "asyncio.Queue[Any]"
    ) -> None:
        if not self.unspeakable:
            begun = speech_pb2.SpeechTurnStarted(turn_id=turn_id, format=form)
            await out.put(speech_pb2.ConverseResponse(turn_started=begun))
        for index in range(self._num_chunks()):
            if index == self.fail_after:
                await out.put(errors.Unavailable("gone", 0.1))
            await asyncio.sleep(self.pause_s)
            chunk = self._chunk(turn_id, index, chars, form)
            await out.put(speech_pb2.ConverseResponse(audio=chunk))
        done = self._completed(turn_id, common_pb2.FINISH_REASON_EOS, self.chunks * CHUNK_MS)
        await out.put(speech_pb2.ConverseResponse(turn_completed=done))

    async def GetServerInfo(self, request: Any, context: Any) -> speech_pb2.GetServerInfoResponse:
        return speech_pb2.GetServerInfoResponse(model="fake", sample_rate_hz=24_000, version="0.1")

    async def ListVoices(self, request: Any, context: Any) -> speech_pb2.ListVoicesResponse:
        return speech_pb2.ListVoicesResponse(
            voices=[
                speech_pb2.Voice(name="heart", description="A woman.", language="en-US"),
                speech_pb2.Voice(name="michael"),
            ],
            default_voice="heart",
        )


@contextlib.asynccontextmanager
async def serving(fake: FakeServer) -> AsyncIterator[str]:
    """The fake on a free port of loopback; gives its address."""
    server = grpc.aio.server()
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
