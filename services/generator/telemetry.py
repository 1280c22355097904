"""The engine's events as Prometheus metrics; on the event loop, outside the engine's inner loop."""

import time

from csm.serving.metrics import GeneratorMetrics
from services.generator.engine.engine import Engine
from services.generator.engine.events import Event, Finished, FrameReady, Started
from services.generator.engine.observer import Load, Observer, StepStats


class Telemetry(Observer):
    """Observes an engine. Silent until `begin`, so that the warm-up counts for nothing."""

    def __init__(self, metrics: GeneratorMetrics) -> None:
        self._metrics = metrics
        self._on = False

    def begin(self, engine: Engine) -> None:
        """Observes from here on."""
        self._on = True
        self._gauges(engine.load)
        self._metrics.slots.set(engine.load.slots)
        self._metrics.engine_heartbeat_timestamp_seconds.set_function(
            lambda: time.time() - engine.heartbeat_age_s()
        )

    def stats(self, stats: StepStats) -> None:
        if not self._on:
            return
        metrics = self._metrics
        self._gauges(stats.load)
        for phase, seconds in stats.phases_s.items():
            metrics.step_duration_seconds.labels(phase).observe(seconds)
        if stats.advanced:
            metrics.batch_size.observe(stats.advanced)
        metrics.output_blocked_steps.inc(stats.blocked)
        metrics.conversation_evictions.labels("lru").inc(stats.evicted)
        metrics.conversation_evictions.labels("request").inc(stats.released)

    def event(self, event: Event) -> None:
        if not self._on:
            return
        match event:
            case Started():
                self._metrics.queue_time_seconds.observe(event.queue_s)
            case FrameReady():
                self._metrics.frames_generated.inc()
                if event.index == 0:
                    self._metrics.time_to_first_frame_seconds.observe(event.first_frame_s)
                if event.gap_s is not None:
                    self._metrics.inter_frame_seconds.observe(event.gap_s)
            case Finished():
                self._finished(event)

    def _finished(self, event: Finished) -> None:
        metrics = self._metrics
        metrics.generations_finished.labels(event.reason.value).inc()
        if event.timing.prefill_s is not None:
            metrics.prefill_seconds.observe(event.timing.prefill_s)
            metrics.prefill_frames.observe(event.computed_frames)
        metrics.prefix_frames.labels("reused").inc(event.reused_frames)
        metrics.prefix_frames.labels("computed").inc(event.computed_frames)
        if event.cancel_latency_s is not None:
            metrics.cancel_latency_seconds.observe(event.cancel_latency_s)

    def _gauges(self, load: Load) -> None:
        self._metrics.requests_running.set(load.running)
        self._metrics.requests_waiting.set(load.waiting)
        self._metrics.requests_parked.set(load.parked)
        self._metrics.conversations_cached.set(load.cached)
        self._metrics.kv_cache_usage_ratio.set(load.kv_cache_usage_ratio)
