"""The SDK: `Client` for threads, `AsyncClient` for asyncio, thin over gRPC.

    with Client("127.0.0.1:50050") as client:
        for chunk in client.synthesize("Hello there."):
            play(chunk.pcm)

Failures are raised as `csm.errors.ServiceError`: `InvalidArgument` with its field
violations, `NotFound`, `QueueFull` and `Unavailable` with how long to wait, `DeadlineExceeded`,
`FailedPrecondition`, `Internal`, and `UpstreamError` for any other status. Calls refused with
UNAVAILABLE are tried again where nothing was delivered (`RetryPolicy`), nothing else is.
"""

from collections.abc import Sequence
from typing import Any

import grpc

from csm import channel
from csm.client import requests
from csm.client.conversation import AsyncConversation, Conversation
from csm.client.messages import (
    AudioChunk,
    AudioFormat,
    ConversationStarted,
    Event,
    FinishReason,
    Timing,
    TurnCompleted,
    TurnStarted,
    Usage,
)
from csm.client.requests import ContextTurn
from csm.client.retry import RetryPolicy, from_status
from csm.client.speech import AsyncSpeech, Speech
from csm.v1 import speech_pb2, speech_pb2_grpc

__all__ = [
    "AsyncClient",
    "AsyncConversation",
    "AsyncSpeech",
    "AudioChunk",
    "AudioFormat",
    "Client",
    "ContextTurn",
    "Conversation",
    "ConversationStarted",
    "Event",
    "FinishReason",
    "RetryPolicy",
    "Speech",
    "Timing",
    "TurnCompleted",
    "TurnStarted",
    "Usage",
]

DEFAULT_TARGET = "127.0.0.1:50050"
UNARY_TIMEOUT_S = 30.0


class Client:
    """A blocking client of the gateway at `target` (host:port or a gRPC name).

    May be used by several threads. Close it, or use it in a `with` block.
    """

    def __init__(self, target: str = DEFAULT_TARGET, *, retry: RetryPolicy | None = None) -> None:
        self.target = target
        self._retry = retry or RetryPolicy()
        self._channel = channel.open_sync(target)
        self._stub: Any = speech_pb2_grpc.SpeechServiceStub(self._channel)

    def synthesize(
        self,
        text: str,
        *,
        voice: str = "",
        conversation_id: str = "",
        context: Sequence[ContextTurn] = (),
        speaker: int | None = None,
        temperature: float | None = None,
        depth_temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        min_audio_ms: int | None = None,
        max_audio_ms: int = 0,
        format: AudioFormat | None = None,
        max_lead_ms: int = 0,
        timeout_s: float | None = None,
    ) -> Speech:
        """Speaks `text`; the call is under way when this returns, and audio comes by iterating.

        An empty text with `context` continues the audio of its last turn. None and 0 leave a
        value to the model or the server; ranges are those of `csm.v1.SynthesizeRequest`. After
        `timeout_s`, retries included, `DeadlineExceeded` is raised.
        """
        request = requests.synthesize_request(
            text,
            voice=voice,
            conversation_id=conversation_id,
            context=context,
            speaker=speaker,
            sampling=requests.sampling(
                temperature, depth_temperature, top_k, top_p, seed, min_audio_ms
            ),
            max_audio_ms=max_audio_ms,
            format=format,
            max_lead_ms=max_lead_ms,
        )
        return Speech(
            lambda left_s: self._stub.Synthesize(request, timeout=left_s),
            self.target,
            self._retry,
            timeout_s,
        )

    def converse(
        self,
        *,
        voice: str = "",
        conversation_id: str = "",
        temperature: float | None = None,
        depth_temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        min_audio_ms: int | None = None,
        max_audio_ms: int = 0,
        output_format: AudioFormat | None = None,
        input_format: AudioFormat | None = None,
        max_lead_ms: int = 0,
        heard_speaker: int | None = None,
        timeout_s: float | None = None,
    ) -> Conversation:
        """A conversation, opened by entering the result as a context manager.

        Leaving it ends what is still spoken; the conversation itself stays at the server under
        its id. Ranges are those of `csm.v1.ConverseConfig`.
        """
        config = requests.converse_config(
            voice=voice,
            conversation_id=conversation_id,
            sampling=requests.sampling(
                temperature, depth_temperature, top_k, top_p, seed, min_audio_ms
            ),
            max_audio_ms=max_audio_ms,
            output_format=output_format,
            input_format=input_format,
            max_lead_ms=max_lead_ms,
            heard_speaker=heard_speaker,
        )
        return Conversation(
            lambda outgoing: self._stub.Converse(outgoing, timeout=timeout_s),
            config,
            input_format,
            self.target,
            self._retry,
        )

    def server_info(
        self, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> speech_pb2.GetServerInfoResponse:
        """What the server runs: model, rates, limits, sampling defaults."""
        return self._unary(self._stub.GetServerInfo, speech_pb2.GetServerInfoRequest(), timeout_s)

    def list_voices(self, *, timeout_s: float = UNARY_TIMEOUT_S) -> speech_pb2.ListVoicesResponse:
        """The voices, and which is the default."""
        return self._unary(self._stub.ListVoices, speech_pb2.ListVoicesRequest(), timeout_s)

    def get_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> speech_pb2.GetConversationResponse:
        """The turns of a conversation, oldest first. Raises `NotFound`."""
        request = speech_pb2.GetConversationRequest(conversation_id=conversation_id)
        return self._unary(self._stub.GetConversation, request, timeout_s)

    def delete_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> None:
        """Forgets a conversation. Raises `NotFound`."""
        request = speech_pb2.DeleteConversationRequest(conversation_id=conversation_id)
        self._unary(self._stub.DeleteConversation, request, timeout_s)

    def _unary(self, method: Any, request: Any, timeout_s: float) -> Any:
        # Retries of these are the channel's own (csm.channel).
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_status(error, self.target) from None

    def close(self) -> None:
        """Closes the channel; calls under way end."""
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """A client for asyncio of the gateway at `target` (host:port or a gRPC name).

    Make and use it within one running loop. Close it, or use it in an `async with` block.
    """

    def __init__(self, target: str = DEFAULT_TARGET, *, retry: RetryPolicy | None = None) -> None:
        self.target = target
        self._retry = retry or RetryPolicy()
        self._channel = channel.open_async(target)
        self._stub: Any = speech_pb2_grpc.SpeechServiceStub(self._channel)

    def synthesize(
        self,
        text: str,
        *,
        voice: str = "",
        conversation_id: str = "",
        context: Sequence[ContextTurn] = (),
        speaker: int | None = None,
        temperature: float | None = None,
        depth_temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        min_audio_ms: int | None = None,
        max_audio_ms: int = 0,
        format: AudioFormat | None = None,
        max_lead_ms: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncSpeech:
        """As `Client.synthesize`, with `async for` over the chunks."""
        request = requests.synthesize_request(
            text,
            voice=voice,
            conversation_id=conversation_id,
            context=context,
            speaker=speaker,
            sampling=requests.sampling(
                temperature, depth_temperature, top_k, top_p, seed, min_audio_ms
            ),
            max_audio_ms=max_audio_ms,
            format=format,
            max_lead_ms=max_lead_ms,
        )
        return AsyncSpeech(
            lambda left_s: self._stub.Synthesize(request, timeout=left_s),
            self.target,
            self._retry,
            timeout_s,
        )

    def converse(
        self,
        *,
        voice: str = "",
        conversation_id: str = "",
        temperature: float | None = None,
        depth_temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        min_audio_ms: int | None = None,
        max_audio_ms: int = 0,
        output_format: AudioFormat | None = None,
        input_format: AudioFormat | None = None,
        max_lead_ms: int = 0,
        heard_speaker: int | None = None,
        timeout_s: float | None = None,
    ) -> AsyncConversation:
        """As `Client.converse`, with `async with` and `async for`."""
        config = requests.converse_config(
            voice=voice,
            conversation_id=conversation_id,
            sampling=requests.sampling(
                temperature, depth_temperature, top_k, top_p, seed, min_audio_ms
            ),
            max_audio_ms=max_audio_ms,
            output_format=output_format,
            input_format=input_format,
            max_lead_ms=max_lead_ms,
            heard_speaker=heard_speaker,
        )
        return AsyncConversation(
            lambda: self._stub.Converse(timeout=timeout_s),
            config,
            input_format,
            self.target,
            self._retry,
        )

    async def server_info(
        self, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> speech_pb2.GetServerInfoResponse:
        """What the server runs: model, rates, limits, sampling defaults."""
        return await self._unary(
            self._stub.GetServerInfo, speech_pb2.GetServerInfoRequest(), timeout_s
        )

    async def list_voices(
        self, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> speech_pb2.ListVoicesResponse:
        """The voices, and which is the default."""
        return await self._unary(self._stub.ListVoices, speech_pb2.ListVoicesRequest(), timeout_s)

    async def get_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> speech_pb2.GetConversationResponse:
        """The turns of a conversation, oldest first. Raises `NotFound`."""
        request = speech_pb2.GetConversationRequest(conversation_id=conversation_id)
        return await self._unary(self._stub.GetConversation, request, timeout_s)

    async def delete_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> None:
        """Forgets a conversation. Raises `NotFound`."""
        request = speech_pb2.DeleteConversationRequest(conversation_id=conversation_id)
        await self._unary(self._stub.DeleteConversation, request, timeout_s)

    async def _unary(self, method: Any, request: Any, timeout_s: float) -> Any:
        # Retries of these are the channel's own (csm.channel).
        try:
            return await method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_status(error, self.target) from None

    async def close(self) -> None:
        """Closes the channel; calls under way end."""
        await self._channel.close(None)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
