"""One utterance through three processes is one tree of spans, with the model's own parts in it."""

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from csm.client import Client
from tests.csm.serving.tracing.otlp_collector import Collector, Tree
from tests.system.test_processes import SERVICES, Processes, free_ports

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
GENERATE = "csm.v1.GeneratorService/Generate"
DECODE = "csm.v1.TokenizerService/StreamingDecode"
TEXT = "The canarybird sings."


def test_an_utterance_is_one_tree_of_three_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = Collector()
    (http,) = free_ports(1)
    for name in SERVICES:
        monkeypatch.setenv(f"CSM_{name.upper()}_TRACING_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("CSM_GATEWAY_HTTP_PORT", str(http))
    processes = Processes(tmp_path)
    try:
        with Client(processes.address("gateway"), metadata=[("traceparent", PARENT)]) as client:
            assert len(client.synthesize(TEXT, seed=1).read_all()) > 6000
        body = json.dumps({"input": TEXT, "response_format": "pcm"}).encode()
        headers = {"content-type": "application/json"}
        url = f"http://127.0.0.1:{http}/v1/audio/speech"
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            assert len(answer.read()) > 6000
        for name in ("gateway", "generator", "tokenizer"):
            assert processes.end(name, signal.SIGTERM) == 0
    finally:
        processes.close()
        collector.close()
    spoken, over_http = sorted(collector.trees(), key=lambda tree: tree.span.began_ns)
    print("\n".join(spoken.drawn()))
    assert (spoken.span.trace_id, spoken.span.parent_id) == (TRACE, SPAN)
    assert spoken.span.name == "csm.v1.SpeechService/Synthesize"
    assert over_http.span.name == "POST /v1/audio/speech"
    assert over_http.span.parent_id == ""
    for tree in (spoken, over_http):
        _check(tree)
    assert "canarybird" not in str(collector.spans)


def _check(tree: Tree) -> None:
    services = {"csm-gateway", "csm-generator", "csm-tokenizer"}
    assert {span.service for span in tree} == services
    assert {span.trace_id for span in tree} == {tree.span.trace_id}
    turn = tree.named("turn")
    stages = ["admission", "text", "first_frame", "frames", "decode", "send"]
    assert sorted(turn.names()) == sorted([*stages, GENERATE, DECODE])
    made = turn.named(GENERATE, GENERATE)
    assert made.span.service == "csm-generator"
    assert made.names() == ["queue", "prefill", "first_frame", "frames"]
    decoded = turn.named(DECODE, DECODE)
    assert decoded.span.service == "csm-tokenizer"
    assert decoded.names() == ["decode"]
    frames = turn.span.attributes["csm.frames"]
    assert frames > 3
    assert made.named("frames").span.attributes["csm.frames"] == frames
    assert decoded.named("decode").span.attributes["csm.frames"] == frames
    assert made.named("prefill").span.attributes["csm.computed_frames"] > 0
    ended = [one.span.ended_ns for one in made.below]
    assert ended == sorted(ended)
    assert not any(span.failed for span in tree)
