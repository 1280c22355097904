"""Protobuf to plain data and back. What is wrong in a message is named by its field."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from csm.audio import frames
from csm.errors import FieldViolation, InvalidArgument, invalid
from csm.limits import (
    MAX_AUDIO_MS,
    MAX_ID_CHARS,
    MAX_SPEAKER,
    MIN_AUDIO_MS,
    sampling_violations,
)
from csm.v1 import common_pb2, generator_pb2
from services.generator.context import PinnedSegment
from services.generator.engine.events import FinishReason, Timing
from services.generator.engine.turn import FRAME_MS
from services.generator.model.prompt import Segment
from services.generator.model.sampling import SamplingParams
from services.generator.turns import Output, StreamConfig, TurnCompleted, TurnFrames, TurnStarted

MAX_SEGMENTS = 1024

_REASONS = {
    FinishReason.EOS: common_pb2.FINISH_REASON_EOS,
    FinishReason.MAX_DURATION: common_pb2.FINISH_REASON_MAX_DURATION,
    FinishReason.CANCELLED: common_pb2.FINISH_REASON_CANCELLED,
    FinishReason.DEADLINE: common_pb2.FINISH_REASON_DEADLINE,
    FinishReason.SHUTDOWN: common_pb2.FINISH_REASON_SHUTDOWN,
    FinishReason.ERROR: common_pb2.FINISH_REASON_ERROR,
}


@dataclass(frozen=True)
class WireLimits:
    """What frames on the wire must hold to."""

    num_codebooks: int
    codebook_size: int
    max_positions: int


def stream_config(
    message: generator_pb2.GenerateConfig, defaults: SamplingParams, default_max_frames: int
) -> StreamConfig:
    """The config of a stream; raises `InvalidArgument` naming every field at fault."""
    wrong: list[FieldViolation] = []
    if len(message.conversation_id) > MAX_ID_CHARS:
        wrong.append(
            FieldViolation(
                "config.conversation_id",
                f"{len(message.conversation_id)} characters; at most {MAX_ID_CHARS} are allowed",
            )
        )
    if message.speaker > MAX_SPEAKER:
        wrong.append(
            FieldViolation(
                "config.speaker", f"{message.speaker} is not allowed; must be 0..{MAX_SPEAKER}"
            )
        )
    audio_ms = message.max_audio_ms
    if audio_ms and not MIN_AUDIO_MS <= audio_ms <= MAX_AUDIO_MS:
        wrong.append(
            FieldViolation(
                "config.max_audio_ms",
                f"{audio_ms} is not allowed; must be {MIN_AUDIO_MS}..{MAX_AUDIO_MS}, or 0 for "
                "the default",
            )
        )
    wrong += sampling_violations("config.sampling", message.sampling)
    if wrong:
        raise InvalidArgument(*wrong)
    given = message.sampling
    overrides = {
        name: getattr(given, name)
        for name in ("temperature", "depth_temperature", "top_k", "top_p")
        if given.HasField(name)
    }
    return StreamConfig(
        conversation_id=message.conversation_id,
        speaker=message.speaker,
        sampling=replace(defaults, **overrides),
        seed=given.seed if given.HasField("seed") else None,
        min_frames=math.ceil(given.min_audio_ms / FRAME_MS),
        max_frames=audio_ms // FRAME_MS if audio_ms else default_max_frames,
        credit_frames=message.initial_credit_frames or None,
    )


def segments(message: generator_pb2.GenerateSegments, limits: WireLimits) -> list[PinnedSegment]:
    """The segments of a message; raises `InvalidArgument` naming the field at fault."""
    if len(message.segments) > MAX_SEGMENTS:
        raise invalid(
            "segments.segments", f"{len(message.segments)} in one message; at most {MAX_SEGMENTS}"
        )
    found = []
    for index, item in enumerate(message.segments):
        where = f"segments.segments[{index}]"
        if item.speaker > MAX_SPEAKER:
            raise invalid(
                f"{where}.speaker", f"{item.speaker} is not allowed; must be 0..{MAX_SPEAKER}"
            )
        codes = None
        if item.HasField("frames"):
            codes = frames.unpack(
                item.frames,
                num_codebooks=limits.num_codebooks,
                codebook_size=limits.codebook_size,
                field=f"{where}.frames",
                max_frames=limits.max_positions,
            )
        found.append(PinnedSegment(Segment(item.speaker, item.text, codes), item.pinned))
    return found


def conversation_id(message: generator_pb2.EvictConversationRequest) -> str:
    """The conversation to evict; raises `InvalidArgument` where it names none."""
    name = message.conversation_id
    if not 0 < len(name) <= MAX_ID_CHARS:
        raise invalid("conversation_id", f"{len(name)} characters; 1..{MAX_ID_CHARS} are allowed")
    return name


def sampling(params: SamplingParams) -> common_pb2.Sampling:
    """Defaults as a message."""
    return common_pb2.Sampling(
        temperature=params.temperature,
        depth_temperature=params.depth_temperature,
        top_k=params.top_k,
        top_p=params.top_p,
    )


def response(output: Output) -> generator_pb2.GenerateResponse:
    """One output of a stream as a message."""
    match output:
        case TurnStarted():
            return generator_pb2.GenerateResponse(
                started=generator_pb2.GenerateStarted(
                    turn_id=output.turn_id,
                    prompt_frames=output.prompt_frames,
                    reused_frames=output.reused_frames,
                    evicted_segments=output.evicted_segments,
                    seed=output.seed,
                )
            )
        case TurnFrames():
            return generator_pb2.GenerateResponse(
                frames=generator_pb2.GenerateFrames(
                    turn_id=output.turn_id, frames=frames.pack(output.codes, output.first_frame)
                )
            )
        case TurnCompleted():
            return generator_pb2.GenerateResponse(turn_completed=_completed(output))


def _completed(output: TurnCompleted) -> generator_pb2.GenerateTurnCompleted:
    finished = output.finished
    return generator_pb2.GenerateTurnCompleted(
        turn_id=output.turn_id,
        finish_reason=_REASONS[output.reason],
        usage=common_pb2.Usage(
            text_tokens=output.text_tokens,
            prompt_frames=finished.prompt_frames,
            reused_frames=finished.reused_frames,
            generated_frames=finished.generated_frames,
            audio_ms=finished.generated_frames * FRAME_MS,
            evicted_segments=output.evicted_segments,
        ),
        timing=_timing(finished.timing),
    )


def _timing(timing: Timing) -> common_pb2.Timing:
    def milliseconds(seconds: float | None) -> float:
        return (seconds or 0.0) * 1000

    return common_pb2.Timing(
        # A turn that never had a slot waited for all its life.
        queue_ms=milliseconds(timing.total_s if timing.queue_s is None else timing.queue_s),
        prefill_ms=milliseconds(timing.prefill_s),
        first_frame_ms=milliseconds(timing.first_frame_s),
        total_ms=milliseconds(timing.total_s),
    )
