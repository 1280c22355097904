"""The tokenizer and the generator: channels, what they are, and whether they answer."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc

from csm import errors
from csm.serving.calls.outgoing import OutgoingCall
from csm.serving.metrics import Metrics
from csm.serving.process.supervise import supervise
from csm.v1 import generator_pb2, generator_pb2_grpc, tokenizer_pb2, tokenizer_pb2_grpc
from gateway.backends.affinity import affinity, generator_key
from gateway.backends.backend import Backend
from gateway.backends.backend_tls import BackendTls
from gateway.backends.credential import BackendCredential
from gateway.backends.failure import BackendFailure
from gateway.settings import GatewaySettings
from gateway.speaking.fate import Source

log = logging.getLogger(__name__)

INFO_TIMEOUT_S = 5.0
LOAD_TIMEOUT_S = 0.8
PROBE_TIMEOUT_S = 0.3
STALE_HEARTBEAT_MS = 5_000
"""An engine's loop beats twice a second when idle and once a step otherwise."""
ROUTES = 64
ROUTES_AT_ONCE = 8
"""Of a ring's places that are asked. Each is another generator by chance alone: of two generators,
one of which hangs, seven places are all the hanging one's in one conversation of 128."""
MAX_ROUTED = 4096


@dataclass(frozen=True)
class Info:
    """What both backends said of themselves."""

    tokenizer: tokenizer_pb2.GetTokenizerInfoResponse
    generator: generator_pb2.GetModelInfoResponse

    @property
    def frame_ms(self) -> float:
        """Milliseconds of a frame, 80 for Mimi."""
        return 1000 / self.tokenizer.frame_rate_hz

    def mismatch(self) -> str:
        """Why the two cannot work together; empty if they can."""
        theirs = (self.generator.num_codebooks, self.generator.codebook_size)
        ours = (self.tokenizer.num_codebooks, self.tokenizer.codebook_size)
        if theirs != ours:
            return (
                f"the generator makes {theirs[0]} codes of {theirs[1]}, "
                f"the tokenizer takes {ours[0]} of {ours[1]}"
            )
        return ""


class GeneratorState(Enum):
    """What a generator that has not answered a turn is doing."""

    ANSWERS = "answers"
    FULL = "full"
    """All its slots run: the turn waits its time."""
    HANGS = "hangs"


class Backends:
    """Both of them."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics) -> None:
        self._credential = credential = BackendCredential(settings.backend_token_file)

        def to_tokenizer(channel: grpc.aio.Channel) -> Any:
            return credential.on(tokenizer_pb2_grpc.TokenizerServiceStub(channel))

        def to_generator(channel: grpc.aio.Channel) -> Any:
            return credential.on(generator_pb2_grpc.GeneratorServiceStub(channel))

        def tokenizer_info(channel: grpc.aio.Channel) -> Callable[[], Any]:
            stub = to_tokenizer(channel)
            request = tokenizer_pb2.GetTokenizerInfoRequest()
            return lambda: stub.GetTokenizerInfo(request, timeout=INFO_TIMEOUT_S)

        def model_info(channel: grpc.aio.Channel) -> Callable[[], Any]:
            stub = to_generator(channel)
            request = generator_pb2.GetModelInfoRequest()
            return lambda: stub.GetModelInfo(request, timeout=INFO_TIMEOUT_S)

        tls = BackendTls(settings)
        if tls.expires_unix_s:
            expiry = metrics.server.certificate_expiry.labels("csm.v1.SpeechService", "client")
            expiry.set_function(lambda: tls.expires_unix_s)
        self._tokenizer = Backend(
            "tokenizer",
            settings.tokenizer_target,
            settings.tokenizer_load_balancing,
            tokenizer_info,
            settings,
            tls,
            to_tokenizer,
        )
        self._generator = Backend(
            "generator",
            settings.generator_target,
            settings.generator_load_balancing,
            model_info,
            settings,
            tls,
            to_generator,
        )
        self._failover_s = settings.failover_s
        self._codec = ""
        self._last: Info | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._routes: dict[str, int] = {}
        self._metrics = metrics

    async def start(self) -> None:
        """Watches both; returns when both have answered and fit each other."""
        self._watchers = [
            asyncio.create_task(supervise(b.name, b.watch, self._metrics), name=f"watch {b.name}")
            for b in (self._tokenizer, self._generator)
        ]
        self._watchers.append(
            asyncio.create_task(supervise("credential", self._credential.follow, self._metrics))
        )
        await self.settle()

    async def settle(self) -> None:
        """Returns when both answer and fit each other; from then on the codec is to be this one.

        For a gateway that keeps no codes yet. Raises ValueError where they do not fit.
        """
        self._codec = ""
        while not self.ready():
            for backend in (self._tokenizer, self._generator):
                if backend.info is None:
                    log.info(
                        "waiting for the %s at %s%s",
                        backend.name,
                        backend.target,
                        f" ({backend.problem})" if backend.problem else "",
                    )
                await backend.answered(5.0)
            info = self._current()
            if info is not None and (problem := self._problem(info)):
                raise ValueError(problem)
        self._codec = self.info.tokenizer.digest

    async def stop(self) -> None:
        """Stops watching and closes the channels."""
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(self._tokenizer.close(), self._generator.close())

    @property
    def tokenizer(self) -> tokenizer_pb2_grpc.TokenizerServiceStub:
        """A stub of TokenizerService, as it is reached now."""
        stub: tokenizer_pb2_grpc.TokenizerServiceStub = self._tokenizer.stub
        return stub

    @property
    def generator(self) -> generator_pb2_grpc.GeneratorServiceStub:
        """A stub of GeneratorService, as it is reached now."""
        stub: generator_pb2_grpc.GeneratorServiceStub = self._generator.stub
        return stub

    def ready(self) -> bool:
        """Whether both answer, and still fit each other and the codes that we keep."""
        info = self._current()
        return info is not None and not self._problem(info)

    def waits_for(self) -> str:
        """Who does not answer or does not fit, for people; empty where both are ready."""
        silent = [f"the {one.name}" for one in (self._tokenizer, self._generator) if not one.info]
        info = self._current()
        if silent or info is None:
            return " and ".join(silent)
        problem = self._problem(info)
        return f"backends that fit ({problem})" if problem else ""

    @property
    def info(self) -> Info:
        """What the backends are; what they last were while one is gone.

        Raises `Unavailable` where they never answered or no longer fit.
        """
        info = self._current() or self._last
        if info is None:
            raise errors.Unavailable("the tokenizer and the generator have not answered yet")
        if problem := self._problem(info):
            raise errors.Unavailable(problem)
        return info

    async def recovered(self, source: Source, key: str = "", route: int = 0) -> int:
        """After a failed call: returns when a backend answers, or after `failover_s`.

        Gives the route to take for `key` (see `GenerationOptions`): that of a generator which
        answers, another one than `route` where there is one.
        """
        deadline = time.monotonic() + self._failover_s
        step = 1
        while (left_s := deadline - time.monotonic()) > 0:
            timeout_s = min(PROBE_TIMEOUT_S, left_s)
            if source is Source.TOKENIZER:
                if await self._answers(source, key, route, timeout_s):
                    return route
            else:
                steps = range(step, step + ROUTES_AT_ONCE)
                others = [(route + one) % ROUTES for one in steps if one % ROUTES]
                if (found := await self._first_that_answers(key, others, timeout_s)) is not None:
                    self._remember(key, found)
                    return found
                step += ROUTES_AT_ONCE
            await asyncio.sleep(min(0.1, max(0.0, deadline - time.monotonic())))
        return route

    def route_of(self, key: str) -> int:
        """The route that the key took last."""
        return self._routes.get(key, 0)

    async def generator_state(self, key: str, route: int) -> GeneratorState:
        """What the generator behind a key's route says of itself."""
        return await self._state(key, route, LOAD_TIMEOUT_S)

    async def _state(self, key: str, route: int, timeout_s: float) -> GeneratorState:
        request = generator_pb2.GetLoadRequest()
        metadata = affinity(key, route)
        try:
            load = await self.generator.GetLoad(request, metadata=metadata, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED):
                return GeneratorState.ANSWERS
            return GeneratorState.HANGS
        if load.heartbeat_age_ms > STALE_HEARTBEAT_MS:
            return GeneratorState.HANGS
        full = load.slots > 0 and load.running >= load.slots
        return GeneratorState.FULL if full else GeneratorState.ANSWERS

    async def _first_that_answers(
        self, key: str, routes: Sequence[int], timeout_s: float
    ) -> int | None:
        async def ask(route: int) -> int | None:
            answers = await self._answers(Source.GENERATOR, key, route, timeout_s)
            return route if answers else None

        asked = [asyncio.create_task(ask(route)) for route in routes]
        try:
            for answer in asyncio.as_completed(asked):
                if (route := await answer) is not None:
                    return route
            return None
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _answers(self, source: Source, key: str, route: int, timeout_s: float) -> bool:
        if source is not Source.TOKENIZER:
            # One whose engine stands still answers everything else.
            return await self._state(key, route, timeout_s) is not GeneratorState.HANGS
        try:
            request = tokenizer_pb2.GetTokenizerInfoRequest()
            await self.tokenizer.GetTokenizerInfo(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return True

    def _remember(self, key: str, route: int) -> None:
        if not key:
            return
        self._routes.pop(key, None)
        if route:
            self._routes[key] = route
        while len(self._routes) > MAX_ROUTED:
            self._routes.pop(next(iter(self._routes)))

    async def count_positions(self, speaker: int, texts: Sequence[str]) -> list[int]:
        """Positions that each text takes in the model's context. Raises `ServiceError`."""
        if not texts:
            return []
        request = generator_pb2.CountPositionsRequest(texts=texts, speaker=speaker)
        with OutgoingCall("csm.v1.GeneratorService/CountPositions") as outgoing:
            try:
                counted = await self.generator.CountPositions(
                    request, timeout=INFO_TIMEOUT_S, metadata=outgoing.metadata
                )
            except grpc.aio.AioRpcError as error:
                raise BackendFailure.of(Source.GENERATOR, error).error from None
        return list(counted.positions)

    async def forget(self, conversation_id: str, *, owner: str) -> None:
        """Has the generator free a conversation's slot; that it cannot is no failure."""
        key = generator_key(owner, conversation_id)
        with (
            contextlib.suppress(grpc.aio.AioRpcError),
            OutgoingCall("csm.v1.GeneratorService/EvictConversation") as outgoing,
        ):
            await self.generator.EvictConversation(
                generator_pb2.EvictConversationRequest(conversation_id=key),
                metadata=(*affinity(key, self.route_of(key)), *outgoing.metadata),
                timeout=1.0,
            )

    def _current(self) -> Info | None:
        tokenizer, generator = self._tokenizer.info, self._generator.info
        if tokenizer is None or generator is None:
            return None
        last = self._last
        if last is None or last.tokenizer is not tokenizer or last.generator is not generator:
            self._last = Info(tokenizer, generator)
        return self._last

    def _problem(self, info: Info) -> str:
        if problem := info.mismatch():
            return problem
        if self._codec and info.tokenizer.digest != self._codec:
            return (
                "the tokenizer's codec has changed, so the codes kept here mean nothing to it; "
                "restart the gateway"
            )
        return ""
