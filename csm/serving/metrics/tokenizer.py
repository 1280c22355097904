"""The tokenizer's metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from csm.serving.metrics.buckets import (
    BATCH_ROWS,
    CODEC_SECONDS,
    PAYLOAD_BYTES,
    histogram,
)


class TokenizerMetrics:
    """The codec's view."""

    OPERATIONS = ("encode", "decode")
    REJECTIONS = ("streams_full", "files_full", "too_long")

    def __init__(self, registry: CollectorRegistry) -> None:
        operation = ("operation",)
        self.step_seconds = histogram(
            registry,
            "csm_tokenizer_step_seconds",
            "One pass of the codec for all streams that had a frame ready.",
            CODEC_SECONDS,
            operation,
        )
        self.first_chunk_seconds = histogram(
            registry,
            "csm_tokenizer_first_chunk_seconds",
            "From a stream's first input to its first output.",
            CODEC_SECONDS,
            operation,
        )
        self.batch_size = histogram(
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
        self.payload_bytes = histogram(
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
