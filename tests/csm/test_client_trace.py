"""A client that has a trace of its own hands it on; one that has none sends nothing."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    use_span,
)

from csm.client import AsyncClient, Client
from tests.csm.fake_speech import FakeSpeech, serving

ROOT = Path(__file__).resolve().parents[2]
TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
TOLD = f"00-{TRACE:032x}-{SPAN:016x}-01"
ACTIVE = NonRecordingSpan(
    SpanContext(TRACE, SPAN, False, TraceFlags(1), TraceState.from_header(["v=1"]))
)


class Asked(FakeSpeech):
    def __init__(self) -> None:
        super().__init__()
        self.metadata: dict[str, Any] = {}

    async def GetServerInfo(self, request: Any, context: Any) -> Any:
        self.metadata = dict(context.invocation_metadata())
        return await super().GetServerInfo(request, context)


async def test_the_span_that_is_active_is_what_a_call_is_part_of() -> None:
    fake = Asked()
    async with serving(fake) as target, AsyncClient(target) as client:
        await client.server_info()
        assert "traceparent" not in fake.metadata
        with use_span(ACTIVE):
            await client.server_info()
        assert (fake.metadata["traceparent"], fake.metadata["tracestate"]) == (TOLD, "v=1")

        def blocking() -> None:
            with Client(target) as one, use_span(ACTIVE):
                one.server_info()

        fake.metadata = {}
        await asyncio.to_thread(blocking)
        assert fake.metadata["traceparent"] == TOLD


async def test_a_trace_in_the_client_s_metadata_wins() -> None:
    fake, own = Asked(), "00-" + "1" * 32 + "-" + "2" * 16 + "-00"
    given = [("traceparent", own)]
    async with serving(fake) as target, AsyncClient(target, metadata=given) as client:
        with use_span(ACTIVE):
            await client.server_info()
    assert fake.metadata["traceparent"] == own


@pytest.mark.parametrize("module", ["csm", "csm.client", "csm.client.trace"])
def test_a_client_does_not_import_opentelemetry(module: str) -> None:
    code = f"import sys, {module}; sys.exit('opentelemetry' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
