"""A client of the tokenizer for asyncio: recordings to codes and codes to audio."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from csm import channel
from csm.audio import frames
from csm.client.messages import AudioFormat
from csm.client.retry import from_status
from csm.errors import invalid
from csm.status import TrueStatus
from csm.v1 import tokenizer_pb2, tokenizer_pb2_grpc

DEFAULT_TARGET = "127.0.0.1:50051"
# A quarter of the wire's 1 MiB: progress is seen, and no message is copied for long.
_CHUNK_SAMPLES = 65_536
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


class AsyncTokenizerClient:
    """Encodes and decodes at the tokenizer at `target`. Make and use it within one loop."""

    def __init__(self, target: str = DEFAULT_TARGET) -> None:
        self.target = target
        self._channel = channel.open_async(target)
        self._stub: Any = tokenizer_pb2_grpc.TokenizerServiceStub(self._channel)

    async def info(self, *, timeout_s: float = 30.0) -> tokenizer_pb2.GetTokenizerInfoResponse:
        """What the codec is: rates, sizes, limits, digest."""
        request = tokenizer_pb2.GetTokenizerInfoRequest()
        try:
            return await self._stub.GetTokenizerInfo(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_status(error, self.target) from None

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

        call = self._stub.Encode(messages(), timeout=timeout_s)
        true_status = TrueStatus(call)
        try:
            answer = await call
        except grpc.aio.AioRpcError as raised:
            raise from_status(await true_status.of(raised), self.target) from None
        packed = answer.frames
        codes = np.frombuffer(packed.codes, frames.WIRE_DTYPE)
        return Encoded(
            codes.reshape(packed.num_frames, packed.num_codebooks),
            answer.num_samples,
            answer.sample_rate_hz,
        )

    async def decode(
        self,
        codes: NDArray[np.uint16],
        *,
        format: AudioFormat | None = None,
        num_samples: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[bytes]:
        """Decodes codes [frames, codebooks] to PCM bytes, chunk by chunk.

        `format` defaults to 16 bit at the codec's rate; `num_samples` at the codec's rate cuts
        the end, 0 cuts nothing. Raises a `csm.errors.ServiceError`.
        """
        if codes.nbytes > _MAX_CODE_BYTES:
            raise invalid(
                "frames", f"{codes.nbytes} bytes are too many; at most {_MAX_CODE_BYTES} in a call"
            )
        request = tokenizer_pb2.DecodeRequest(
            frames=frames.pack(codes),
            format=(format or AudioFormat()).to_proto(),
            num_samples=num_samples,
        )
        try:
            async for answer in self._stub.Decode(request, timeout=timeout_s):
                yield answer.audio
        except grpc.RpcError as error:
            raise from_status(error, self.target) from None

    async def close(self) -> None:
        """Closes the channel; calls under way end."""
        await self._channel.close(None)

    async def __aenter__(self) -> "AsyncTokenizerClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
