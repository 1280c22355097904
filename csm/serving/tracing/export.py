"""Sends spans to a collector, beside everything else, and loses them rather than wait for it."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from prometheus_client import Counter

from csm.serving.tracing.setup import FLUSH_S

log = logging.getLogger(__name__)

MAX_WAITING = 8192
"""Spans that wait for the collector, about 2 KB each; what comes beyond is dropped."""
BATCH = 512
SEND_S = 5.0
"""How long a batch may take, tries anew included."""
_OTHERS = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")
"""They tell of each try that fails; we tell of the first."""


class SpanQueue(BatchSpanProcessor):
    """A bounded queue, a thread that sends what is in it, and a count of what became of it all."""

    def __init__(self, exporter: SpanExporter, spans: Counter, max_waiting: int = MAX_WAITING):
        """`spans` has the label `result`: exported or dropped."""
        self._sending = _Sending(exporter, spans)
        self._dropped = spans.labels("dropped")
        self._taken = 0
        self._max_waiting = max_waiting
        for name in _OTHERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        super().__init__(self._sending, max_waiting, max_export_batch_size=min(BATCH, max_waiting))

    def on_end(self, span: ReadableSpan) -> None:
        """Takes a span, or drops it where too many wait. Never waits itself."""
        if self._taken - self._sending.settled >= self._max_waiting:
            self._dropped.inc()
            return
        self._taken += 1
        super().on_end(span)

    async def close(self, within_s: float = FLUSH_S) -> None:
        """Sends what is left, for so long at most; what is left then is dropped."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody waits, and the loop is closed
                loop.call_soon_threadsafe(sent.set)

        # A thread that nobody joins: what hangs in it must not keep the process.
        threading.Thread(target=send, name="spans", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await sent.wait()
        self._sending.give_up(self._taken)


class _Sending(SpanExporter):
    """An exporter around another: counts, and says once that the collector is away, and once that
    it is back."""

    def __init__(self, exporter: SpanExporter, spans: Counter) -> None:
        self._exporter = exporter
        self._exported, self._dropped = spans.labels("exported"), spans.labels("dropped")
        self._away = self._over = False
        self._lock = threading.Lock()
        self.settled = 0
        """Spans that were sent or given up."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        well = result is SpanExportResult.SUCCESS
        with self._lock:
            if self._over:
                return result
            self.settled += len(spans)
            (self._exported if well else self._dropped).inc(len(spans))
        if well is self._away:
            self._away = not well
            if well:
                log.info("the collector takes spans again")
            else:
                log.warning("the collector (tracing_endpoint) takes no spans: they are dropped")
        return result

    def give_up(self, taken: int) -> None:
        """Nothing is sent any more: what is left of all that were taken is dropped."""
        with self._lock:
            self._over = True
            if left := taken - self.settled:
                log.warning("%d spans were not sent in time", left)
                self._dropped.inc(left)
        # Ends what is being tried anew.
        self._exporter.shutdown()

    def shutdown(self) -> None:
        self._exporter.shutdown()


def otlp(endpoint: str) -> SpanExporter:
    """To a collector by OTLP over gRPC; `http://` is without TLS. Headers and certificates are
    those of `OTEL_EXPORTER_OTLP_...`."""
    return OTLPSpanExporter(endpoint=endpoint, timeout=SEND_S)
