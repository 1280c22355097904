"""The gateway's metrics."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from csm.serving.metrics.buckets import (
    CANCEL_SECONDS,
    FIRST_AUDIO_SECONDS,
    GAP_SECONDS,
    REAL_TIME_FACTOR,
    STORE_SECONDS,
    TEXT_SECONDS,
    UNDERRUN_SECONDS,
    UTTERANCE_SECONDS,
    histogram,
)
from csm.serving.metrics.tenants import TenantMetrics
from csm.warning_kind import WarningKind


class GatewayMetrics:
    """The listener's view: when did speech start, did it ever stall."""

    OUTCOMES = ("completed", "cancelled", "rejected", "deadline", "failed")
    RPCS = ("Synthesize", "Converse")
    SERVICES = ("generator", "tokenizer")
    AFFINITY_RESULTS = ("hit", "miss")
    STAGES = ("context_encode", "generate_first_frame", "decode_first_chunk", "send_first_chunk")

    def __init__(self, registry: CollectorRegistry, tenants: Iterable[str] = ()) -> None:
        """`tenants` have labels of their own in what is counted by tenant."""
        self.tenants = TenantMetrics(registry, tenants)
        self.time_to_first_audio_seconds = histogram(
            registry,
            "csm_gateway_time_to_first_audio_seconds",
            "From the complete request for a turn to its first audio.",
            FIRST_AUDIO_SECONDS,
            ("rpc",),
        )
        self.time_to_first_audible_seconds = histogram(
            registry,
            "csm_gateway_time_to_first_audible_seconds",
            "From the complete request for a turn to its first sample above -40 dBFS, as a "
            "listener hears it who plays the first chunk at once.",
            FIRST_AUDIO_SECONDS,
            ("rpc",),
        )
        self.utterance_duration_seconds = histogram(
            registry,
            "csm_gateway_utterance_duration_seconds",
            "Wall time of a spoken turn.",
            UTTERANCE_SECONDS,
        )
        self.audio_seconds = Counter(
            "csm_gateway_audio_seconds_total", "Seconds of audio sent.", registry=registry
        )
        self.real_time_factor = histogram(
            registry,
            "csm_gateway_real_time_factor",
            "Seconds of making per second of audio, one value a turn.",
            REAL_TIME_FACTOR,
        )
        self.audio_underrun_seconds = histogram(
            registry,
            "csm_gateway_audio_underrun_seconds",
            "Seconds that a listener playing from the first chunk would have waited, a turn.",
            UNDERRUN_SECONDS,
        )
        self.chunk_gap_seconds = histogram(
            registry,
            "csm_gateway_chunk_gap_seconds",
            "Time between consecutive chunks of a turn.",
            GAP_SECONDS,
        )
        self.stage_duration_seconds = histogram(
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
        self.failovers = Counter(
            "csm_gateway_failovers_total",
            "Times that a turn under way was to go on with another backend, or the same anew.",
            ("service", "code"),
            registry=registry,
        )
        self.sentences_repeated = Counter(
            "csm_gateway_sentences_repeated_total",
            "Sentences said once more because their speech ended far too early.",
            registry=registry,
        )
        self.affinity = Counter(
            "csm_gateway_affinity_total",
            "Turns of conversations with a history, by whether the generator had it in its cache.",
            ("result",),
            registry=registry,
        )
        self.warnings = Counter(
            "csm_gateway_warnings_total",
            "Warnings in the terminals of turns, heard ones too, by kind.",
            ("kind",),
            registry=registry,
        )
        self.text_preparation_seconds = histogram(
            registry,
            "csm_gateway_text_preparation_seconds",
            "From a text, or a part of one, to its sentences, the wait for the thread included.",
            TEXT_SECONDS,
        )
        self.cancel_latency_seconds = histogram(
            registry,
            "csm_gateway_cancel_latency_seconds",
            "From a cancel to the turn's terminal.",
            CANCEL_SECONDS,
        )
        self.pacing_lead_seconds = histogram(
            registry,
            "csm_gateway_pacing_lead_seconds",
            "How far ahead of real time a chunk was sent.",
            UNDERRUN_SECONDS,
        )
        self.store_operations = Counter(
            "csm_gateway_store_operations_total",
            "Operations on the store of conversations, voices and quotas; outcome says how they "
            "ended.",
            ("operation", "outcome"),
            registry=registry,
        )
        self.store_seconds = histogram(
            registry,
            "csm_gateway_store_seconds",
            "Time of an operation on the store of conversations, voices and quotas.",
            STORE_SECONDS,
            ("operation",),
        )
        for rpc in self.RPCS:
            self.time_to_first_audio_seconds.labels(rpc)
            self.time_to_first_audible_seconds.labels(rpc)
            for outcome in self.OUTCOMES:
                self.requests.labels(rpc, outcome)
        for stage in self.STAGES:
            self.stage_duration_seconds.labels(stage)
        for service in self.SERVICES:
            self.upstream_retries.labels(service, "UNAVAILABLE")
            self.failovers.labels(service, "UNAVAILABLE")
        for result in self.AFFINITY_RESULTS:
            self.affinity.labels(result)
        for kind in WarningKind:
            if kind is not WarningKind.UNKNOWN:
                self.warnings.labels(kind.value)

    def count_warnings(self, kinds: Iterable[WarningKind]) -> None:
        """Counts the warnings of a turn's terminal."""
        for kind in kinds:
            self.warnings.labels(kind.value).inc()
