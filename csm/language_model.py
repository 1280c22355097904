"""An OpenAI-compatible chat endpoint as a stream of text, over the standard library alone.

model = LanguageModel("http://127.0.0.1:11434/v1", "llama3.2")
for part in model.answer("What is the time?"):
    conversation.say(part)
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any

KEY_VARIABLE = "OPENAI_API_KEY"
MAX_ANSWER_CHARS = 8000
"""Of one answer; what is longer is cut there."""
MAX_MESSAGES = 40
"""Of the conversation that are sent with a question, the latest."""
_MAX_LINE_BYTES = 256 << 10
_MAX_BODY_BYTES = 4 << 20
_SHOWN_CHARS = 200


class LanguageModelError(ValueError):
    """The endpoint cannot be asked, or its answer is none; says which and why."""


class LanguageModel:
    """A conversation with a model behind `url`, the base that has `/chat/completions` below it.

    `name` is the model's; empty: the first that the endpoint lists. The key is that of the
    variable OPENAI_API_KEY, unless given. `system` is said to the model before everything else.
    Each wait for the endpoint ends after `timeout_s`.
    """

    def __init__(
        self,
        url: str,
        name: str = "",
        *,
        key: str | None = None,
        system: str = "",
        timeout_s: float = 60.0,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise LanguageModelError(
                f"llm: {url!r} is not allowed; allowed is a URL such as http://127.0.0.1:11434/v1"
            )
        self.url = url.rstrip("/").removesuffix("/chat/completions")
        self._name = name
        self._key = os.environ.get(KEY_VARIABLE, "") if key is None else key
        self._system = [{"role": "system", "content": system}] if system else []
        self._timeout_s = timeout_s
        self._messages: list[dict[str, str]] = []

    @property
    def name(self) -> str:
        """The model's name, asked of the endpoint where none was given."""
        if not self._name:
            with self._ask("/models") as answer:
                listed = _json(answer.read(_MAX_BODY_BYTES))
            names = [one.get("id") for one in listed.get("data") or [] if isinstance(one, dict)]
            if not names or not isinstance(names[0], str):
                raise LanguageModelError(f"{self.url}/models: lists no model; name one")
            self._name = names[0]
        return self._name

    def answer(self, said: str) -> Iterator[str]:
        """What the model answers, in parts as they come. What was taken of it is remembered, so
        that a listener who interrupts is understood. Raises `LanguageModelError`."""
        self._messages.append({"role": "user", "content": said})
        del self._messages[:-MAX_MESSAGES]
        body = {
            "model": self.name,
            "messages": [*self._system, *self._messages],
            "stream": True,
        }
        taken = ""
        try:
            with self._ask("/chat/completions", body) as answer:
                for part in whole_characters(_parts(answer)):
                    part = part[: MAX_ANSWER_CHARS - len(taken)]
                    taken += part
                    yield part
                    if len(taken) >= MAX_ANSWER_CHARS:
                        break
        except OSError as error:
            raise LanguageModelError(f"{self.url}: {error}") from None
        finally:
            self._messages.append({"role": "assistant", "content": taken})

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, */*"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            return urllib.request.urlopen(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            # The endpoint's own words, on one line; they do not repeat the question as a rule.
            told = " ".join(error.read(_MAX_BODY_BYTES).decode(errors="replace").split())
            told = f"{error.code} {error.reason}: {told[:_SHOWN_CHARS]}"
            raise LanguageModelError(f"{self.url}{path}: {told}") from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise LanguageModelError(f"{self.url}{path}: cannot be reached: {reason}") from None


def whole_characters(parts: Iterable[str]) -> Iterator[str]:
    """The parts with every character in one of them.

    JSON may part a character beyond the 65,536th, such as an emoji, between two surrogates; one
    that stays alone is replaced by U+FFFD, since it could be sent to nobody.
    """
    half = ""
    for part in parts:
        part, half = half + part, ""
        if "\ud800" <= part[-1:] <= "\udbff":
            part, half = part[:-1], part[-1]
        if part:
            yield part.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if half:
        yield "\ufffd"


def _parts(answer: Any) -> Iterator[str]:
    """The text in an answer, whether it is a stream of events or one JSON object."""
    if answer.headers.get_content_type() != "text/event-stream":
        yield from _content(_json(answer.read(_MAX_BODY_BYTES)), "message")
        return
    while line := answer.readline(_MAX_LINE_BYTES):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        yield from _content(_json(data), "delta")


def _content(event: dict[str, Any], field: str) -> Iterator[str]:
    if event.get("error"):
        raise LanguageModelError(f"llm: {str(event['error'])[:_SHOWN_CHARS]}")
    for choice in event.get("choices") or []:
        text = (choice.get(field) or {}).get("content")
        if text:
            yield str(text)


def _json(data: bytes) -> dict[str, Any]:
    try:
        read = json.loads(data)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise LanguageModelError("llm: the answer is no JSON object; is it an OpenAI-style URL?")
    return read
