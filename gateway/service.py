"""The gateway as a service: waits for its backends, speaks, drains."""

import asyncio
import logging

import grpc

from csm import errors
from csm.audio import opus
from csm.serving.metrics import GatewayMetrics, HttpMetrics, Metrics
from csm.serving.process.supervise import supervise
from csm.v1 import speech_pb2_grpc
from gateway.access import RPCS
from gateway.backends.backends import Backends
from gateway.conversations.stores import make_store
from gateway.http.server import HttpServer
from gateway.memory_bounds import memory_bytes
from gateway.servicer import SpeechServicer
from gateway.settings import GatewaySettings
from gateway.speech import SpeechHandler
from gateway.voices.created.stores import make_voice_store
from gateway.voices.library import check_default, check_files, load_voices
from gateway.voices.voices import Voices

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 30.0
LONGEST_WAIT_S = 10.0
"""Between two tries to load the voices."""


class GatewayService:
    """Implements `csm.serving.service.Service`."""

    name = "csm.v1.SpeechService"
    access = RPCS

    def __init__(self, settings: GatewaySettings, metrics: Metrics) -> None:
        """Call inside a running event loop: channels belong to it."""
        self._settings = settings
        self._metrics = metrics
        named = {name for one in settings.quota_metric_tenants.split(",") if (name := one.strip())}
        gateway_metrics = GatewayMetrics(metrics.registry, named)
        self.backends = Backends(settings, metrics)
        self.store = make_store(
            settings, gateway_metrics, lambda: self.backends.info.tokenizer.digest
        )
        self._voice_store = make_voice_store(settings, gateway_metrics)
        self._speech = SpeechHandler(
            settings,
            self.backends,
            Voices({}, ""),
            self.store,
            self._voice_store,
            gateway_metrics,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.door: HttpServer | None = None
        """The HTTP side; None: there is none."""
        if settings.http_port is not None:
            self.door = HttpServer(settings, self._speech, HttpMetrics(metrics.registry))

    async def prepare(self) -> None:
        """What needs no backend: the watermark, the stores, the files of the voices.

        Raises ValueError where a file or a setting is wrong, and names it.
        """
        # Before anything else: without it nothing may be said.
        await self._speech.sounds.load_watermark()
        await asyncio.to_thread(
            check_files, self._settings.voices_directory, self._settings.voice_aliases
        )
        await self.store.start()
        await self._voice_store.start()
        await self._speech.quotas.start()

    async def start(self) -> None:
        """Returns when both backends answer and the voices' prompts are encoded."""
        await self.backends.start()
        # Looks for the library of Opus now: no call waits while it is imported.
        await asyncio.to_thread(opus.problem)
        self._speech.take_voices(await self._load_voices())
        keeper = self._speech.keeper
        await keeper.look()
        check_default(self._speech.voices.of(""), self._settings.default_voice)
        await self._speech.sounds.measure(self._speech.voices.all())
        self._tasks = [
            asyncio.create_task(supervise("sweeper", self._sweep, self._metrics)),
            asyncio.create_task(supervise("voices", keeper.follow, self._metrics)),
        ]

    async def _load_voices(self) -> Voices:
        """The voices; waits and begins again where a backend is busy, late, or went away."""
        wait_s = self._settings.backend_retry_s
        while True:
            try:
                return await load_voices(
                    self.backends,
                    self._speech.encoder,
                    self._settings.voices_directory,
                    self._settings.default_voice,
                    self._settings.voice_aliases,
                )
            except errors.ServiceError as error:
                late = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
                if not (late or isinstance(error, errors.RetryableError)):
                    raise
                log.warning(
                    "the voices cannot be loaded yet, again in %g s: %s", wait_s, error.message
                )
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, max(LONGEST_WAIT_S, self._settings.backend_retry_s))
            await self.backends.settle()

    def register(self, server: grpc.aio.Server) -> None:
        """Adds SpeechService."""
        speech_pb2_grpc.add_SpeechServiceServicer_to_server(SpeechServicer(self._speech), server)

    def memory_bytes(self) -> dict[str, int]:
        """What the settings allow clients to have in memory here, in bytes by part."""
        return memory_bytes(self._settings)

    def alive(self) -> bool:
        """There is no worker thread: a loop that answers is alive."""
        return True

    def ready(self) -> bool:
        """Whether both backends answer and conversations can be opened; the host's readiness
        follows it."""
        return self.backends.ready() and self.store.ready()

    def waits_for(self) -> str:
        """Which of them it is, for people; empty where none."""
        return self.backends.waits_for() or ("" if self.store.ready() else "the store")

    async def drain(self, finish_s: float) -> None:
        """Lets turns finish; what is left gets its terminal SHUTDOWN."""
        await self._speech.drain(finish_s)

    async def stop(self) -> None:
        """Closes the channels."""
        self._speech.keeper.stop()
        self._speech.sounds.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._speech.encoder.recordings.close()
        await self._speech.quotas.stop()
        await self.store.stop()
        await self._voice_store.stop()
        await self.backends.stop()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            await self.store.sweep()
