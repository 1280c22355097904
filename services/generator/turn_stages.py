"""The parts of a turn in the engine, told for its call's trace when it is over."""

from csm.serving.calls.record import CallRecord
from services.generator.engine.events import Finished


def tell_stages(call: CallRecord, turn_id: str, submitted_s: float, finished: Finished) -> None:
    """What a turn went through since `submitted_s` of the monotonic clock; nothing of what it never
    reached. The engine measures from there."""
    timing = finished.timing
    if not call.traced or timing.queue_s is None:
        return
    slot_s = submitted_s + timing.queue_s
    call.stage(None, "queue", submitted_s, slot_s, turn_id=turn_id)
    if timing.prefill_s is None:
        return
    prefilled_s = slot_s + timing.prefill_s
    computed, reused = finished.computed_frames, finished.reused_frames
    call.stage(None, "prefill", slot_s, prefilled_s, computed_frames=computed, reused_frames=reused)
    if timing.first_frame_s is None:
        return
    first_s = submitted_s + timing.first_frame_s
    call.stage(None, "first_frame", min(prefilled_s, first_s), first_s)
    ended_s = submitted_s + timing.total_s
    call.stage(
        None,
        "frames",
        first_s,
        ended_s,
        frames=finished.generated_frames,
        finish_reason=finished.reason.name,
    )
