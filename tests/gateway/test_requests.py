"""When a call to a backend opens, and what becomes of one that was cancelled before that."""

import asyncio
from typing import Any

import pytest

from gateway.backends.requests import EOF, Call
from gateway.speaking.fate import Source


class Method:
    """A method of a backend: answers what it was sent, to the last."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, requests: Any, **options: Any) -> "Method":
        self.calls += 1
        self._requests = requests
        return self

    def add_done_callback(self, callback: Any) -> None:
        pass

    async def read(self) -> Any:
        return await anext(self._requests, EOF)


async def test_a_call_opens_at_once_or_when_it_is_first_read() -> None:
    at_once, later = Method(), Method()
    Call(Source.GENERATOR, at_once, None)
    call = Call(Source.TOKENIZER, later, None, at_once=False)
    call.requests.put("a")
    call.requests.close()
    assert (at_once.calls, later.calls) == (1, 0)
    assert [await call.read(), await call.read()] == ["a", None]
    assert later.calls == 1


async def test_a_call_that_was_cancelled_before_it_opened_never_opens() -> None:
    method = Method()
    call = Call(Source.TOKENIZER, method, None, at_once=False)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    assert method.calls == 0
