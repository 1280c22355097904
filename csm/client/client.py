"""The SDK: `Client` for threads, `AsyncClient` for asyncio, thin over gRPC.

    with Client("127.0.0.1:50050") as client:
        for chunk in client.synthesize("Hello there."):
            play(chunk.pcm)

Failures are raised as `csm.errors.ServiceError`: `InvalidArgument` with its field
violations, `NotFound`, `QueueFull` and `Unavailable` with how long to wait, `DeadlineExceeded`,
`FailedPrecondition`, `Internal`, and `UpstreamError` for any other status. Calls refused with
UNAVAILABLE are tried again where nothing was delivered (`RetryPolicy`), nothing else is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc

from csm.client import requests
from csm.client.answers import ConversationInfo, ServerInfo, VoiceList
from csm.client.connection import Metadata, check_metadata, check_target, open_async, open_sync
from csm.client.conversation import AsyncConversation, Conversation
from csm.client.formats import AudioFormat
from csm.client.requests import ContextTurn
from csm.client.retry import Deadline, RetryPolicy, from_status
from csm.client.speech import AsyncSpeech, Speech
from csm.v1 import speech_pb2, speech_pb2_grpc

DEFAULT_TARGET = "127.0.0.1:50050"
UNARY_TIMEOUT_S = 30.0

SpeechT = TypeVar("SpeechT", Speech, AsyncSpeech)
ConversationT = TypeVar("ConversationT", Conversation, AsyncConversation)
Answer = TypeVar("Answer")


class _Calls(Generic[SpeechT, ConversationT]):
    """What both clients ask alike: the calls, and how their results are made."""

    _speech: type[SpeechT]
    _conversation: type[ConversationT]

    def __init__(self, target: str, retry: RetryPolicy | None, metadata: Metadata) -> None:
        self.target = check_target(target)
        self._metadata = check_metadata(metadata)
        self._retry = retry or RetryPolicy()

    def _connect(self, channel: Any) -> None:
        self._channel = channel
        self._stub: Any = speech_pb2_grpc.SpeechServiceStub(channel)

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
        format: AudioFormat | str | None = None,
        max_lead_ms: int = 0,
        timeout_s: float | None = None,
    ) -> SpeechT:
        """Speaks `text`; the call is under way when this returns, and audio comes by iterating.

        An empty text with `context` continues the audio of its last turn. None and 0 leave a
        value to the model or the server; a format may be the name of an encoding ("mulaw"); ranges
        are those of `csm.v1.SynthesizeRequest`. After `timeout_s`, retries included,
        `DeadlineExceeded` is raised.
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
            format=AudioFormat.of(format),
            max_lead_ms=max_lead_ms,
        )
        return self._speech(
            lambda left_s: self._stub.Synthesize(request, timeout=left_s, metadata=self._metadata),
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
        output_format: AudioFormat | str | None = None,
        input_format: AudioFormat | str | None = None,
        max_lead_ms: int = 0,
        heard_speaker: int | None = None,
        timeout_s: float | None = None,
    ) -> ConversationT:
        """A conversation, opened by entering the result: `with client.converse() as conversation`.

        Leaving it ends what is still spoken; the conversation itself stays at the server under
        its id. Ranges are those of `csm.v1.ConverseConfig`; `timeout_s` is for the whole call.
        """
        config = requests.converse_config(
            voice=voice,
            conversation_id=conversation_id,
            sampling=requests.sampling(
                temperature, depth_temperature, top_k, top_p, seed, min_audio_ms
            ),
            max_audio_ms=max_audio_ms,
            output_format=AudioFormat.of(output_format),
            input_format=AudioFormat.of(input_format),
            max_lead_ms=max_lead_ms,
            heard_speaker=heard_speaker,
        )
        return self._conversation(
            lambda *outgoing, timeout: self._stub.Converse(
                *outgoing, timeout=timeout, metadata=self._metadata
            ),
            config,
            AudioFormat.of(input_format),
            self.target,
            self._retry,
            timeout_s,
        )


class Client(_Calls[Speech, Conversation]):
    """A blocking client of the gateway at `target`: `host:port`, or a name of gRPC (`dns:///...`).

    `root_certificates` (PEM, or the path of a file; empty: those of gRPC) turns TLS on.
    `metadata` goes with every call, a bearer token for instance. A proxy that the environment
    names is used only with `use_proxy`. Raises `InvalidArgument` for a target that cannot be one.

    May be used by several threads. Close it, or use it in a `with` block.
    """

    _speech, _conversation = Speech, Conversation

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        root_certificates: bytes | Path | None = None,
        metadata: Metadata = (),
        use_proxy: bool = False,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(target, retry, metadata)
        self._connect(open_sync(target, root_certificates, use_proxy))

    def server_info(self, *, timeout_s: float = UNARY_TIMEOUT_S) -> ServerInfo:
        """What the server runs: model, rates, limits, sampling defaults."""
        request = speech_pb2.GetServerInfoRequest()
        return self._unary(self._stub.GetServerInfo, request, timeout_s, ServerInfo.from_proto)

    def list_voices(self, *, timeout_s: float = UNARY_TIMEOUT_S) -> VoiceList:
        """The voices, and which is the default."""
        request = speech_pb2.ListVoicesRequest()
        return self._unary(self._stub.ListVoices, request, timeout_s, VoiceList.from_proto)

    def get_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> ConversationInfo:
        """The turns of a conversation, oldest first. Raises `NotFound`."""
        request = speech_pb2.GetConversationRequest(conversation_id=conversation_id)
        return self._unary(
            self._stub.GetConversation, request, timeout_s, ConversationInfo.from_proto
        )

    def delete_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> None:
        """Forgets a conversation. Raises `NotFound`."""
        request = speech_pb2.DeleteConversationRequest(conversation_id=conversation_id)
        self._unary(self._stub.DeleteConversation, request, timeout_s, lambda _: None)

    def _unary(
        self, method: Any, request: Any, timeout_s: float, answer: Callable[[Any], Answer]
    ) -> Answer:
        # Retries of these are the channel's own (csm.channel).
        deadline = Deadline(timeout_s)
        try:
            return answer(method(request, timeout=timeout_s, metadata=self._metadata))
        except grpc.RpcError as error:
            raise from_status(error, self.target, deadline) from None

    def close(self) -> None:
        """Closes the channel; calls under way end."""
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Calls[AsyncSpeech, AsyncConversation]):
    """As `Client`, for asyncio: `async for` over a speech, `async with` for a conversation.

    Make and use it within one running loop. Close it, or use it in an `async with` block.
    """

    _speech, _conversation = AsyncSpeech, AsyncConversation

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        root_certificates: bytes | Path | None = None,
        metadata: Metadata = (),
        use_proxy: bool = False,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(target, retry, metadata)
        self._connect(open_async(target, root_certificates, use_proxy))

    async def server_info(self, *, timeout_s: float = UNARY_TIMEOUT_S) -> ServerInfo:
        """What the server runs: model, rates, limits, sampling defaults."""
        request = speech_pb2.GetServerInfoRequest()
        return await self._unary(
            self._stub.GetServerInfo, request, timeout_s, ServerInfo.from_proto
        )

    async def list_voices(self, *, timeout_s: float = UNARY_TIMEOUT_S) -> VoiceList:
        """The voices, and which is the default."""
        request = speech_pb2.ListVoicesRequest()
        return await self._unary(self._stub.ListVoices, request, timeout_s, VoiceList.from_proto)

    async def get_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> ConversationInfo:
        """The turns of a conversation, oldest first. Raises `NotFound`."""
        request = speech_pb2.GetConversationRequest(conversation_id=conversation_id)
        return await self._unary(
            self._stub.GetConversation, request, timeout_s, ConversationInfo.from_proto
        )

    async def delete_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> None:
        """Forgets a conversation. Raises `NotFound`."""
        request = speech_pb2.DeleteConversationRequest(conversation_id=conversation_id)
        await self._unary(self._stub.DeleteConversation, request, timeout_s, lambda _: None)

    async def _unary(
        self, method: Any, request: Any, timeout_s: float, answer: Callable[[Any], Answer]
    ) -> Answer:
        # Retries of these are the channel's own (csm.channel).
        deadline = Deadline(timeout_s)
        try:
            return answer(await method(request, timeout=timeout_s, metadata=self._metadata))
        except grpc.RpcError as error:
            raise from_status(error, self.target, deadline) from None

    async def close(self) -> None:
        """Closes the channel; calls under way end."""
        await self._channel.close(None)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
