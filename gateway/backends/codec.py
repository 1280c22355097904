"""The tokenizer for callers of the gateway who want codes: whole recordings, there and back."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

import grpc
import numpy as np

from csm.audio import frames
from csm.audio.stored_codes import StoredCodes
from csm.serving.calls.outgoing import OutgoingCall
from csm.status import TrueStatus
from csm.v1 import common_pb2, tokenizer_pb2
from gateway.backends.backends import Backends
from gateway.backends.failure import BackendFailure
from gateway.commands import StreamFormat
from gateway.speaking.fate import Source

CHUNK_BYTES = 1 << 20
"""The most that a message of audio may have."""


@dataclass(frozen=True)
class EncodedRecording:
    """A recording as codes, and what was odd about it, a sentence each."""

    stored: StoredCodes
    warnings: tuple[str, ...]


async def encode(
    backends: Backends, parts: AsyncIterator[bytes], timeout_s: float
) -> EncodedRecording:
    """Codes of a file, which is passed on as it comes.

    Raises `ServiceError` as the tokenizer does, and what `parts` raises.
    """
    info = backends.info.tokenizer
    failed: list[BaseException] = []
    form = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)

    async def requests() -> AsyncIterator[tokenizer_pb2.EncodeRequest]:
        yield tokenizer_pb2.EncodeRequest(config=tokenizer_pb2.EncodeConfig(format=form))
        try:
            async for part in parts:
                for at in range(0, len(part), CHUNK_BYTES):
                    yield tokenizer_pb2.EncodeRequest(audio=part[at : at + CHUNK_BYTES])
        except Exception as error:
            # Raised here it would only be logged by gRPC.
            failed.append(error)
            call.cancel()

    with OutgoingCall("csm.v1.TokenizerService/Encode") as outgoing:
        call = backends.tokenizer.Encode(requests(), timeout=timeout_s, metadata=outgoing.metadata)
        status = TrueStatus(call)
        try:
            answer = await call
        except grpc.aio.AioRpcError as raised:
            if failed:
                raise failed[0] from None
            raise BackendFailure.of(Source.TOKENIZER, await status.of(raised)).error from None
        except BaseException:
            call.cancel()
            if failed:
                raise failed[0] from None
            raise
    packed = answer.frames
    codes = np.frombuffer(packed.codes, frames.WIRE_DTYPE).reshape(
        packed.num_frames, packed.num_codebooks
    )
    stored = StoredCodes(codes, answer.num_samples, answer.sample_rate_hz, info.model, info.digest)
    return EncodedRecording(stored, tuple(one.description for one in answer.warnings))


async def decode(
    backends: Backends, stored: StoredCodes, form: StreamFormat, timeout_s: float
) -> AsyncGenerator[bytes, None]:
    """PCM of the codes, as it is made. Raises `ServiceError` as the tokenizer does."""
    codes = frames.pack(stored.codes)
    request = tokenizer_pb2.DecodeRequest(
        frames=codes,
        format=common_pb2.AudioFormat(
            encoding=form.encoding,  # type: ignore[arg-type]
            sample_rate_hz=form.sample_rate_hz,
            channels=form.channels,
        ),
        num_samples=stored.num_samples,
    )
    with OutgoingCall("csm.v1.TokenizerService/Decode") as outgoing:
        call = backends.tokenizer.Decode(request, timeout=timeout_s, metadata=outgoing.metadata)
        status = TrueStatus(call)
        try:
            async for answer in call:
                yield answer.audio
        except grpc.aio.AioRpcError as raised:
            raise BackendFailure.of(Source.TOKENIZER, await status.of(raised)).error from None
        finally:
            call.cancel()
