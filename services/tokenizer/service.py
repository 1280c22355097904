"""The tokenizer as a service: load, warm up, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import grpc
import torch

from csm import errors
from csm.audio import frames
from csm.serving.metrics import Metrics, TokenizerMetrics
from csm.serving.process import cores
from csm.v1 import tokenizer_pb2_grpc
from services.native.build import NativeUnavailable
from services.tokenizer import bounds
from services.tokenizer.access import RPCS
from services.tokenizer.codec import MimiConfig, read_config
from services.tokenizer.decoding import DecodeLimits, Decoder
from services.tokenizer.encoding import EncodeLimits, Encoder, Threads
from services.tokenizer.loading import digest, load_codec
from services.tokenizer.native.directions import NativeDirection
from services.tokenizer.native.select import LARGE_PARAMETERS, directions, weights_for
from services.tokenizer.pool import CodecPool
from services.tokenizer.servicer import CodecInfo, TokenizerServicer
from services.tokenizer.settings import TokenizerSettings
from services.tokenizer.waiting import PoolLimits

log = logging.getLogger(__name__)

# A message of audio stays well below gRPC's limit, whatever the rate and the channels.
_MAX_CHUNK_BYTES = 1 << 20
_MESSAGE_OVERHEAD_BYTES = 1 << 10
_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class _Running:
    """What there is once the codec is loaded."""

    info: CodecInfo
    pool: CodecPool
    encoder: Encoder
    decoder: Decoder


class TokenizerService:
    """What a host runs; see `csm.serving.service.Service`."""

    name = "csm.v1.TokenizerService"
    access = RPCS

    def __init__(self, settings: TokenizerSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = TokenizerMetrics(metrics.registry)
        self._converters = Threads(ThreadPoolExecutor(2, "pcm"), ThreadPoolExecutor(2, "files"))
        self._loaded: _Running | None = None

    async def start(self) -> None:
        """Loads the codec, starts its worker and warms it up.

        Raises:
            FailedPrecondition: the model or a setting cannot be used; says why.
        """
        # Loading takes seconds; the loop must answer liveness meanwhile.
        loaded = await asyncio.to_thread(self._load)
        await loaded.pool.start()
        self._loaded = loaded
        log.info(
            "codec of %s on %s: %d codebooks of %d, %d streams each way",
            loaded.info.model,
            loaded.info.device,
            loaded.info.config.num_codebooks,
            loaded.info.config.codebook_size,
            self.settings.max_streams,
        )

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer."""
        tokenizer_pb2_grpc.add_TokenizerServiceServicer_to_server(TokenizerServicer(self), server)

    def alive(self) -> bool:
        """Whether the worker runs and is not stuck in a step."""
        return self._loaded is None or self._loaded.pool.alive(self.settings.stuck_after_s)

    def memory_bytes(self) -> dict[str, int]:
        """What the codec and its clients take of the host's memory, by part; asked before
        `start`."""
        try:
            config = read_config(self.settings.model)
        except (ValueError, OSError):
            # `start` says what is wrong with it.
            return {}
        return bounds.memory_bytes(config, self.settings)

    async def drain(self, finish_s: float) -> None:
        """Lets calls finish for `finish_s` seconds; the rest ends with UNAVAILABLE."""
        if self._loaded is not None:
            shutdown = errors.Unavailable("the service is shutting down")
            await self._loaded.pool.drain(finish_s, shutdown)

    async def stop(self) -> None:
        """Ends the worker's thread."""
        if self._loaded is not None:
            await self._loaded.pool.stop()
        for threads in (self._converters.pcm, self._converters.files):
            threads.shutdown(wait=False, cancel_futures=True)

    @property
    def info(self) -> CodecInfo:
        """What the codec is."""
        return self._running.info

    @property
    def encoder(self) -> Encoder:
        """Audio to frames."""
        return self._running.encoder

    @property
    def decoder(self) -> Decoder:
        """Frames to audio."""
        return self._running.decoder

    @property
    def pool(self) -> CodecPool:
        """The streams."""
        return self._running.pool

    @property
    def _running(self) -> _Running:
        if self._loaded is None:
            raise errors.Unavailable("the codec is still loading")
        return self._loaded

    def _load(self) -> _Running:
        settings, path = self.settings, self.settings.model
        mimi = load_codec(path, settings.device)
        config, parameter, weights_digest = mimi.config, next(mimi.parameters()), digest(mimi)
        self._check_limits(config)
        parameters = sum(p.numel() for p in mimi.parameters())
        threads = self._threads(parameters)
        weights = weights_for(parameters, settings.dtype)
        try:
            both = directions(mimi, settings.max_streams, settings.native, weights, threads=threads)
        except NativeUnavailable as error:
            raise errors.FailedPrecondition(
                f"native: {settings.native} cannot be had here: {error}"
            ) from error
        # The setting is of this thread, and of whichever one of the process first uses torch next.
        # A native codec has threads of its own, beside which torch's would only spin.
        native = isinstance(both[1], NativeDirection)
        info = CodecInfo(
            model=(path if path.is_dir() else path.parent).resolve().name,
            config=config,
            digest=weights_digest,
            device=str(parameter.device),
            # What decodes: the native codec packs weights of its own.
            dtype=_DTYPES[weights] if native else str(parameter.dtype).removeprefix("torch."),
        )
        use_threads = partial(torch.set_num_threads, 1 if native else threads)
        waits = PoolLimits(
            settings.stream_wait_s,
            settings.decode_wait_s,
            settings.max_waiting_streams,
            settings.max_idle_s,
        )
        pool = CodecPool(both, config.frame_rate_hz, self._metrics, waits, use_threads)
        encode = EncodeLimits(
            settings.max_audio_s, settings.max_file_bytes, settings.max_files_bytes
        )
        chunk_bytes = min(_MAX_CHUNK_BYTES, settings.max_message_bytes - _MESSAGE_OVERHEAD_BYTES)
        decode = DecodeLimits(int(settings.max_audio_s * config.frame_rate_hz), chunk_bytes)
        return _Running(
            info,
            pool,
            Encoder(pool, config, encode, self._converters, self._metrics),
            Decoder(pool, config, decode, self._metrics),
        )

    def _check_limits(self, config: MimiConfig) -> None:
        """All frames of the longest recording travel in one message."""
        longest_bytes = (
            config.num_frames(int(self.settings.max_audio_s * config.sampling_rate_hz))
            * config.num_codebooks
            * frames.WIRE_DTYPE.itemsize
        )
        room = self.settings.max_message_bytes - _MESSAGE_OVERHEAD_BYTES
        if longest_bytes > room:
            raise errors.FailedPrecondition(
                f"max_audio_s: the frames of {self.settings.max_audio_s:g} s take {longest_bytes} "
                f"bytes; max_message_bytes has room for {room}"
            )

    def _threads(self, parameters: int) -> int:
        large = parameters >= LARGE_PARAMETERS
        return cores.threads_for(self.settings.threads, large=large, most=torch.get_num_threads())
