"""One tree of spans for an utterance, through every door, and whatever fails on the way."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from csm import errors
from csm.serving.logs.access import CALL_ENDED
from csm.v1 import speech_pb2
from tests.csm.serving.logs.logged import logged
from tests.csm.serving.tracing.otlp_collector import Collector, Tree
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.fakes import Stack

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
GENERATE = "csm.v1.GeneratorService/Generate"
DECODE = "csm.v1.TokenizerService/StreamingDecode"
SYNTHESIZE = "csm.v1.SpeechService/Synthesize"
GONE = errors.Unavailable("going away")
STAGES = ["admission", "text", "first_frame", "frames", "decode", "send"]


class Traced:
    """A stack, and the spans of all three once it is down."""

    def __init__(self, stack: Stack, collector: Collector) -> None:
        self.stack = stack
        self.collector = collector

    async def trees(self) -> list[Tree]:
        await self.stack.down()
        return self.collector.trees()


@contextlib.asynccontextmanager
async def traced(**settings: Any) -> AsyncIterator[Traced]:
    collector = Collector()
    stack = Stack()
    for backend in (stack.generator, stack.tokenizer):
        backend.settings["tracing_endpoint"] = collector.endpoint
    try:
        await stack.up(tracing_endpoint=collector.endpoint, **settings)
        yield Traced(stack, collector)
    finally:
        if stack.generator.host is not None:
            await stack.down()
        collector.close()


def check(tree: Tree) -> None:
    """Every span is of one trace, and within the one that it hangs from."""
    assert {span.trace_id for span in tree} == {tree.span.trace_id}
    for one in tree.below:
        assert one.span.began_ns >= tree.span.began_ns - 2_000_000
        assert one.span.began_ns <= one.span.ended_ns
        check(one)


async def test_a_text_is_one_tree_with_the_turn_s_figures() -> None:
    async with traced() as running:
        request = speech_pb2.SynthesizeRequest(text="Hello there.")
        call = running.stack.stub.Synthesize(request, metadata=(("traceparent", PARENT),))
        answers = [answer async for answer in call]
        completed = answers[-1].completed
        await running.stack.settled()
        (tree,) = await running.trees()
    check(tree)
    assert (tree.span.name, tree.span.service) == (SYNTHESIZE, "csm-gateway")
    assert (tree.span.trace_id, tree.span.parent_id) == (TRACE, SPAN)
    assert tree.names() == ["turn"]
    turn = tree.named("turn")
    assert sorted(turn.names()) == sorted([*STAGES, GENERATE, DECODE])
    attributes = turn.span.attributes
    assert attributes["csm.turn_id"] == completed.turn_id
    assert attributes["csm.outcome"] == "completed"
    assert attributes["csm.finish_reason"] == "EOS"
    assert attributes["csm.frames"] == completed.usage.generated_frames == 3
    assert attributes["csm.text_chars"] == len("Hello there.")
    assert attributes["csm.audio_s"] == pytest.approx(0.24)
    assert attributes["csm.first_audio_ms"] > 0
    assert turn.named("frames").span.attributes["csm.frames"] == 3
    for rpc, service in ((GENERATE, "csm-generator"), (DECODE, "csm-tokenizer")):
        client, server = turn.named(rpc), turn.named(rpc, rpc)
        assert (client.span.kind, server.span.kind) == (3, 2)
        assert (client.span.service, server.span.service) == ("csm-gateway", service)
        assert client.span.attributes["rpc.response.status_code"] == "OK"
        assert not client.span.failed
    assert "Hello" not in str(running.collector.spans)


async def test_a_request_over_http_brings_its_trace_and_a_probe_none() -> None:
    async with traced(http_port=0) as running:
        async with httpx.AsyncClient(base_url=running.stack.http) as http:
            body = {"model": "m", "input": "Hello.", "voice": "fake", "response_format": "pcm"}
            headers = {"traceparent": PARENT}
            answer = await http.post("/v1/audio/speech", json=body, headers=headers)
            assert answer.status_code == 200
            assert (await http.get("/healthz", headers=headers)).status_code == 200
        (tree,) = await running.trees()
    check(tree)
    assert tree.span.name == "POST /v1/audio/speech"
    assert (tree.span.trace_id, tree.span.parent_id) == (TRACE, SPAN)
    assert tree.span.attributes["http.route"] == "/v1/audio/speech"
    assert tree.span.attributes["http.response.status_code"] == 200
    assert tree.named("turn", GENERATE, GENERATE).span.service == "csm-generator"


async def test_a_websocket_brings_its_trace_with_the_handshake() -> None:
    async with traced(http_port=0) as running:
        url = running.stack.http.replace("http", "ws", 1) + "/v1/conversations"
        async with connect(url, additional_headers={"traceparent": PARENT}) as socket:
            for message in (
                {"type": "config"},
                {"type": "text", "text": "Hello there."},
                {"type": "end_of_turn"},
                {"type": "close"},
            ):
                await socket.send(json.dumps(message))
            told = [one async for one in socket]
        assert any(isinstance(one, str) and "turn_completed" in one for one in told)
        (tree,) = await running.trees()
    check(tree)
    assert tree.span.name == "WS /v1/conversations"
    assert (tree.span.trace_id, tree.span.parent_id) == (TRACE, SPAN)
    assert tree.span.attributes["csm.transport"] == "websocket"
    assert tree.span.attributes["http.request.method"] == "GET"
    assert tree.named("turn", GENERATE, GENERATE).span.service == "csm-generator"


async def test_a_generator_that_is_lost_leaves_one_tree_with_both_tries() -> None:
    async with traced() as running:
        running.stack.generator.refuse = [GONE]
        heard = await synthesize(running.stack, "Hello there.")
        assert len(heard.completed) == 1
        await running.stack.settled()
        (tree,) = await running.trees()
    check(tree)
    turn = tree.named("turn")
    tries = [one for one in turn.below if one.span.name == GENERATE]
    assert [one.span.failed for one in tries] == [True, False]
    assert tries[0].span.attributes["error.type"] == "UNAVAILABLE"
    assert [one.names() for one in tries] == [[GENERATE], [GENERATE]]
    assert turn.span.attributes["csm.retries"] == 1
    assert not turn.span.failed


async def test_amid_a_turn_too() -> None:
    async with traced() as running:
        running.stack.generator.frame_s = 0.02
        running.stack.generator.fail_before_frame = {6: GONE}
        heard = await synthesize(running.stack, "x" * 39 + ".", conversation_id="half")
        assert heard.completed[0].usage.failovers == 1
        await running.stack.settled()
        (tree,) = await running.trees()
    check(tree)
    turn = tree.named("turn")
    tries = [one for one in turn.below if one.span.name == GENERATE]
    assert [one.span.failed for one in tries] == [True, False]
    assert turn.span.attributes["csm.failovers"] == 1
    assert turn.named("frames").span.attributes["csm.frames"] == 8


async def test_turns_of_a_conversation_hang_from_its_call() -> None:
    async with traced() as running:
        async with Conversation(running.stack, conversation_id="secret-id") as call:
            await call.hear(12)
            await call.end(heard_text="Good morning.")
            count = 1
            await call.until("turn_completed", count)
            for text in ("Hello there.", "And again."):
                await call.say(text)
                await call.end()
                count += 1
                await call.until("turn_completed", count)
        await running.stack.settled()
        (tree,) = await running.trees()
    check(tree)
    turns = [one for one in tree.below if one.span.name == "turn"]
    assert len(turns) == 2
    for turn in turns:
        assert [one.span.name for one in turn.below].count(GENERATE) == 1
        assert turn.named(GENERATE).names() == [GENERATE]
    heard = tree.named("turn heard")
    assert heard.named("encode").span.attributes["csm.frames"] > 0
    assert tree.named("csm.v1.TokenizerService/StreamingEncode").span.kind == 3
    told = str(running.collector.spans)
    assert "secret-id" not in told
    assert "morning" not in told


async def test_what_is_not_sampled_is_traced_nowhere_and_has_its_id_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with traced(tracing_sample_ratio=0.0) as running:
        await synthesize(running.stack, "Hello there.")
        await running.stack.settled()
        assert await running.trees() == []
    lines = {line["method"]: line for line in logged(caplog, CALL_ENDED)}
    ids = {lines[method]["trace_id"] for method in (SYNTHESIZE, GENERATE, DECODE)}
    assert len(ids) == 1
    assert len(ids.pop()) == 32


async def test_first_audio_has_the_trace_as_its_exemplar() -> None:
    from prometheus_client.openmetrics.exposition import generate_latest

    async with traced() as running:
        request = speech_pb2.SynthesizeRequest(text="Hello there.")
        async for _ in running.stack.stub.Synthesize(request, metadata=(("traceparent", PARENT),)):
            pass
        told = generate_latest(running.stack.metrics.registry).decode()
    name = "csm_gateway_time_to_first_audio_seconds_bucket"
    (line,) = [one for one in told.splitlines() if one.startswith(name) and "# {" in one]
    assert f'# {{trace_id="{TRACE}"}}' in line


async def test_without_tracing_the_caller_s_trace_goes_through_to_the_services(
    running: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    request = speech_pb2.SynthesizeRequest(text="Hello there.")
    async for _ in running.stub.Synthesize(request, metadata=(("traceparent", PARENT),)):
        pass
    await running.settled()
    lines = {line["method"]: line for line in logged(caplog, CALL_ENDED)}
    assert {lines[m]["trace_id"] for m in (SYNTHESIZE, GENERATE, DECODE)} == {TRACE}
