"""The generator's metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from csm.serving.metrics.buckets import (
    BATCH_ROWS,
    CANCEL_SECONDS,
    FIRST_AUDIO_SECONDS,
    GAP_SECONDS,
    PREFILL_FRAMES,
    QUEUE_SECONDS,
    STEP_SECONDS,
    histogram,
)


class GeneratorMetrics:
    """The engine's view: queue, prefill, step, slots."""

    FINISH_REASONS = ("eos", "max_duration", "cancelled", "deadline", "shutdown", "error")
    REJECTIONS = ("queue_full", "deadline", "draining", "too_long", "unspeakable", "busy")
    PHASES = ("prefill", "backbone", "depth", "deliver")
    EVICTIONS = ("lru", "request")

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"csm_generator_{name}", text, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"csm_generator_{name}", text, labels, registry=registry)

        self.requests_running = gauge("requests_running", "Turns that hold a slot and run.")
        self.requests_waiting = gauge("requests_waiting", "Turns that wait for a slot.")
        self.requests_parked = gauge(
            "requests_parked", "Turns that gave up their slot for want of credit."
        )
        self.slots = gauge("slots", "Slots in all.")
        self.kv_cache_usage_ratio = gauge("kv_cache_usage_ratio", "Share of KV positions in use.")
        self.conversations_cached = gauge(
            "conversations_cached", "Idle conversations that keep a slot."
        )
        self.engine_heartbeat_timestamp_seconds = gauge(
            "engine_heartbeat_timestamp_seconds", "Unix time of the engine's last turn of its loop."
        )
        self.queue_time_seconds = histogram(
            registry,
            "csm_generator_queue_time_seconds",
            "From acceptance of a turn to its slot.",
            QUEUE_SECONDS,
        )
        self.prefill_seconds = histogram(
            registry, "csm_generator_prefill_seconds", "Prefill of a turn.", QUEUE_SECONDS
        )
        self.prefill_frames = histogram(
            registry,
            "csm_generator_prefill_frames",
            "Positions computed in the prefill of a turn.",
            PREFILL_FRAMES,
        )
        self.time_to_first_frame_seconds = histogram(
            registry,
            "csm_generator_time_to_first_frame_seconds",
            "From acceptance of a turn to its first frame.",
            FIRST_AUDIO_SECONDS,
        )
        self.inter_frame_seconds = histogram(
            registry,
            "csm_generator_inter_frame_seconds",
            "Time between consecutive frames of a turn; above 0.08 is slower than real time.",
            GAP_SECONDS,
        )
        self.step_duration_seconds = histogram(
            registry,
            "csm_generator_step_duration_seconds",
            "Engine time by phase of the step.",
            STEP_SECONDS,
            ("phase",),
        )
        self.batch_size = histogram(
            registry, "csm_generator_batch_size", "Slots that advanced in a step.", BATCH_ROWS
        )
        self.cancel_latency_seconds = histogram(
            registry,
            "csm_generator_cancel_latency_seconds",
            "From a cancel to the slot's freedom.",
            CANCEL_SECONDS,
        )
        self.frames_generated = counter("frames_generated_total", "Frames generated.")
        self.generations_finished = counter(
            "generations_finished_total", "Turns ended, by reason.", "reason"
        )
        self.rejected = counter("rejected_total", "Turns refused, by reason.", "reason")
        self.prefix_frames = counter(
            "prefix_frames_total", "Positions of prompts: found in the cache, computed.", "source"
        )
        self.output_blocked_steps = counter(
            "output_blocked_steps_total", "Steps that a slot sat out for want of credit."
        )
        self.conversation_evictions = counter(
            "conversation_evictions_total", "Idle conversations that lost their slot.", "reason"
        )
        self.segments_evicted = counter(
            "segments_evicted_total", "Segments dropped because a context was full."
        )
        self.model_info = Gauge(
            "csm_model_info",
            "Always 1; what the generator runs.",
            ("model", "dtype", "device"),
            registry=registry,
        )
        for reason in self.FINISH_REASONS:
            self.generations_finished.labels(reason)
        for reason in self.REJECTIONS:
            self.rejected.labels(reason)
        for phase in self.PHASES:
            self.step_duration_seconds.labels(phase)
        for reason in self.EVICTIONS:
            self.conversation_evictions.labels(reason)
        for source in ("reused", "computed"):
            self.prefix_frames.labels(source)
