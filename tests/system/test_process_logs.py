"""What three processes write at DEBUG while they speak and are stopped: JSON, and no words."""

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from csm import errors
from csm.client import Client
from tests.system.test_processes import SERVICES, Processes, free_ports

CANARY = "canarybird"
BEARER = f"Bearer {CANARY}"
HEADERS = {"authorization": BEARER, "content-type": "application/json"}


def ask(port: int, path: str, body: bytes) -> int:
    """A POST with the canary as its credential; the status."""
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, body, HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_every_line_is_json_without_words_and_the_drain_says_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (http,) = free_ports(1)
    for name in SERVICES:
        monkeypatch.setenv(f"CSM_{name.upper()}_LOG_LEVEL", "DEBUG")
        monkeypatch.setenv(f"CSM_{name.upper()}_LOG_FORMAT", "json")
    monkeypatch.setenv("CSM_GATEWAY_HTTP_PORT", str(http))
    monkeypatch.setenv("CSM_GATEWAY_DRAIN_FINISH_S", "1")
    monkeypatch.setenv("CSM_NOBODY_READS_THIS", "1")
    processes = Processes(tmp_path)
    try:
        metadata = [("authorization", BEARER), ("x-request-id", "from-the-test")]
        with Client(processes.address("gateway"), metadata=metadata) as client:
            speech = client.synthesize(f"A {CANARY} sings.", seed=1)
            assert len(speech.read_all()) > 6000
            with pytest.raises(errors.NotFound) as refused:
                client.synthesize("Hi.", voice=CANARY).read_pcm()
            assert refused.value.request_id == "from-the-test"
            noise = CANARY.encode() * 1000
            with pytest.raises(errors.InvalidArgument):
                client.create_voice(CANARY, [(noise, f"A {CANARY} sings.")])
            spoken = json.dumps({"input": f"A {CANARY} sings."}).encode()
            assert ask(http, "/v1/audio/speech", spoken) == 200
            assert ask(http, f"/v1/{CANARY}", b"") == 404
            with client.converse(conversation_id="c-1") as conversation:
                conversation.say(f"A {CANARY} sings. " * 40)
                conversation.end_turn()
                next(iter(conversation))
                processes.running["gateway"].send_signal(signal.SIGTERM)
                with pytest.raises(errors.ServiceError):
                    list(conversation)
        assert processes.running["gateway"].wait(60) == 0
        for name in ("generator", "tokenizer"):
            assert processes.end(name, signal.SIGTERM) == 0
    finally:
        processes.close()
    told: dict[str, list[dict[str, Any]]] = {}
    for name in SERVICES:
        text = (tmp_path / f"{name}.log").read_text()
        assert CANARY not in text
        told[name] = [json.loads(line) for line in text.splitlines()]
        assert all({"time", "level", "logger", "message"} <= set(line) for line in told[name])
        ours = {line["logger"].partition(".")[0] for line in told[name]}
        assert ours <= {"csm", "gateway", "services", "stderr", "py"}
        (drained,) = [line for line in told[name] if line["message"] == "drained"]
        assert drained["left"] == 0
    by_request = {
        name: {line["method"] for line in lines if line.get("request_id") == "from-the-test"
               and line["message"] == "call ended"}
        for name, lines in told.items()
    }  # fmt: skip
    assert "csm.v1.SpeechService/Synthesize" in by_request["gateway"]
    assert "csm.v1.GeneratorService/Generate" in by_request["generator"]
    assert "csm.v1.TokenizerService/StreamingDecode" in by_request["tokenizer"]
    (draining,) = [line for line in told["gateway"] if line["message"] == "draining"]
    assert (draining["calls"], draining["turns"]) == (1, 1)
    assert draining["conversation_ids"] == "c-1"
    assert any("CSM_NOBODY_READS_THIS" in line["message"] for line in told["gateway"])
