"""The gateway's data as the backends' protobuf, and back."""

from collections.abc import Iterable

from csm.audio.frames import WIRE_DTYPE
from csm.v1 import common_pb2
from gateway.commands import SamplingOptions, StreamFormat
from gateway.conversations.store import Segment
from gateway.speaking.events import FinishReason, TurnTiming, TurnUsage

_REASONS = {
    common_pb2.FinishReason.Value(f"FINISH_REASON_{reason.name}"): reason
    for reason in FinishReason
    if reason is not FinishReason.UNKNOWN
}


def audio_format(form: StreamFormat) -> common_pb2.AudioFormat:
    """The format on the wire."""
    return common_pb2.AudioFormat(
        encoding=form.encoding,  # type: ignore[arg-type]
        sample_rate_hz=form.sample_rate_hz,
        channels=form.channels,
    )


def sampling_message(sampling: SamplingOptions, seed: int | None) -> common_pb2.Sampling:
    """How codes are drawn, with `seed` in place of the sampling's own."""
    return common_pb2.Sampling(
        temperature=sampling.temperature,
        depth_temperature=sampling.depth_temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_audio_ms=sampling.min_audio_ms,
        seed=seed,
    )


def segment_message(segment: Segment, *, pinned: bool = False) -> common_pb2.Segment:
    """A segment on the wire; pinned ones are a voice's prompt."""
    message = common_pb2.Segment(speaker=segment.speaker, text=segment.text, pinned=pinned)
    if segment.num_frames:
        message.frames.codes = segment.codes
        message.frames.num_frames = segment.num_frames
        message.frames.num_codebooks = (
            len(segment.codes) // segment.num_frames // (WIRE_DTYPE.itemsize)
        )
    return message


def context_messages(
    prompts: Iterable[Segment], history: Iterable[Segment]
) -> list[common_pb2.Segment]:
    """The voice's prompts, pinned, then the history."""
    return [segment_message(s, pinned=True) for s in prompts] + [
        segment_message(s) for s in history
    ]


def finish_reason(value: int) -> FinishReason:
    """A reason from the wire; one that is not known is an ERROR."""
    return _REASONS.get(value, FinishReason.ERROR)


def usage(message: common_pb2.Usage) -> TurnUsage:
    """What a sentence consumed."""
    return TurnUsage(
        message.text_tokens,
        message.prompt_frames,
        message.reused_frames,
        message.generated_frames,
        message.audio_ms,
        message.evicted_segments,
    )


def timing(message: common_pb2.Timing) -> TurnTiming:
    """Where its time went."""
    return TurnTiming(
        message.queue_ms, message.prefill_ms, message.first_frame_ms, message.total_ms
    )
