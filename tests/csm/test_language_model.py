"""The chat endpoint as the examples and `csm chat` ask it, over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from csm.language_model import (
    MAX_ANSWER_CHARS,
    LanguageModel,
    LanguageModelError,
    whole_characters,
)


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-style endpoint that answers as it is told, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.parts = ["It is ", "noon."]
        self.stream = True
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._send(json.dumps({"data": [{"id": "small"}]}).encode(), "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers["Authorization"])
        if not self.server.stream:
            message = {"message": {"content": "".join(self.server.parts)}}
            self._send(json.dumps({"choices": [message]}).encode(), "application/json")
            return
        events = [{"choices": [{"delta": {"content": one}}]} for one in self.server.parts]
        lines = [f"data: {json.dumps(one)}\n\n" for one in events]
        self._send(("".join(lines) + "data: [DONE]\n\n").encode(), "text/event-stream")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_comes_in_parts_and_is_remembered(endpoint: Endpoint, stream: bool) -> None:
    endpoint.stream = stream
    model = LanguageModel(endpoint.url + "/", key="k", system="Be brief.")
    assert "".join(model.answer("What time is it?")) == "It is noon."
    list(model.answer("Sure?"))
    assert endpoint.asked[1]["model"] == "small"
    assert [(one["role"], one["content"]) for one in endpoint.asked[1]["messages"]] == [
        ("system", "Be brief."), ("user", "What time is it?"), ("assistant", "It is noon."),
        ("user", "Sure?"),
    ]  # fmt: skip
    assert endpoint.keys == ["Bearer k"] * 2


def test_of_an_answer_that_is_interrupted_what_was_taken_is_remembered(endpoint: Endpoint) -> None:
    model = LanguageModel(endpoint.url, "m")
    answer = model.answer("What time is it?")
    assert next(answer) == "It is "
    answer.close()  # type: ignore[attr-defined]
    list(model.answer("Go on."))
    assert endpoint.asked[1]["messages"][1]["content"] == "It is "


def test_an_endless_answer_is_cut(endpoint: Endpoint) -> None:
    endpoint.parts = ["x" * 999] * 20
    assert len("".join(LanguageModel(endpoint.url, "m").answer("?"))) == MAX_ANSWER_CHARS


def test_what_goes_wrong_names_the_endpoint_and_the_reason(endpoint: Endpoint) -> None:
    endpoint.status = 401
    with pytest.raises(LanguageModelError, match=r"/v1/chat/completions: 401 Unauthorized"):
        list(LanguageModel(endpoint.url, "m").answer("?"))
    with pytest.raises(LanguageModelError, match="cannot be reached"):
        list(LanguageModel("http://127.0.0.1:1/v1", "m").answer("?"))
    with pytest.raises(LanguageModelError, match=r"'file:///etc/passwd' is not allowed"):
        LanguageModel("file:///etc/passwd")


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["Well \ud83d", "\ude00 done"], ["Well ", "\U0001f600 done"]),
        (["\ud83d", "\ude00"], ["\U0001f600"]),
        (["a\ud83d"], ["a", "\ufffd"]),
        (["a\ud83db", "\ude00c"], ["a\ufffdb", "\ufffdc"]),
        (["caf\udce9"], ["caf\ufffd"]),
        (["", "plain"], ["plain"]),
    ],
)
def test_characters_that_json_parts_come_whole(parts: list[str], whole: list[str]) -> None:
    assert list(whole_characters(parts)) == whole
