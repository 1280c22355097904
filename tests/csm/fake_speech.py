"""A SpeechService that does what a test tells it, over real gRPC in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from csm import errors
from csm.serving.metrics import Metrics
from csm.serving.rpc.interceptor import RpcInterceptor
from csm.v1 import common_pb2, speech_pb2, speech_pb2_grpc

FORMAT = common_pb2.AudioFormat(
    encoding=common_pb2.AUDIO_ENCODING_PCM_S16LE, sample_rate_hz=24_000, channels=1
)
CHUNK = b"\x00\x40" * 1920
"""One frame of samples at half of full scale."""


def started(turn_id: str = "t1", seed: int = 7) -> speech_pb2.SpeechTurnStarted:
    """The start of a turn."""
    return speech_pb2.SpeechTurnStarted(turn_id=turn_id, format=FORMAT, seed=seed)


def audio(index: int, turn_id: str = "t1") -> speech_pb2.SpeechAudio:
    """The chunk with that index."""
    return speech_pb2.SpeechAudio(
        turn_id=turn_id, audio=CHUNK, first_sample=1920 * index, text_chars=5
    )


def completed(
    turn_id: str = "t1", reason: int = common_pb2.FINISH_REASON_EOS, **more: Any
) -> speech_pb2.SpeechTurnCompleted:
    """The end of a turn."""
    return speech_pb2.SpeechTurnCompleted(
        turn_id=turn_id,
        finish_reason=reason,  # type: ignore[arg-type]
        usage=common_pb2.Usage(text_tokens=3, generated_frames=2, audio_ms=160),
        timing=common_pb2.Timing(queue_ms=1.5, total_ms=40.0),
        **more,
    )


class FakeSpeech(speech_pb2_grpc.SpeechServiceServicer):
    """Speaks `chunks` chunks. `script` is asked first, with the number of the attempt (from 1)."""

    def __init__(self) -> None:
        self.chunks = 2
        self.fail: Callable[[int, int], errors.ServiceError | None] = lambda attempt, sent: None
        self.stall_after: int | None = None
        self.requests: list[speech_pb2.SynthesizeRequest] = []
        self.configs: list[speech_pb2.ConverseConfig] = []
        self.heard = b""
        self.attempts = 0
        self.open_calls = 0
        self.call_ended = asyncio.Event()

    async def Synthesize(
        self, request: speech_pb2.SynthesizeRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[speech_pb2.SynthesizeResponse]:
        self.attempts += 1
        attempt = self.attempts
        self.requests.append(request)
        self.open_calls += 1
        try:
            if failure := self.fail(attempt, 0):
                raise failure
            yield speech_pb2.SynthesizeResponse(started=started(seed=request.sampling.seed))
            for index in range(self.chunks):
                if index == self.stall_after:
                    await asyncio.Event().wait()
                if index and (failure := self.fail(attempt, index)):
                    raise failure
                yield speech_pb2.SynthesizeResponse(audio=audio(index))
            yield speech_pb2.SynthesizeResponse(completed=completed())
        finally:
            self.open_calls -= 1
            self.call_ended.set()

    async def Converse(
        self,
        requests: AsyncIterator[speech_pb2.ConverseRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[speech_pb2.ConverseResponse]:
        self.attempts += 1
        if failure := self.fail(self.attempts, 0):
            raise failure
        self.open_calls += 1
        text, turns = "", 0
        try:
            async for request in requests:
                kind = request.WhichOneof("request")
                if kind == "config":
                    self.configs.append(request.config)
                    yield speech_pb2.ConverseResponse(
                        started=speech_pb2.ConverseStarted(
                            conversation_id=request.config.conversation_id or "fresh",
                            output_format=FORMAT,
                            num_turns=0,
                            voice=request.config.voice or "pico",
                        )
                    )
                elif kind == "heard_audio":
                    self.heard += request.heard_audio.audio
                elif kind == "text":
                    text += request.text.text
                elif kind == "cancel":
                    yield speech_pb2.ConverseResponse(
                        turn_completed=completed(
                            f"t{turns}",
                            common_pb2.FINISH_REASON_CANCELLED,
                            kept_audio_ms=request.cancel.heard_ms,
                        )
                    )
                elif kind == "end_of_turn":
                    if not text and not self.heard:
                        raise errors.invalid("end_of_turn", "there is nothing to say or to hear")
                    turns += 1
                    if self.heard:
                        yield speech_pb2.ConverseResponse(
                            turn_completed=completed(f"h{turns}", heard=True)
                        )
                    if text:
                        name = f"t{turns}"
                        yield speech_pb2.ConverseResponse(turn_started=started(name))
                        yield speech_pb2.ConverseResponse(audio=audio(0, name))
                        if "..." not in text:
                            yield speech_pb2.ConverseResponse(turn_completed=completed(name))
                    text = ""
        finally:
            self.open_calls -= 1
            self.call_ended.set()

    async def GetServerInfo(
        self, request: speech_pb2.GetServerInfoRequest, context: grpc.aio.ServicerContext
    ) -> speech_pb2.GetServerInfoResponse:
        self.attempts += 1
        if failure := self.fail(self.attempts, 0):
            raise failure
        return speech_pb2.GetServerInfoResponse(model="fake", sample_rate_hz=24_000)

    async def ListVoices(
        self, request: speech_pb2.ListVoicesRequest, context: grpc.aio.ServicerContext
    ) -> speech_pb2.ListVoicesResponse:
        return speech_pb2.ListVoicesResponse(
            voices=[speech_pb2.Voice(name="pico")], default_voice="pico"
        )

    async def GetConversation(
        self, request: speech_pb2.GetConversationRequest, context: grpc.aio.ServicerContext
    ) -> speech_pb2.GetConversationResponse:
        raise errors.NotFound("conversation", request.conversation_id, "it may have expired")

    async def DeleteConversation(
        self, request: speech_pb2.DeleteConversationRequest, context: grpc.aio.ServicerContext
    ) -> speech_pb2.DeleteConversationResponse:
        raise errors.FailedPrecondition("the conversation is in use")


@contextlib.asynccontextmanager
async def serving(fake: FakeSpeech) -> AsyncIterator[str]:
    """The fake behind the project's own interceptor; gives its address."""
    server = grpc.aio.server(interceptors=[RpcInterceptor(Metrics().server, lambda: None, 256)])
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
