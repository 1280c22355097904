"""A generator without a model: `csm.v1.GeneratorService` on the real wire, for load."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import grpc

from benchmarks.fleet.engine import FRAME_MS, SimulatedEngine
from csm import errors
from csm.v1 import common_pb2, generator_pb2, generator_pb2_grpc

NUM_CODEBOOKS = 32
CODEBOOK_SIZE = 2048
MAX_POSITIONS = 2048
CODES = bytes(range(1, 2 * NUM_CODEBOOKS, 2)).ljust(2 * NUM_CODEBOOKS, b"\x01")
"""Of every frame, as many bytes as CSM-1B's."""

EOS = common_pb2.FINISH_REASON_EOS
MAX_DURATION = common_pb2.FINISH_REASON_MAX_DURATION
CANCELLED = common_pb2.FINISH_REASON_CANCELLED


class SimulatedGenerator(generator_pb2_grpc.GeneratorServiceServicer):
    """One engine behind the wire."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self.engine = engine

    def register(self, server: grpc.aio.Server) -> None:
        """Adds GeneratorService."""
        generator_pb2_grpc.add_GeneratorServiceServicer_to_server(self, server)

    async def GetModelInfo(self, request: Any, context: Any) -> Any:
        return generator_pb2.GetModelInfoResponse(
            model="simulated",
            num_codebooks=NUM_CODEBOOKS,
            codebook_size=CODEBOOK_SIZE,
            max_positions=MAX_POSITIONS,
            slots=self.engine.options.slots,
            dtype="none",
            device="none",
            digest="51",
            max_text_chars=4096,
            default_max_audio_ms=600_000,
        )

    async def CountPositions(self, request: Any, context: Any) -> Any:
        counts = [
            len(text) // 3 + 2 if any(map(str.isalnum, text)) else 0 for text in request.texts
        ]
        return generator_pb2.CountPositionsResponse(positions=counts)

    async def GetLoad(self, request: Any, context: Any) -> Any:
        engine = self.engine
        return generator_pb2.GetLoadResponse(
            slots=engine.options.slots,
            running=engine.running,
            waiting=engine.waiting,
            max_queue=engine.options.max_queue,
        )

    async def EvictConversation(self, request: Any, context: Any) -> Any:
        return generator_pb2.EvictConversationResponse(evicted=False)

    async def Generate(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        stream = _Stream(self.engine)
        reader = asyncio.create_task(stream.read(request_iterator))
        try:
            async for answer in stream.answers():
                yield answer
        except errors.ServiceError as error:
            await context.abort(
                error.code,
                error.message,
                (("grpc-status-details-bin", errors.status_details(error)),),
            )
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader


class _Stream:
    """One Generate call: sentences in, frames out, one slot for all of them."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self._config = generator_pb2.GenerateConfig()
        self._credit = 0
        self._sent = 0
        self._text = ""
        self._context_frames = 0
        self._flushes: deque[tuple[generator_pb2.GenerateFlush, str]] = deque()
        self._cancelled: set[str] = set()
        self._closed = False
        self._wake = asyncio.Event()

    async def read(self, requests: AsyncIterator[Any]) -> None:
        """Takes in what the gateway says, until it half-closes."""
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "config":
                self._config = request.config
                self._credit = request.config.initial_credit_frames
            elif kind == "segments":
                if request.segments.replace:
                    self._context_frames = 0
                self._context_frames += sum(s.frames.num_frames for s in request.segments.segments)
            elif kind == "text":
                self._text += request.text.text
            elif kind == "flush":
                self._flushes.append((request.flush, self._text))
                self._text = ""
            elif kind == "cancel":
                self._cancelled.add(request.cancel.turn_id)
            elif kind == "credit":
                self._credit += request.credit.frames
            self._wake.set()
        self._closed = True
        self._wake.set()

    async def answers(self) -> AsyncIterator[Any]:
        """Of all sentences in order. Raises `ServiceError`."""
        has_slot = False
        try:
            while True:
                while not self._flushes:
                    if self._closed:
                        return
                    await self._news()
                if not has_slot:
                    await self._engine.enter()
                    has_slot = True
                async for answer in self._turn(*self._flushes.popleft()):
                    yield answer
        finally:
            if has_slot:
                self._engine.leave()

    async def _turn(self, flush: generator_pb2.GenerateFlush, text: str) -> AsyncIterator[Any]:
        turn_id, engine = flush.turn_id, self._engine
        seed = flush.seed if flush.HasField("seed") else self._config.sampling.seed
        started = generator_pb2.GenerateStarted(turn_id=turn_id, seed=seed)
        yield generator_pb2.GenerateResponse(started=started)
        begun = made = flush.begun.num_frames
        wanted, reason = engine.num_frames(text), EOS
        limit = (flush.max_audio_ms or self._config.max_audio_ms) // FRAME_MS
        if 0 < limit <= wanted:
            wanted, reason = limit, MAX_DURATION
        fails_at = engine.fails_at(wanted)
        while made < wanted:
            if turn_id in self._cancelled:
                reason = CANCELLED
                break
            if self._config.initial_credit_frames and self._sent >= self._credit:
                await self._news()
                continue
            await engine.step()
            if made >= fails_at:
                raise errors.Unavailable("the simulated generator was told to fail")
            frames = common_pb2.TokenFrames(
                codes=CODES, num_frames=1, num_codebooks=NUM_CODEBOOKS, first_frame=made
            )
            yield generator_pb2.GenerateResponse(
                frames=generator_pb2.GenerateFrames(turn_id=turn_id, frames=frames)
            )
            made += 1
            self._sent += 1
            engine.frames += 1
        usage = common_pb2.Usage(
            text_tokens=len(text) // 3,
            prompt_frames=self._context_frames,
            reused_frames=self._context_frames,
            generated_frames=made - begun,
            audio_ms=(made - begun) * FRAME_MS,
        )
        completed = generator_pb2.GenerateTurnCompleted(
            turn_id=turn_id, finish_reason=reason, usage=usage
        )
        yield generator_pb2.GenerateResponse(turn_completed=completed)

    async def _news(self) -> None:
        self._wake.clear()
        await self._wake.wait()
