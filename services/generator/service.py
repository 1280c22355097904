"""The generator as a service: load, warm up, serve, drain, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import grpc

from csm import errors
from csm.serving.metrics import GeneratorMetrics, Metrics
from csm.v1 import generator_pb2, generator_pb2_grpc
from services.generator import bounds, loading, messages
from services.generator.access import RPCS
from services.generator.context import ContextLimits
from services.generator.engine.engine import Engine
from services.generator.engine.events import FinishReason
from services.generator.engine.runner import Runner
from services.generator.generate_stream import GenerateStream
from services.generator.left_out import LeftOut
from services.generator.loading import LoadedModel
from services.generator.model import hub
from services.generator.model.prompt import PromptSegment, segment_frames
from services.generator.pace import measure
from services.generator.servicer import GeneratorServicer
from services.generator.settings import GeneratorSettings
from services.generator.step_time import StepError
from services.generator.telemetry import Telemetry
from services.generator.turns import StreamConfig

log = logging.getLogger(__name__)

IDLE_S = 3.0
"""How long a stream may be without a turn in a drain: a sentence may wait for its words."""
TERMINALS_S = 2.0
"""How long the last terminals may take to reach their clients."""


class GeneratorService:
    """What a host runs; see `csm.serving.service.Service`."""

    name = "csm.v1.GeneratorService"
    access = RPCS

    def __init__(self, settings: GeneratorSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = GeneratorMetrics(metrics.registry)
        self._telemetry = Telemetry(self._metrics)
        self._streams: set[GenerateStream] = set()
        self._left_out = LeftOut()
        self._all_closed = asyncio.Event()
        self._draining = False
        self._loaded: LoadedModel | None = None
        self._engine: Engine | None = None

    @property
    def loaded(self) -> LoadedModel:
        """The model; there is none before `start`."""
        if self._loaded is None:
            raise errors.Unavailable("the model is still loading")
        return self._loaded

    @property
    def engine(self) -> Engine:
        """The engine; there is none before `start`."""
        if self._engine is None:
            raise errors.Unavailable("the model is still loading")
        return self._engine

    async def start(self) -> None:
        """Loads the model, starts the engine and warms it up.

        Raises:
            FailedPrecondition: the model directory or a setting cannot be used; says why.
        """
        settings = self.settings
        # Loading and allocating take seconds; the loop must answer liveness meanwhile.
        loaded, runner = await asyncio.to_thread(self._load)
        self._loaded = loaded
        engine = Engine(
            runner,
            max_queue=settings.max_queue,
            stall_s=settings.max_stall_s,
            stall_slot_s=settings.stall_slot_s,
            reservation_idle_s=settings.reservation_idle_s,
            observer=self._telemetry,
            prepare=self._use_threads,
        )
        engine.start()
        self._engine = engine
        try:
            await self._warm_up()
        except BaseException:
            # A host stops only what has started.
            await engine.stop()
            raise
        self._metrics.model_info.labels(
            loaded.name, loaded.dtype_name, str(loaded.model.device)
        ).set(1)
        self._telemetry.begin(engine)
        log.info(
            "%s in %s on %s: %d slots of %d positions, %.0f MiB of KV cache",
            loaded.name,
            loaded.dtype_name,
            loaded.model.device,
            settings.slots,
            engine.max_positions,
            runner.cache.nbytes / 2**20,
        )

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer."""
        generator_pb2_grpc.add_GeneratorServiceServicer_to_server(GeneratorServicer(self), server)

    def alive(self) -> bool:
        """Whether the engine goes round. A full queue or a client that is slow never fails it."""
        return self._engine is None or self._engine.alive(self.settings.stuck_after_s)

    def memory_bytes(self) -> dict[str, int]:
        """What the model and its cache take of the host's memory, by part; asked before `start`."""
        try:
            description = hub.describe(self.settings.model)
        except (ValueError, OSError):
            # `start` says what is wrong with it.
            return {}
        return bounds.memory_bytes(description, self.settings)

    async def drain(self, finish_s: float) -> None:
        """Lets streams finish for `finish_s` seconds, with the turns that they still begin; what
        is left then ends with SHUTDOWN."""
        if self._engine is None:
            return
        self._draining = True
        for stream in list(self._streams):
            stream.shut_down(IDLE_S)
        await self._streams_over(finish_s)
        self._engine.drain()
        self._engine.end_all(FinishReason.SHUTDOWN)
        for stream in list(self._streams):
            stream.shut_down(0.0)
        await self._streams_over(TERMINALS_S)

    async def stop(self) -> None:
        """Ends the engine's thread."""
        if self._engine is not None:
            await self._engine.stop()

    def open(self, config: StreamConfig) -> GenerateStream:
        """A new stream."""
        if self._draining:
            self._metrics.rejected.labels("draining").inc()
            raise errors.Unavailable("the service is shutting down")
        config_limits = self.wire_limits
        limits = ContextLimits(
            max_positions=config_limits.max_positions,
            num_codebooks=config_limits.num_codebooks,
            max_text_chars=self.settings.max_text_chars,
            max_context_segments=self.loaded.max_context_segments,
        )
        stream = GenerateStream(
            self.engine,
            self.loaded.tokenizer,
            limits,
            self._metrics,
            config,
            left_out=self._left_out,
            max_idle_s=self.settings.max_idle_s,
        )
        self._streams.add(stream)
        return stream

    def close(self, stream: GenerateStream, *, deadline_passed: bool) -> None:
        """The stream is over."""
        stream.close(deadline_passed=deadline_passed)
        self._streams.discard(stream)
        if not self._streams:
            self._all_closed.set()

    def stream_config(self, message: generator_pb2.GenerateConfig) -> StreamConfig:
        """The config of a stream over this model's defaults."""
        sampling = self.loaded.defaults.sampling
        return messages.stream_config(message, self.wire_limits, sampling, self.default_max_frames)

    @property
    def default_max_frames(self) -> int:
        """Longest turn where none is asked for: the setting's, else the model's own."""
        if (given_ms := self.settings.max_audio_ms) is not None:
            return messages.frames_within(given_ms, self.loaded.frame_ms)
        return self.loaded.defaults.max_frames

    @property
    def wire_limits(self) -> messages.WireLimits:
        """What the wire must hold to with this model."""
        loaded, config = self.loaded, self.loaded.model.config
        return messages.WireLimits(
            config.num_codebooks,
            config.codebook_size,
            self.engine.max_positions,
            loaded.frame_ms,
            loaded.voices,
        )

    async def evict(self, conversation_id: str) -> bool:
        """Frees the slot of an idle conversation."""
        return await self.engine.evict(GenerateStream.owner_of(conversation_id))

    def _load(self) -> tuple[LoadedModel, Runner]:
        settings = self.settings
        loaded = loading.load_for(settings)
        most = loaded.model.config.backbone.max_positions
        if settings.max_positions > most:
            raise errors.FailedPrecondition(
                f"max_positions: {settings.max_positions} is not allowed; the model has {most}"
            )
        positions = settings.max_positions or most
        return loaded, Runner(loaded.model, settings.slots, positions, settings.prefill_chunk)

    def _use_threads(self) -> None:
        loading.use_threads(self.loaded, self.settings.threads)

    async def _warm_up(self) -> None:
        """A few frames through the whole engine: first calls allocate, tune and compile. Says what
        cannot be in real time here."""
        began = time.monotonic()
        loaded, settings = self.loaded, self.settings
        prompt = segment_frames(
            PromptSegment(0, "hello."), loaded.tokenizer, loaded.model.config.num_codebooks
        )
        sampling = loaded.defaults.sampling
        try:
            pace = await measure(self.engine, prompt, sampling, loaded.frame_ms, settings.slots)
        except StepError as error:
            raise errors.FailedPrecondition(
                f"model: {settings.model} failed its warm-up: {error}"
            ) from error
        log.info("warmed up in %.2f s", time.monotonic() - began)
        threads = loading.threads_for(loaded.description.parameters, settings.threads)
        device = loaded.model.device.type
        if warning := pace.warning(loaded.dtype_name, threads, device):
            log.warning("%s", warning)

    async def _streams_over(self, within_s: float) -> None:
        self._all_closed.clear()
        if self._streams:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), within_s)
