"""Clients of the tokenizer: recordings to codes and codes to audio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from csm.audio import frames
from csm.client.answers import TokenizerInfo
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
from csm.client.formats import AudioFormat
from csm.client.messages import Warning
from csm.client.renewal import RenewedChannel
from csm.client.requests import ContextTurn
from csm.client.retry import Deadline, from_status
from csm.client.trace import traced
from csm.client_tls import ClientTls
from csm.errors import ServiceError, invalid
from csm.pem import Pem
from csm.status import TrueStatus
from csm.v1 import common_pb2, tokenizer_pb2, tokenizer_pb2_grpc

DEFAULT_TARGET = "127.0.0.1:50051"
# A quarter of the wire's 1 MiB: progress is seen, and no message is copied for long.
_CHUNK_SAMPLES = 65_536
_CHUNK_BYTES = 4 * _CHUNK_SAMPLES
# Leaves room for the rest of the message below gRPC's 4 MiB.
_MAX_CODE_BYTES = (4 << 20) - 4096


@dataclass(frozen=True)
class Encoded:
    """A recording as codes."""

    codes: NDArray[np.uint16]
    """[frames, codebooks], 0..codebook_size-1; the last frame is padded with silence."""
    num_samples: int
    """True length at the codec's rate."""
    sample_rate_hz: int
    """The codec's rate."""
    warnings: tuple[Warning, ...] = ()
    """What was odd about a file: how it was read, what was mended, what makes it a bad prompt."""

    @classmethod
    def from_proto(cls, message: tokenizer_pb2.EncodeResponse) -> "Encoded":
        """The values of a wire message."""
        packed = message.frames
        codes = np.frombuffer(packed.codes, frames.WIRE_DTYPE)
        return cls(
            codes.reshape(packed.num_frames, packed.num_codebooks),
            message.num_samples,
            message.sample_rate_hz,
            tuple(Warning.from_proto(one) for one in message.warnings),
        )


def _file_messages(data: bytes, mend: bool) -> Iterator[tokenizer_pb2.EncodeRequest]:
    form = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)
    yield tokenizer_pb2.EncodeRequest(config=tokenizer_pb2.EncodeConfig(format=form, mend=mend))
    for start in range(0, len(data), _CHUNK_BYTES):
        yield tokenizer_pb2.EncodeRequest(audio=data[start : start + _CHUNK_BYTES])


class _TokenizerCore:
    """What both clients are alike in: how they connect."""

    _open_channel: Callable[[Connection, ClientTls | None], Any]
    _close_channel: Callable[[Any], None]

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
    ) -> None:
        self.target = check_target(target, example=DEFAULT_TARGET)
        connection = Connection(
            target, root_certificates, client_certificate, check_metadata(metadata), use_proxy
        )
        self._call_metadata = call_metadata(connection, token, allow_plaintext_token)
        self._channels = RenewedChannel(
            connection,
            self._open_channel,
            tokenizer_pb2_grpc.TokenizerServiceStub,
            self._close_channel,
        )

    @property
    def _stub(self) -> Any:
        return self._channels.stub

    @property
    def _metadata(self) -> CallMetadata:
        return self._call_metadata()


class TokenizerClient(_TokenizerCore):
    """Encodes files at the tokenizer at `target`, blocking. Close it, or use it in a `with` block.

    The arguments are those of `csm.client.client.Client`.
    """

    _open_channel, _close_channel = staticmethod(open_sync), staticmethod(close_sync)

    def encode_file(
        self, audio: bytes | Path, *, mend: bool = False, timeout_s: float | None = None
    ) -> Encoded:
        """As `AsyncTokenizerClient.encode_file`."""
        data = audio.read_bytes() if isinstance(audio, Path) else audio
        deadline = Deadline(timeout_s)
        try:
            answer = self._stub.Encode(
                _file_messages(data, mend), timeout=timeout_s, metadata=traced(self._metadata)
            )
        except grpc.RpcError as error:
            raise from_status(error, self.target, deadline, "tokenizer") from None
        return Encoded.from_proto(answer)

    def context_turn(
        self, speaker: int, text: str, audio: bytes | Path, *, timeout_s: float | None = None
    ) -> ContextTurn:
        """A turn of context whose recording may be larger than a message: sent as its codes."""
        encoded = self.encode_file(audio, mend=True, timeout_s=timeout_s)
        return ContextTurn(speaker, text, codes=encoded.codes)

    def close(self) -> None:
        """Closes the channel; calls under way end."""
        for channel in self._channels.channels:
            channel.close()

    def __enter__(self) -> "TokenizerClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncTokenizerClient(_TokenizerCore):
    """Encodes and decodes at the tokenizer at `target`. Make and use it within one loop.

    The arguments are those of `csm.client.client.AsyncClient`.
    """

    _open_channel, _close_channel = staticmethod(open_async), staticmethod(close_async)

    async def info(self, *, timeout_s: float = 30.0) -> TokenizerInfo:
        """What the codec is: rates, sizes, limits, digest."""
        request = tokenizer_pb2.GetTokenizerInfoRequest()
        deadline = Deadline(timeout_s)
        try:
            answer = await self._stub.GetTokenizerInfo(
                request, timeout=timeout_s, metadata=traced(self._metadata)
            )
        except grpc.RpcError as error:
            raise self._failure(error, deadline) from None
        return TokenizerInfo.from_proto(answer)

    def _failure(self, error: grpc.RpcError, deadline: Deadline) -> ServiceError:
        return from_status(error, self.target, deadline, "tokenizer")

    async def encode(
        self,
        samples: NDArray[np.float32],
        rate_hz: int,
        *,
        on_sent: Callable[[int], None] | None = None,
        timeout_s: float | None = None,
    ) -> Encoded:
        """Encodes mono samples [N] at `rate_hz`. `on_sent` is told of samples as they go out.

        Raises a `csm.errors.ServiceError`.
        """
        form = AudioFormat("f32", rate_hz)

        async def messages() -> AsyncIterator[tokenizer_pb2.EncodeRequest]:
            config = tokenizer_pb2.EncodeConfig(format=form.to_proto())
            yield tokenizer_pb2.EncodeRequest(config=config)
            for start in range(0, len(samples), _CHUNK_SAMPLES):
                chunk = samples[start : start + _CHUNK_SAMPLES]
                yield tokenizer_pb2.EncodeRequest(
                    audio=np.ascontiguousarray(chunk, "<f4").tobytes()
                )
                if on_sent:
                    on_sent(len(chunk))

        return await self._encoded(messages(), timeout_s)

    async def encode_file(
        self, audio: bytes | Path, *, mend: bool = False, timeout_s: float | None = None
    ) -> Encoded:
        """Encodes a whole audio file, or the one at a path (OSError); see docs/audio.md.

        `mend`: it is to be a prompt, so a constant offset, a level far off and long silence at its
        ends are mended. `warnings` of the result say what was odd. Raises a
        `csm.errors.ServiceError`.
        """
        data = await asyncio.to_thread(audio.read_bytes) if isinstance(audio, Path) else audio

        async def messages() -> AsyncIterator[tokenizer_pb2.EncodeRequest]:
            for message in _file_messages(data, mend):
                yield message

        return await self._encoded(messages(), timeout_s)

    async def context_turn(
        self, speaker: int, text: str, audio: bytes | Path, *, timeout_s: float | None = None
    ) -> ContextTurn:
        """A turn of context whose recording may be larger than a message: sent as its codes."""
        encoded = await self.encode_file(audio, mend=True, timeout_s=timeout_s)
        return ContextTurn(speaker, text, codes=encoded.codes)

    async def _encoded(
        self, messages: AsyncIterator[tokenizer_pb2.EncodeRequest], timeout_s: float | None
    ) -> Encoded:
        deadline = Deadline(timeout_s)
        call = self._stub.Encode(messages, timeout=timeout_s, metadata=traced(self._metadata))
        true_status = TrueStatus(call)
        try:
            answer = await call
        except grpc.aio.AioRpcError as raised:
            raise self._failure(await true_status.of(raised), deadline) from None
        return Encoded.from_proto(answer)

    async def decode(
        self,
        codes: NDArray[np.uint16],
        *,
        format: AudioFormat | str | None = None,
        num_samples: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[bytes]:
        """Decodes codes [frames, codebooks] to PCM or G.711 bytes, chunk by chunk.

        `format`, which may be the name of an encoding, defaults to s16 at the codec's rate;
        `num_samples` at the codec's rate cuts the end, 0 cuts nothing. Raises a
        `csm.errors.ServiceError`.
        """
        if codes.nbytes > _MAX_CODE_BYTES:
            raise invalid(
                "frames", f"{codes.nbytes} bytes are too many; at most {_MAX_CODE_BYTES} in a call"
            )
        request = tokenizer_pb2.DecodeRequest(
            frames=frames.pack(codes),
            format=(AudioFormat.of(format) or AudioFormat()).to_proto(),
            num_samples=num_samples,
        )
        deadline = Deadline(timeout_s)
        call = self._stub.Decode(request, timeout=timeout_s, metadata=traced(self._metadata))
        try:
            async for answer in call:
                yield answer.audio
        except grpc.RpcError as error:
            raise self._failure(error, deadline) from None

    async def close(self) -> None:
        """Closes the channel; calls under way end."""
        for channel in self._channels.channels:
            await channel.close(None)

    async def __aenter__(self) -> "AsyncTokenizerClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
