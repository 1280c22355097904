"""`csm.v1.GeneratorService`: protobuf to plain data, call, plain data to protobuf."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

import grpc

from csm import errors
from csm.serving.calls.cache_scope import cache_scope_of
from csm.serving.calls.record import CallRecord, current_call
from csm.v1 import generator_pb2, generator_pb2_grpc
from services.generator import messages
from services.generator.engine.engine import Engine
from services.generator.generate_stream import GenerateStream
from services.generator.loading import LoadedModel
from services.generator.off_loop import INLINE_BYTES, off_loop
from services.generator.positions import count_positions
from services.generator.settings import GeneratorSettings
from services.generator.turns import GenerationStarted, Output, StreamConfig, TurnFrames

Requests = AsyncIterator[generator_pb2.GenerateRequest]
Context = grpc.aio.ServicerContext

DEADLINE_SLACK_S = 0.05
"""The client's clock may end the call a little before ours does."""


class Generator(Protocol):
    """What the RPCs need of the service behind them (`service.GeneratorService`)."""

    settings: GeneratorSettings

    @property
    def loaded(self) -> LoadedModel:
        """The model."""

    @property
    def engine(self) -> Engine:
        """What runs it."""

    @property
    def wire_limits(self) -> messages.WireLimits:
        """What the wire must hold to."""

    @property
    def default_max_frames(self) -> int:
        """Longest turn where none is asked for."""

    def stream_config(self, message: generator_pb2.GenerateConfig) -> StreamConfig:
        """The config of a stream over the model's defaults."""

    def open(self, config: StreamConfig) -> GenerateStream:
        """A new stream."""

    def close(self, stream: GenerateStream, *, deadline_passed: bool) -> None:
        """The stream is over."""

    async def evict(self, conversation_id: str) -> bool:
        """Frees the slot of an idle conversation."""


class GeneratorServicer(generator_pb2_grpc.GeneratorServiceServicer):
    """The RPCs of a running `service.GeneratorService`."""

    def __init__(self, service: Generator) -> None:
        self._service = service

    async def Generate(
        self, request_iterator: Requests, context: Context
    ) -> AsyncIterator[generator_pb2.GenerateResponse]:
        record = current_call()
        stream = await self._open(request_iterator, record, context)
        frame_ms = self._service.loaded.frame_ms
        reader = asyncio.create_task(_read(request_iterator, stream, self._service, context))
        try:
            async for output in stream.outputs():
                _note(record, output)
                yield messages.response(output, frame_ms)
        finally:
            reader.cancel()
            left_s = context.time_remaining()
            late = left_s is not None and left_s <= DEADLINE_SLACK_S
            self._service.close(stream, deadline_passed=late)

    async def _open(
        self, requests: Requests, record: CallRecord, context: Context
    ) -> GenerateStream:
        # How long it may take is the interceptor's business (first_message_s).
        request = await anext(requests, None)
        if request is None:
            raise errors.invalid(
                "config", "the stream ended without one; it must be the first message"
            )
        kind = request.WhichOneof("request")
        if kind != "config":
            raise errors.invalid("config", f"the first message must be the config; it is {kind}")
        config = self._service.stream_config(request.config)
        record.conversation_id = config.conversation_id
        scope = cache_scope_of(context.invocation_metadata())
        return self._service.open(replace(config, cache_scope=scope))

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
            voices=messages.voices(loaded.voices),
            default_max_audio_ms=round(self._service.default_max_frames * loaded.frame_ms),
            characters=loaded.characters,
        )

    async def CountPositions(
        self, request: generator_pb2.CountPositionsRequest, context: Context
    ) -> generator_pb2.CountPositionsResponse:
        loaded, limits = self._service.loaded, self._service.wire_limits
        texts = messages.texts_to_count(request, limits, self._service.settings.max_text_chars)
        # As the engine counts what does not fit: to the end where it is somewhat more, no further.
        most = 2 * limits.max_positions
        counts = await count_positions(loaded.tokenizer, request.speaker, texts, most)
        return generator_pb2.CountPositionsResponse(positions=counts)

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
            heartbeat_age_ms=round(self._service.engine.heartbeat_age_s() * 1000),
        )

    async def EvictConversation(
        self, request: generator_pb2.EvictConversationRequest, context: Context
    ) -> generator_pb2.EvictConversationResponse:
        conversation_id = messages.conversation_id(request)
        current_call().conversation_id = conversation_id
        evicted = await self._service.evict(conversation_id)
        return generator_pb2.EvictConversationResponse(evicted=evicted)


def _note(record: CallRecord, output: Output) -> None:
    """What the call's log line is to say of what it sends."""
    if isinstance(output, TurnFrames):
        record.num_frames += len(output.codes)
    elif isinstance(output, GenerationStarted):
        record.turn_id = output.turn_id
        record.prompt_frames += output.prompt_frames
        record.reused_frames += output.reused_frames
    else:
        record.num_turns += 1
        record.finish_reason = output.reason.name


async def _read(
    requests: Requests, stream: GenerateStream, service: Generator, context: Context
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
    service: Generator,
    context: Context,
) -> None:
    match request.WhichOneof("request"):
        case "segments":
            given, limits = request.segments, service.wire_limits
            if given.ByteSize() <= INLINE_BYTES:
                found = messages.segments(given, limits)
            else:
                found = await off_loop(lambda: messages.segments(given, limits))
            await stream.add_segments(found, replace=given.replace)
        case "text":
            stream.append_text(request.text.text)
        case "flush":
            now, left_s = time.monotonic(), context.time_remaining()
            deadline_s = None if left_s is None else now + left_s
            flushed = messages.flush(request.flush, service.wire_limits)
            await stream.flush(flushed, deadline_s, now)
        case "cancel":
            keep = request.cancel.keep_frames if request.cancel.HasField("keep_frames") else None
            await stream.cancel(request.cancel.turn_id, keep)
        case "credit":
            stream.credit(request.credit.frames)
        case "config":
            raise errors.invalid("config", "a second one is not allowed; only the first message is")
        case _:
            raise errors.invalid("request", "the message is empty; one of its fields must be set")
