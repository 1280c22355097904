"""`csm.v1.GeneratorService`: protobuf to plain data, call, plain data to protobuf."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc

from csm import errors
from csm.v1 import generator_pb2, generator_pb2_grpc
from services.generator import messages
from services.generator.generate_stream import GenerateStream

if TYPE_CHECKING:
    from services.generator.service import GeneratorService

Requests = AsyncIterator[generator_pb2.GenerateRequest]
Context = grpc.aio.ServicerContext

LARGE_MESSAGE_BYTES = 64 << 10
DEADLINE_SLACK_S = 0.05
"""The client's clock may end the call a little before ours does."""


class GeneratorServicer(generator_pb2_grpc.GeneratorServiceServicer):
    """The RPCs of a running `GeneratorService`."""

    def __init__(self, service: GeneratorService) -> None:
        self._service = service

    async def Generate(
        self, request_iterator: Requests, context: Context
    ) -> AsyncIterator[generator_pb2.GenerateResponse]:
        stream = await self._open(request_iterator)
        reader = asyncio.create_task(_read(request_iterator, stream, self._service, context))
        try:
            async for output in stream.outputs():
                yield messages.response(output)
        finally:
            reader.cancel()
            left_s = context.time_remaining()
            late = left_s is not None and left_s <= DEADLINE_SLACK_S
            self._service.close(stream, deadline_passed=late)

    async def _open(self, requests: Requests) -> GenerateStream:
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "config":
                return self._service.open(self._service.stream_config(request.config))
            raise errors.invalid("config", f"the first message must be the config; it is {kind}")
        raise errors.invalid("config", "the stream ended without one; it must be the first message")

    async def GetModelInfo(
        self, request: generator_pb2.GetModelInfoRequest, context: Context
    ) -> generator_pb2.GetModelInfoResponse:
        loaded, settings = self._service.loaded, self._service.settings
        config = loaded.model.config
        return generator_pb2.GetModelInfoResponse(
            model=loaded.name,
            parameters=loaded.description.parameters,
            num_codebooks=config.num_codebooks,
            codebook_size=config.codebook_size,
            text_vocab_size=config.text_vocab_size,
            max_positions=self._service.engine.max_positions,
            dtype=loaded.dtype_name,
            device=str(loaded.model.device),
            digest=loaded.description.digest,
            sampling=messages.sampling(loaded.defaults.sampling),
            slots=self._service.engine.load.slots,
            max_context_segments=loaded.max_context_segments,
            max_text_chars=settings.max_text_chars,
        )

    async def GetLoad(
        self, request: generator_pb2.GetLoadRequest, context: Context
    ) -> generator_pb2.GetLoadResponse:
        load = self._service.engine.load
        return generator_pb2.GetLoadResponse(
            slots=load.slots,
            running=load.running,
            waiting=load.waiting,
            kv_cache_usage_ratio=load.kv_cache_usage_ratio,
            conversations_cached=load.cached,
            max_queue=self._service.engine.max_queue,
        )

    async def EvictConversation(
        self, request: generator_pb2.EvictConversationRequest, context: Context
    ) -> generator_pb2.EvictConversationResponse:
        evicted = await self._service.evict(messages.conversation_id(request))
        return generator_pb2.EvictConversationResponse(evicted=evicted)


async def _read(
    requests: Requests, stream: GenerateStream, service: GeneratorService, context: Context
) -> None:
    """Feeds the stream until the client closes its side. Never waits for the writer."""
    try:
        async for request in requests:
            await _hand_over(request, stream, service, context)
        stream.end_input()
    except Exception as error:
        stream.fail(error)


async def _hand_over(
    request: generator_pb2.GenerateRequest,
    stream: GenerateStream,
    service: GeneratorService,
    context: Context,
) -> None:
    match request.WhichOneof("request"):
        case "segments":
            given, limits = request.segments, service.wire_limits

            def add() -> None:
                stream.add_segments(messages.segments(given, limits), replace=given.replace)

            if given.ByteSize() > LARGE_MESSAGE_BYTES:
                # Tokenising megabytes takes seconds, and every client's frames pass this loop.
                await asyncio.to_thread(add)
            else:
                add()
        case "text":
            stream.append_text(request.text.text)
        case "flush":
            now, left_s = time.monotonic(), context.time_remaining()
            deadline_s = None if left_s is None else now + left_s
            stream.flush(request.flush.turn_id, deadline_s, now)
        case "cancel":
            keep = request.cancel.keep_frames if request.cancel.HasField("keep_frames") else None
            await stream.cancel(request.cancel.turn_id, keep)
        case "credit":
            stream.credit(request.credit.frames)
        case "config":
            raise errors.invalid("config", "a second one is not allowed; only the first message is")
        case _:
            raise errors.invalid("request", "the message is empty; one of its fields must be set")
