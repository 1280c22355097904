"""TokenizerService on the wire: messages in, messages out, no logic."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from grpc.aio import ServicerContext

from csm.audio.frames import pack
from csm.errors import invalid
from csm.serving.calls.record import current_call
from csm.v1 import tokenizer_pb2, tokenizer_pb2_grpc
from services.tokenizer import messages
from services.tokenizer.codec import MimiConfig
from services.tokenizer.decoding import Decoder
from services.tokenizer.encoding import Encoder, EncodingSummary
from services.tokenizer.settings import TokenizerSettings

# A whole decoding is handed to the codec in blocks, so that its queue stays short.
_BLOCK_FRAMES = 64


@dataclass(frozen=True)
class CodecInfo:
    """What the codec is."""

    model: str
    """Name of its model directory."""
    config: MimiConfig
    """Its shape."""
    digest: str
    """SHA-256 of its weights, hexadecimal."""
    device: str
    """Where it runs."""
    dtype: str
    """What it decodes in."""


class Tokenizer(Protocol):
    """What the RPCs need of the service."""

    settings: TokenizerSettings

    @property
    def info(self) -> CodecInfo:
        """What the codec is. Raises `Unavailable` while it loads, as the two below do."""

    @property
    def encoder(self) -> Encoder:
        """Audio to frames."""

    @property
    def decoder(self) -> Decoder:
        """Frames to audio."""


class TokenizerServicer(tokenizer_pb2_grpc.TokenizerServiceServicer):
    """The RPCs of the wire over a `Tokenizer`."""

    def __init__(self, service: Tokenizer) -> None:
        self._service = service
        self._max_idle_s = service.settings.max_idle_s

    async def Encode(
        self,
        request_iterator: AsyncIterator[tokenizer_pb2.EncodeRequest],
        context: ServicerContext,
    ) -> tokenizer_pb2.EncodeResponse:
        config = await messages.first_config(request_iterator)
        codes, encoded = await self._service.encoder.recording(
            config.format,
            messages.audio_chunks(request_iterator, self._max_idle_s),
            config.max_samples,
            config.mend,
        )
        current_call().num_frames = len(codes)
        return tokenizer_pb2.EncodeResponse(
            frames=pack(codes),
            num_samples=encoded.num_samples,
            sample_rate_hz=self._service.info.config.sampling_rate_hz,
            warnings=messages.recording_warnings(encoded.warnings),
        )

    async def Decode(
        self, request: tokenizer_pb2.DecodeRequest, context: ServicerContext
    ) -> AsyncGenerator[tokenizer_pb2.DecodeResponse, None]:
        service = self._service
        service.decoder.check_length(request.frames.num_frames, "frames.num_frames")
        codes = messages.codes_of(request.frames, service.info.config)
        most = len(codes) * service.info.config.frame_samples
        if request.num_samples > most:
            raise invalid(
                "num_samples", f"{request.num_samples} is more than the frames' {most} samples"
            )
        chunks = service.decoder.decode(
            messages.one_by_one(codes, _BLOCK_FRAMES),
            service.decoder.writer(request.format, "format"),
            request.num_samples or None,
        )
        record = current_call()
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                record.num_frames = chunk.num_frames
                yield tokenizer_pb2.DecodeResponse(
                    audio=chunk.audio, first_sample=chunk.first_sample
                )

    async def StreamingEncode(
        self,
        request_iterator: AsyncIterator[tokenizer_pb2.StreamingEncodeRequest],
        context: ServicerContext,
    ) -> AsyncGenerator[tokenizer_pb2.StreamingEncodeResponse, None]:
        config = await messages.first_config(request_iterator)
        if config.mend:
            raise invalid("config.mend", "is for files; live audio is encoded as it comes")
        outputs = self._service.encoder.live(
            config.format,
            messages.audio_chunks(request_iterator, self._max_idle_s),
            config.max_samples,
        )
        first_frame, record = 0, current_call()
        async with contextlib.aclosing(outputs):
            async for output in outputs:
                if isinstance(output, EncodingSummary):
                    yield tokenizer_pb2.StreamingEncodeResponse(
                        completed=tokenizer_pb2.StreamingEncodeCompleted(
                            num_samples=output.num_samples, num_frames=output.num_frames
                        )
                    )
                else:
                    yield tokenizer_pb2.StreamingEncodeResponse(frames=pack(output, first_frame))
                    record.num_frames = first_frame = first_frame + len(output)

    async def StreamingDecode(
        self,
        request_iterator: AsyncIterator[tokenizer_pb2.StreamingDecodeRequest],
        context: ServicerContext,
    ) -> AsyncGenerator[tokenizer_pb2.StreamingDecodeResponse, None]:
        config = await messages.first_config(request_iterator)
        service = self._service
        chunks = service.decoder.decode(
            messages.frame_blocks(request_iterator, service.info.config, self._max_idle_s),
            service.decoder.writer(config.format, "config.format"),
        )
        record = current_call()
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                record.num_frames = chunk.num_frames
                yield tokenizer_pb2.StreamingDecodeResponse(
                    audio=chunk.audio,
                    first_sample=chunk.first_sample,
                    num_frames=chunk.num_frames,
                )

    async def GetTokenizerInfo(
        self, request: tokenizer_pb2.GetTokenizerInfoRequest, context: ServicerContext
    ) -> tokenizer_pb2.GetTokenizerInfoResponse:
        info, settings = self._service.info, self._service.settings
        return tokenizer_pb2.GetTokenizerInfoResponse(
            model=info.model,
            sample_rate_hz=info.config.sampling_rate_hz,
            frame_rate_hz=info.config.frame_rate_hz,
            frame_samples=info.config.frame_samples,
            num_codebooks=info.config.num_codebooks,
            codebook_size=info.config.codebook_size,
            max_streams=settings.max_streams,
            max_audio_ms=int(settings.max_audio_s * 1000),
            digest=info.digest,
            dtype=info.dtype,
            device=info.device,
        )
