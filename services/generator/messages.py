"""Protobuf to plain data and back. What is wrong in a message is named by its field."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from csm.audio import frames
from csm.errors import FieldViolation, InvalidArgument, invalid, status_message
from csm.limits import (
    MAX_AUDIO_MS,
    MAX_ID_CHARS,
    MAX_SPEAKER,
    MIN_AUDIO_MS,
    sampling_violations,
)
from csm.v1 import common_pb2, generator_pb2
from services.generator.context import PinnedSegment
from services.generator.engine.events import EngineTiming, FinishReason
from services.generator.model.prompt import PromptSegment
from services.generator.model.sampling import SamplingParams
from services.generator.turns import (
    FlushRequest,
    GenerationCompleted,
    GenerationStarted,
    Output,
    StreamConfig,
    TurnFrames,
)
from services.generator.voices import ModelVoice, allowed_speakers

MAX_SEGMENTS = 1024
MAX_TEXTS = 1024
"""Of one `CountPositions`."""

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
    """What the wire must hold to with this model. `frame_ms`: milliseconds of audio in a frame;
    `voices`: the speakers that it names, empty where any number will do."""

    num_codebooks: int
    codebook_size: int
    max_positions: int
    frame_ms: float
    voices: tuple[ModelVoice, ...] = ()


def stream_config(
    message: generator_pb2.GenerateConfig,
    limits: WireLimits,
    defaults: SamplingParams,
    default_max_frames: int,
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
    wrong += _speaker_violations("config.speaker", message.speaker, limits)
    audio_ms = message.max_audio_ms
    wrong += _audio_violations("config.max_audio_ms", audio_ms, "the default")
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
        min_frames=math.ceil(given.min_audio_ms / limits.frame_ms),
        max_frames=frames_within(audio_ms, limits.frame_ms) if audio_ms else default_max_frames,
        credit_frames=message.initial_credit_frames or None,
    )


def flush(message: generator_pb2.GenerateFlush, limits: WireLimits) -> FlushRequest:
    """The flush of a turn; raises `InvalidArgument` naming every field at fault."""
    wrong: list[FieldViolation] = []
    if len(message.turn_id) > MAX_ID_CHARS:
        wrong.append(
            FieldViolation(
                "flush.turn_id",
                f"{len(message.turn_id)} characters; at most {MAX_ID_CHARS} are allowed",
            )
        )
    audio_ms = message.max_audio_ms
    wrong += _audio_violations("flush.max_audio_ms", audio_ms, "the config's")
    if message.HasField("speaker"):
        wrong += _speaker_violations("flush.speaker", message.speaker, limits)
    if wrong:
        raise InvalidArgument(*wrong)
    begun = None
    if message.HasField("begun") and (message.begun.num_frames or message.begun.codes):
        begun = frames.unpack(
            message.begun,
            num_codebooks=limits.num_codebooks,
            codebook_size=limits.codebook_size,
            field="flush.begun",
            max_frames=limits.max_positions,
        )
        if (ends := ~begun.any(axis=1)).any():
            raise invalid(
                "flush.begun.codes",
                f"frame {int(ends.argmax())} is all 0, which ends a turn; no frame of a turn is",
            )
    return FlushRequest(
        turn_id=message.turn_id,
        max_frames=frames_within(audio_ms, limits.frame_ms) if audio_ms else None,
        seed=message.seed if message.HasField("seed") else None,
        speaker=message.speaker if message.HasField("speaker") else None,
        begun=begun,
    )


def texts_to_count(
    message: generator_pb2.CountPositionsRequest, limits: WireLimits, max_text_chars: int
) -> list[str]:
    """The texts to measure; raises `InvalidArgument` naming every field at fault."""
    if len(message.texts) > MAX_TEXTS:
        raise invalid("texts", f"{len(message.texts)} in one message; at most {MAX_TEXTS}")
    texts = list(message.texts)
    wrong = _speaker_violations("speaker", message.speaker, limits)
    wrong += (
        FieldViolation(
            f"texts[{index}]", f"{len(text)} characters; at most {max_text_chars} are allowed"
        )
        for index, text in enumerate(texts)
        if len(text) > max_text_chars
    )
    if wrong:
        raise InvalidArgument(*wrong)
    return texts


def segments(message: generator_pb2.GenerateSegments, limits: WireLimits) -> list[PinnedSegment]:
    """The segments of a message; raises `InvalidArgument` naming the field at fault."""
    if len(message.segments) > MAX_SEGMENTS:
        raise invalid(
            "segments.segments", f"{len(message.segments)} in one message; at most {MAX_SEGMENTS}"
        )
    found = []
    for index, item in enumerate(message.segments):
        where = f"segments.segments[{index}]"
        if wrong := _speaker_violations(f"{where}.speaker", item.speaker, limits):
            raise InvalidArgument(*wrong)
        codes = None
        if item.HasField("frames"):
            codes = frames.unpack(
                item.frames,
                num_codebooks=limits.num_codebooks,
                codebook_size=limits.codebook_size,
                field=f"{where}.frames",
                max_frames=limits.max_positions,
            )
        found.append(PinnedSegment(PromptSegment(item.speaker, item.text, codes), item.pinned))
    return found


def frames_within(audio_ms: float, frame_ms: float) -> int:
    """Whole frames in so many milliseconds, at least one."""
    return max(1, int(audio_ms / frame_ms))


def _audio_violations(field: str, audio_ms: int, zero: str) -> list[FieldViolation]:
    """What is wrong with the longest audio of a turn; `zero` says what 0 stands for."""
    if not audio_ms or MIN_AUDIO_MS <= audio_ms <= MAX_AUDIO_MS:
        return []
    allowed = f"{MIN_AUDIO_MS}..{MAX_AUDIO_MS}, or 0 for {zero}"
    return [FieldViolation(field, f"{audio_ms} is not allowed; must be {allowed}")]


def _speaker_violations(field: str, speaker: int, limits: WireLimits) -> list[FieldViolation]:
    if speaker > MAX_SPEAKER:
        return [FieldViolation(field, f"{speaker} is not allowed; must be 0..{MAX_SPEAKER}")]
    if limits.voices and all(voice.speaker != speaker for voice in limits.voices):
        allowed = allowed_speakers(limits.voices)
        return [FieldViolation(field, f"{speaker} is not allowed; this model has {allowed}")]
    return []


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


def voices(found: tuple[ModelVoice, ...]) -> list[generator_pb2.ModelVoice]:
    """The model's named speakers as messages."""
    return [
        generator_pb2.ModelVoice(
            name=voice.name, speaker=voice.speaker, description=voice.description
        )
        for voice in found
    ]


def response(output: Output, frame_ms: float) -> generator_pb2.GenerateResponse:
    """One output of a stream as a message."""
    match output:
        case GenerationStarted():
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
        case GenerationCompleted():
            return generator_pb2.GenerateResponse(turn_completed=_completed(output, frame_ms))


def _completed(output: GenerationCompleted, frame_ms: float) -> generator_pb2.GenerateTurnCompleted:
    finished, error = output.finished, output.error
    return generator_pb2.GenerateTurnCompleted(
        turn_id=output.turn_id,
        finish_reason=_REASONS[output.reason],
        usage=common_pb2.Usage(
            text_tokens=output.text_tokens,
            prompt_frames=finished.prompt_frames,
            reused_frames=finished.reused_frames,
            generated_frames=finished.generated_frames,
            audio_ms=round(finished.generated_frames * frame_ms),
            evicted_segments=output.evicted_segments,
        ),
        timing=_timing(finished.timing),
        error=None if error is None else status_message(error),
    )


def _timing(timing: EngineTiming) -> common_pb2.Timing:
    def milliseconds(seconds: float | None) -> float:
        return (seconds or 0.0) * 1000

    return common_pb2.Timing(
        # A turn that never had a slot waited for all its life.
        queue_ms=milliseconds(timing.total_s if timing.queue_s is None else timing.queue_s),
        prefill_ms=milliseconds(timing.prefill_s),
        first_frame_ms=milliseconds(timing.first_frame_s),
        total_ms=milliseconds(timing.total_s),
    )
