"""The SDK: `Client` for threads, `AsyncClient` for asyncio, thin over gRPC.

    with Client("127.0.0.1:50050") as client:
        for chunk in client.synthesize("Hello there."):
            play(chunk.pcm)

Failures are raised as `csm.errors.ServiceError`: `InvalidArgument` with its field
violations, `NotFound`, `QueueFull` and `Unavailable` with how long to wait, `DeadlineExceeded`,
`FailedPrecondition`, `Unauthenticated`, `PermissionDenied`, `Internal`, and `UpstreamError` for any
other status. Calls refused with UNAVAILABLE are tried again where nothing was delivered
(`RetryPolicy`), nothing else is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import grpc

from csm import errors
from csm.client import requests
from csm.client.answers import ConversationInfo, ServerInfo
from csm.client.bearer import CallMetadata, Token, call_metadata
from csm.client.connection import (
    Connection,
    Metadata,
    check_metadata,
    check_target,
    close_async,
    close_sync,
    open_async,
    open_sync,
)
from csm.client.conversation import AsyncConversation, Conversation
from csm.client.formats import AudioFormat
from csm.client.renewal import RenewedChannel
from csm.client.requests import ContextTurn
from csm.client.resuming import AsyncResumingConversation, ResumingConversation
from csm.client.retry import Deadline, RetryPolicy, from_status
from csm.client.sound import SoundOptions
from csm.client.speech import AsyncSpeech, Speech
from csm.client.text import PreparedText, TextOptions
from csm.client.trace import traced
from csm.client.unary import UNARY_TIMEOUT_S, Answer, Unary
from csm.client.voice_calls import AsyncVoiceCalls, VoiceCalls
from csm.client_tls import ClientTls
from csm.pem import Pem
from csm.status import TrueStatus
from csm.v1 import speech_pb2, speech_pb2_grpc

DEFAULT_TARGET = "127.0.0.1:50050"

SpeechT = TypeVar("SpeechT", Speech, AsyncSpeech)
ConversationT = TypeVar("ConversationT", Conversation, AsyncConversation)


class _ClientCore(Generic[SpeechT, ConversationT]):
    """What both clients are alike in: how they connect, what they ask, how results are made."""

    _open_channel: Callable[[Connection, ClientTls | None], Any]
    _close_channel: Callable[[Any], None]
    _speech: type[SpeechT]
    _conversation: type[ConversationT]
    _resuming: Any

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        root_certificates: Pem | None = None,
        client_certificate: tuple[Pem, Pem] | None = None,
        token: Token | None = None,
        allow_plaintext_token: bool = False,
        metadata: Metadata = (),
        use_proxy: bool = False,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.target = check_target(target)
        connection = Connection(
            target, root_certificates, client_certificate, check_metadata(metadata), use_proxy
        )
        self._call_metadata = call_metadata(connection, token, allow_plaintext_token)
        self._retry = retry or RetryPolicy()
        self._channels = RenewedChannel(
            connection, self._open_channel, speech_pb2_grpc.SpeechServiceStub, self._close_channel
        )

    @property
    def _stub(self) -> Any:
        return self._channels.stub

    @property
    def _metadata(self) -> CallMetadata:
        return self._call_metadata()

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
        text_options: TextOptions | None = None,
        sound_options: SoundOptions | None = None,
        word_times: bool = False,
        timeout_s: float | None = None,
    ) -> SpeechT:
        """Speaks `text`; the call is under way when this returns, and audio comes by iterating.

        An empty text with `context` continues the audio of its last turn. None and 0 leave a
        value to the model or the server; a format may be the name of an encoding ("mulaw"); ranges
        are those of `csm.v1.SynthesizeRequest`. With `word_times` chunks say which `words` begin
        in them. After `timeout_s`, retries included, `DeadlineExceeded` is raised.
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
            text_options=text_options,
            sound_options=sound_options,
            word_times=word_times,
        )
        return self._speech(
            lambda left_s: self._stub.Synthesize(
                request, timeout=left_s, metadata=traced(self._metadata)
            ),
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
        text_options: TextOptions | None = None,
        sound_options: SoundOptions | None = None,
        word_times: bool = False,
        resume: bool | Literal["anew"] = False,
        timeout_s: float | None = None,
    ) -> ConversationT:
        """A conversation, opened by entering the result: `with client.converse() as conversation`.

        Leaving it ends what is still spoken; the conversation itself stays at the server under
        its id. Ranges are those of `csm.v1.ConverseConfig`; `timeout_s` is for the whole call.
        `resume`: where the gateway goes away, another is looked for (at the same target, for half
        a minute), and the turn under way goes on behind the last sample that came; "anew": it
        ends as CANCELLED with nothing kept, and is said from its beginning as another turn. Iterate
        meanwhile: who reads opens the new call. Not for ogg_opus, which cannot be joined.
        """
        form = AudioFormat.of(output_format)
        if resume and form is not None and form.encoding == "ogg_opus":
            raise errors.invalid(
                "resume", f"{resume} is not allowed with an output_format of ogg_opus"
            )
        config = requests.converse_config(
            voice=voice,
            conversation_id=conversation_id,
            sampling=requests.sampling(
                temperature, depth_temperature, top_k, top_p, seed, min_audio_ms
            ),
            max_audio_ms=max_audio_ms,
            output_format=form,
            input_format=AudioFormat.of(input_format),
            max_lead_ms=max_lead_ms,
            heard_speaker=heard_speaker,
            text_options=text_options,
            sound_options=sound_options,
            word_times=word_times,
        )
        kind: Callable[..., ConversationT] = self._conversation
        if resume:
            kind = partial(self._resuming, anew=resume == "anew")
        return kind(
            lambda *outgoing, timeout: self._stub.Converse(
                *outgoing, timeout=timeout, metadata=traced(self._metadata)
            ),
            config,
            AudioFormat.of(input_format),
            self.target,
            self._retry,
            timeout_s,
        )

    def _server_info(self) -> Unary[ServerInfo]:
        request = speech_pb2.GetServerInfoRequest()
        return Unary(self._stub.GetServerInfo, request, ServerInfo.from_proto)

    def _prepare_text(
        self, text: str, voice: str, text_options: TextOptions | None
    ) -> Unary[PreparedText]:
        request = requests.prepare_request(text, voice, text_options)
        return Unary(self._stub.PrepareText, request, PreparedText.from_proto)

    def _get_conversation(self, conversation_id: str) -> Unary[ConversationInfo]:
        request = speech_pb2.GetConversationRequest(conversation_id=conversation_id)
        return Unary(self._stub.GetConversation, request, ConversationInfo.from_proto)

    def _delete_conversation(self, conversation_id: str) -> Unary[None]:
        request = speech_pb2.DeleteConversationRequest(conversation_id=conversation_id)
        return Unary(self._stub.DeleteConversation, request, lambda _: None)


class Client(_ClientCore[Speech, Conversation], VoiceCalls):
    """A blocking client of the gateway at `target`: `host:port`, or a name of gRPC (`dns:///...`).

    `root_certificates` (PEM, or the path of a file; empty: those of gRPC) turns TLS on, and
    `client_certificate` is what a server with mutual TLS asks for: a certificate and its key, PEM
    or paths. Where the files were renewed, the next call goes over a new connection with them.
    `token` is shown with every call: a text, or a function that gives the one of now; not in plain
    text beyond this machine, unless `allow_plaintext_token`. `metadata` goes with every call too.
    A proxy that the environment names is used only with `use_proxy`. Raises `InvalidArgument` for
    a target, a file or a token that cannot be one.

    May be used by several threads. Close it, or use it in a `with` block.
    """

    _open_channel, _close_channel = staticmethod(open_sync), staticmethod(close_sync)
    _speech, _conversation, _resuming = Speech, Conversation, ResumingConversation

    def server_info(self, *, timeout_s: float = UNARY_TIMEOUT_S) -> ServerInfo:
        """What the server runs: model, rates, limits, sampling defaults."""
        return self._unary(self._server_info(), timeout_s)

    def prepare_text(
        self,
        text: str,
        *,
        voice: str = "",
        text_options: TextOptions | None = None,
        timeout_s: float = UNARY_TIMEOUT_S,
    ) -> PreparedText:
        """What would be spoken of a text: spoken form, sentences, warnings; without speaking."""
        return self._unary(self._prepare_text(text, voice, text_options), timeout_s)

    def get_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> ConversationInfo:
        """The turns of a conversation, oldest first. Raises `NotFound`."""
        return self._unary(self._get_conversation(conversation_id), timeout_s)

    def delete_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> None:
        """Forgets a conversation. Raises `NotFound`."""
        self._unary(self._delete_conversation(conversation_id), timeout_s)

    def _unary(self, call: Unary[Answer], timeout_s: float) -> Answer:
        # Retries of these are the channel's own (csm.channel).
        deadline = Deadline(timeout_s)
        try:
            answer = call.method(call.request, timeout=timeout_s, metadata=traced(self._metadata))
        except grpc.RpcError as error:
            raise from_status(error, self.target, deadline) from None
        return call.answer(answer)

    def close(self) -> None:
        """Closes the channel; calls under way end."""
        for channel in self._channels.channels:
            channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_ClientCore[AsyncSpeech, AsyncConversation], AsyncVoiceCalls):
    """As `Client`, for asyncio: `async for` over a speech, `async with` for a conversation.

    Make and use it within one running loop. Close it, or use it in an `async with` block.
    """

    _open_channel, _close_channel = staticmethod(open_async), staticmethod(close_async)
    _speech, _conversation = AsyncSpeech, AsyncConversation
    _resuming = AsyncResumingConversation

    async def server_info(self, *, timeout_s: float = UNARY_TIMEOUT_S) -> ServerInfo:
        """What the server runs: model, rates, limits, sampling defaults."""
        return await self._unary(self._server_info(), timeout_s)

    async def prepare_text(
        self,
        text: str,
        *,
        voice: str = "",
        text_options: TextOptions | None = None,
        timeout_s: float = UNARY_TIMEOUT_S,
    ) -> PreparedText:
        """What would be spoken of a text: spoken form, sentences, warnings; without speaking."""
        return await self._unary(self._prepare_text(text, voice, text_options), timeout_s)

    async def get_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> ConversationInfo:
        """The turns of a conversation, oldest first. Raises `NotFound`."""
        return await self._unary(self._get_conversation(conversation_id), timeout_s)

    async def delete_conversation(
        self, conversation_id: str, *, timeout_s: float = UNARY_TIMEOUT_S
    ) -> None:
        """Forgets a conversation. Raises `NotFound`."""
        await self._unary(self._delete_conversation(conversation_id), timeout_s)

    async def _unary(self, call: Unary[Answer], timeout_s: float) -> Answer:
        # Retries of these are the channel's own (csm.channel).
        deadline = Deadline(timeout_s)
        made = call.method(call.request, timeout=timeout_s, metadata=traced(self._metadata))
        status = TrueStatus(made)
        try:
            answer = await made
        except grpc.aio.AioRpcError as raised:
            error = await status.of(raised)
            raise from_status(error, self.target, deadline) from None
        return call.answer(answer)

    async def close(self) -> None:
        """Closes the channel; calls under way end."""
        for channel in self._channels.channels:
            await channel.close(None)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
