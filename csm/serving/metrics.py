"""Every metric of every service: name, help, labels, buckets, and why those buckets.

Nothing else in the project creates a metric. Base units, bounded labels (never an id, a text or
an address). `docs/metrics.md` is the reader's view of this file. Conventions and sources:
`reference/serving.md` 4.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# RPCs last from a health check to a conversation of minutes.
RPC_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
# A loop that is late by 5 ms is busy; by 100 ms it drops frames.
LOOP_DELAY_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
# 150 ms is our bar, 200 to 300 ms a natural gap between speakers.
FIRST_AUDIO_SECONDS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
# Below 1 the listener never waits; 0.25 is our bar on two cores.
REAL_TIME_FACTOR = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2, 5)
# Multiples of a frame (80 ms); 20 ms is where a gap becomes audible.
UNDERRUN_SECONDS = (0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.5, 5)
# Dense around one frame (80 ms).
GAP_SECONDS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.16, 0.24, 0.5, 1)
# From one pico step to a frame of csm-1b on a CPU.
STEP_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.25, 0.5, 1)
# Waiting for a slot: none, a step, a sentence.
QUEUE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# A cancel is promised within one step; 80 ms is a frame.
CANCEL_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 2)
# Codec calls: one streamed frame up to a recording of minutes.
CODEC_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# Utterances: a word to a long paragraph.
UTTERANCE_SECONDS = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120)
# Rows that advance in one step; powers of two as batches are.
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# A short text up to a full context.
PREFILL_FRAMES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
# 1 KiB to 16 MiB.
PAYLOAD_BYTES = tuple(float(1024 * 4**n) for n in range(8))


class Metrics:
    """Creates metrics on one registry. In one process with several services, share it."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.server = ServerMetrics(self.registry)

    def with_process(self) -> "Metrics":
        """Adds the process's own figures (resident memory, open files, CPU seconds)."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        return self


def _histogram(
    registry: CollectorRegistry,
    name: str,
    text: str,
    buckets: Sequence[float],
    labels: Sequence[str] = (),
) -> Histogram:
    return Histogram(name, text, labels, registry=registry, buckets=buckets)


class ServerMetrics:
    """What every gRPC server of ours exports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        method = ("grpc_service", "grpc_method", "grpc_type")
        self.started = Counter(
            "grpc_server_started_total", "RPCs started.", method, registry=registry
        )
        self.handled = Counter(
            "grpc_server_handled_total",
            "RPCs completed, by status.",
            (*method, "grpc_code"),
            registry=registry,
        )
        self.handling_seconds = _histogram(
            registry, "grpc_server_handling_seconds", "Duration of RPCs.", RPC_SECONDS, method
        )
        self.received = Counter(
            "grpc_server_msg_received_total",
            "Messages received of streaming RPCs.",
            method,
            registry=registry,
        )
        self.sent = Counter(
            "grpc_server_msg_sent_total",
            "Messages sent by streaming RPCs.",
            method,
            registry=registry,
        )
        self.in_flight = Gauge(
            "csm_rpcs_in_flight", "RPCs under way.", ("grpc_service",), registry=registry
        )
        self.ready = Gauge(
            "csm_ready", "1 while the service takes calls.", ("grpc_service",), registry=registry
        )
        self.draining = Gauge(
            "csm_draining",
            "1 while the service finishes what runs.",
            ("grpc_service",),
            registry=registry,
        )
        self.loop_delay_seconds = _histogram(
            registry,
            "csm_event_loop_delay_seconds",
            "How late the event loop woke from a short sleep.",
            LOOP_DELAY_SECONDS,
        )
        self.build_info = Gauge(
            "csm_build_info", "Always 1; what is running.", ("version",), registry=registry
        )


class GatewayMetrics:
    """The listener's view: when did speech start, did it ever stall."""

    OUTCOMES = ("completed", "cancelled", "rejected", "deadline", "failed")
    RPCS = ("Synthesize", "Converse")
    STAGES = ("context_encode", "generate_first_frame", "decode_first_chunk", "send_first_chunk")

    def __init__(self, registry: CollectorRegistry) -> None:
        self.time_to_first_audio_seconds = _histogram(
            registry,
            "csm_gateway_time_to_first_audio_seconds",
            "From the complete request for a turn to its first audio.",
            FIRST_AUDIO_SECONDS,
            ("rpc",),
        )
        self.utterance_duration_seconds = _histogram(
            registry,
            "csm_gateway_utterance_duration_seconds",
            "Wall time of a spoken turn.",
            UTTERANCE_SECONDS,
        )
        self.audio_seconds = Counter(
            "csm_gateway_audio_seconds_total", "Seconds of audio sent.", registry=registry
        )
        self.real_time_factor = _histogram(
            registry,
            "csm_gateway_real_time_factor",
            "Seconds of making per second of audio, one value a turn.",
            REAL_TIME_FACTOR,
        )
        self.audio_underrun_seconds = _histogram(
            registry,
            "csm_gateway_audio_underrun_seconds",
            "Seconds that a listener playing from the first chunk would have waited, a turn.",
            UNDERRUN_SECONDS,
        )
        self.chunk_gap_seconds = _histogram(
            registry,
            "csm_gateway_chunk_gap_seconds",
            "Time between consecutive chunks of a turn.",
            GAP_SECONDS,
        )
        self.stage_duration_seconds = _histogram(
            registry,
            "csm_gateway_stage_duration_seconds",
            "Where the time to first audio goes.",
            FIRST_AUDIO_SECONDS,
            ("stage",),
        )
        self.requests = Counter(
            "csm_gateway_requests_total",
            "Spoken turns by outcome.",
            ("rpc", "outcome"),
            registry=registry,
        )
        self.streams_active = Gauge(
            "csm_gateway_streams_active", "Calls that speak or converse.", registry=registry
        )
        self.conversations_active = Gauge(
            "csm_gateway_conversations_active", "Conversations kept.", registry=registry
        )
        self.upstream_retries = Counter(
            "csm_gateway_upstream_retries_total",
            "Turns submitted again because nothing had been delivered.",
            ("service", "code"),
            registry=registry,
        )
        self.cancel_latency_seconds = _histogram(
            registry,
            "csm_gateway_cancel_latency_seconds",
            "From a cancel to the turn's terminal.",
            CANCEL_SECONDS,
        )
        self.pacing_lead_seconds = _histogram(
            registry,
            "csm_gateway_pacing_lead_seconds",
            "How far ahead of real time a chunk was sent.",
            UNDERRUN_SECONDS,
        )
        for rpc in self.RPCS:
            self.time_to_first_audio_seconds.labels(rpc)
            for outcome in self.OUTCOMES:
                self.requests.labels(rpc, outcome)
        for stage in self.STAGES:
            self.stage_duration_seconds.labels(stage)


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
        self.slots = gauge("slots", "Slots in all.")
        self.kv_cache_usage_ratio = gauge("kv_cache_usage_ratio", "Share of KV positions in use.")
        self.conversations_cached = gauge(
            "conversations_cached", "Idle conversations that keep a slot."
        )
        self.engine_heartbeat_timestamp_seconds = gauge(
            "engine_heartbeat_timestamp_seconds", "Unix time of the engine's last turn of its loop."
        )
        self.queue_time_seconds = _histogram(
            registry,
            "csm_generator_queue_time_seconds",
            "From acceptance of a turn to its slot.",
            QUEUE_SECONDS,
        )
        self.prefill_seconds = _histogram(
            registry, "csm_generator_prefill_seconds", "Prefill of a turn.", QUEUE_SECONDS
        )
        self.prefill_frames = _histogram(
            registry,
            "csm_generator_prefill_frames",
            "Positions computed in the prefill of a turn.",
            PREFILL_FRAMES,
        )
        self.time_to_first_frame_seconds = _histogram(
            registry,
            "csm_generator_time_to_first_frame_seconds",
            "From acceptance of a turn to its first frame.",
            FIRST_AUDIO_SECONDS,
        )
        self.inter_frame_seconds = _histogram(
            registry,
            "csm_generator_inter_frame_seconds",
            "Time between consecutive frames of a turn; above 0.08 is slower than real time.",
            GAP_SECONDS,
        )
        self.step_duration_seconds = _histogram(
            registry,
            "csm_generator_step_duration_seconds",
            "Engine time by phase of the step.",
            STEP_SECONDS,
            ("phase",),
        )
        self.batch_size = _histogram(
            registry, "csm_generator_batch_size", "Slots that advanced in a step.", BATCH_ROWS
        )
        self.cancel_latency_seconds = _histogram(
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


class TokenizerMetrics:
    """The codec's view."""

    OPERATIONS = ("encode", "decode")
    REJECTIONS = ("streams_full", "too_long")

    def __init__(self, registry: CollectorRegistry) -> None:
        operation = ("operation",)
        self.step_seconds = _histogram(
            registry,
            "csm_tokenizer_step_seconds",
            "One pass of the codec for all streams that had a frame ready.",
            CODEC_SECONDS,
            operation,
        )
        self.first_chunk_seconds = _histogram(
            registry,
            "csm_tokenizer_first_chunk_seconds",
            "From a stream's first input to its first output.",
            CODEC_SECONDS,
            operation,
        )
        self.batch_size = _histogram(
            registry,
            "csm_tokenizer_batch_size",
            "Streams that advanced in a step.",
            BATCH_ROWS,
            operation,
        )
        self.audio_seconds = Counter(
            "csm_tokenizer_audio_seconds_total",
            "Seconds of audio encoded or decoded.",
            operation,
            registry=registry,
        )
        self.payload_bytes = _histogram(
            registry,
            "csm_tokenizer_payload_bytes",
            "Audio bytes of a whole call.",
            PAYLOAD_BYTES,
            operation,
        )
        self.sessions_active = Gauge(
            "csm_tokenizer_sessions_active",
            "Streams that hold a codec state.",
            operation,
            registry=registry,
        )
        self.rejected = Counter(
            "csm_tokenizer_rejected_total",
            "Calls refused, by reason.",
            ("reason",),
            registry=registry,
        )
        for name in self.OPERATIONS:
            for metric in (
                self.step_seconds,
                self.first_chunk_seconds,
                self.batch_size,
                self.payload_bytes,
            ):
                metric.labels(name)
            self.audio_seconds.labels(name)
            self.sessions_active.labels(name)
        for reason in self.REJECTIONS:
            self.rejected.labels(reason)
