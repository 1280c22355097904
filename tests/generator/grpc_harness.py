"""The generator on a real gRPC server in the process, over the fake model or a directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2

from csm import channel, errors
from csm.audio import frames
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.v1 import common_pb2, generator_pb2, generator_pb2_grpc
from services.generator.engine.runner import Runner
from services.generator.loading import LoadedModel
from services.generator.main import build
from services.generator.model import hub
from services.generator.model.generation_config import GenerationDefaults
from services.generator.model.sampling import GREEDY
from services.generator.model.text import TextTokenizer
from services.generator.settings import GeneratorSettings
from services.model_directory import default_model_directory
from tests.generator.fake_model import FakeModel

TIMEOUT_S = 20.0
BOOKS = 4


@dataclass
class Heard:
    """One turn as the client saw it."""

    started: generator_pb2.GenerateStarted | None = None
    parts: list[np.ndarray] = field(default_factory=list)
    completed: generator_pb2.GenerateTurnCompleted | None = None

    @property
    def codes(self) -> np.ndarray:
        """All frames [F, K]."""
        return np.concatenate(self.parts) if self.parts else np.zeros((0, BOOKS), np.uint16)


class Stream:
    """One `Generate` call."""

    def __init__(self, call: Any, books: int = BOOKS) -> None:
        self.call, self._books = call, books
        self._next_frame = 0

    async def send(self, **fields: Any) -> None:
        await self.call.write(generator_pb2.GenerateRequest(**fields))

    async def config(self, **fields: Any) -> None:
        await self.send(config=generator_pb2.GenerateConfig(**fields))

    async def say(self, text: str, turn_id: str = "turn", **flush: Any) -> None:
        if text:
            await self.send(text=generator_pb2.GenerateText(text=text))
        await self.send(flush=generator_pb2.GenerateFlush(turn_id=turn_id, **flush))

    async def context(self, *segments: common_pb2.Segment, replace: bool = False) -> None:
        await self.send(segments=generator_pb2.GenerateSegments(segments=segments, replace=replace))

    async def read(self) -> generator_pb2.GenerateResponse | None:
        async with asyncio.timeout(TIMEOUT_S):
            response = await self.call.read()
        return None if response is grpc.aio.EOF else response  # type: ignore[attr-defined]

    async def turn(self, *, frames_only: int | None = None) -> Heard:
        """Reads up to the terminal, or up to so many further frames."""
        heard = Heard()
        while response := await self.read():
            if response.HasField("started"):
                heard.started = response.started
                self._next_frame = 0
            elif response.HasField("frames"):
                packed = response.frames.frames
                assert packed.first_frame == self._next_frame
                self._next_frame += packed.num_frames
                got = frames.unpack(packed, num_codebooks=self._books, codebook_size=1 << 16)
                heard.parts.append(got)
                if frames_only is not None and len(heard.codes) >= frames_only:
                    return heard
            else:
                heard.completed = response.turn_completed
                return heard
        raise EOFError("the stream ended before the turn did")

    async def end(self) -> None:
        """Half-closes and checks that nothing more comes and the status is OK."""
        await self.call.done_writing()
        assert await self.read() is None
        assert await self.call.code() is grpc.StatusCode.OK

    async def error(self) -> Failure:
        """The status that ends the stream, whatever came before it."""
        try:
            while await self.read() is not None:
                pass
        except grpc.aio.AioRpcError as error:
            return Failure(error)
        raise AssertionError(f"the stream ended with {await self.call.code()}")


class Failure:
    """A status and its details."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code, self.message = error.code(), error.details() or ""
        self.details = errors.rpc_error_details(error)

    @property
    def violations(self) -> dict[str, str]:
        return {
            violation.field: violation.description
            for detail in self.details
            if isinstance(detail, error_details_pb2.BadRequest)
            for violation in detail.field_violations
        }

    @property
    def retry_s(self) -> float | None:
        for detail in self.details:
            if isinstance(detail, error_details_pb2.RetryInfo):
                return detail.retry_delay.ToMilliseconds() / 1000
        return None


class Serving:
    """A running server and a channel to it."""

    def __init__(self, host: Host, metrics: Metrics, channel: grpc.aio.Channel) -> None:
        self.host, self.metrics = host, metrics
        self.service: Any = host.service
        self.stub = generator_pb2_grpc.GeneratorServiceStub(channel)
        self.books = BOOKS

    def stream(self, **options: Any) -> Stream:
        return Stream(self.stub.Generate(**options), self.books)

    async def open(self, **config: Any) -> Stream:
        stream = self.stream()
        await stream.config(**config)
        return stream

    async def speak(self, text: str, **config: Any) -> Heard:
        stream = await self.open(**config)
        await stream.say(text)
        heard = await stream.turn()
        await stream.end()
        return heard

    async def positions(self, *texts: str, speaker: int = 0) -> list[int]:
        request = generator_pb2.CountPositionsRequest(texts=texts, speaker=speaker)
        return list((await self.stub.CountPositions(request)).positions)

    async def load(self) -> generator_pb2.GetLoadResponse:
        return await self.stub.GetLoad(generator_pb2.GetLoadRequest())

    def sample(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(f"csm_generator_{name}", labels)
        assert value is not None, name
        return value

    async def settled(self, condition: Any) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def empty(self) -> None:
        """Waits until no turn is left, and checks engine, streams and gauges."""
        engine = self.service.engine
        await self.settled(
            lambda: engine.in_flight == 0 and not self.service._streams and not engine.load.running
        )
        await self.settled(lambda: self.sample("requests_running") == 0)
        assert self.sample("requests_waiting") == self.sample("requests_parked") == 0


@asynccontextmanager
async def serving(fake: FakeModel | None = None, **settings: Any) -> AsyncIterator[Serving]:
    """The service over the fake (greedy, 10 frames a turn); with `model` among the settings, over
    the model directory of that path."""
    fake = fake or (None if "model" in settings else FakeModel())
    values: dict[str, Any] = {"port": 0, "metrics_port": None, "drain_finish_s": 5, **settings}
    if fake:
        values = {"slots": 2, "prefill_chunk": 16, "max_queue": 2, **values}
    loaded_settings = GeneratorSettings(**values)
    metrics = Metrics()
    service = build(loaded_settings, metrics)
    if fake:
        directory = default_model_directory()
        loaded = LoadedModel(
            name="fake",
            model=fake,  # type: ignore[arg-type]
            tokenizer=TextTokenizer.from_directory(directory),
            defaults=GenerationDefaults(GREEDY, 10),
            description=hub.describe(directory),
            max_context_segments=None,
            characters="abc",
        )
        positions = loaded_settings.max_positions or fake.config.backbone.max_positions
        runner = Runner(fake, loaded_settings.slots, positions, loaded_settings.prefill_chunk)
        service._load = lambda: (loaded, runner)  # type: ignore[method-assign]
    host = Host(service, loaded_settings, metrics)
    await host.start()
    if fake:
        # What the warm-up did is no part of a test.
        fake.prefilled.clear()
        fake.steps = 0
    try:
        async with channel.open_async(host.address) as opened:
            stack = Serving(host, metrics, opened)
            stack.books = service.loaded.model.config.num_codebooks
            yield stack
    finally:
        if fake:
            for gate in fake.gates.values():
                gate.open()
        await host.stop(finish_s=0)


def segment(
    text: str = "", codes: np.ndarray | None = None, *, speaker: int = 0, pinned: bool = False
) -> common_pb2.Segment:
    """A segment as a message."""
    packed = None if codes is None else frames.pack(codes)
    return common_pb2.Segment(speaker=speaker, text=text, frames=packed, pinned=pinned)
