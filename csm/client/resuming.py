"""Conversations that outlive their call: where a gateway goes away, another one goes on."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from csm import errors
from csm.client.conversation import AsyncConversation, Conversation
from csm.client.messages import ConversationStarted, Event
from csm.client.replay import Replay
from csm.v1 import speech_pb2

RESUME_S = 30.0
"""How long another gateway is looked for. The lease of one that died ends within this."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 1.0


class _Pauses:
    """Waits between tries, until the time is over."""

    def __init__(self, resume_s: float) -> None:
        self._until_s = time.monotonic() + resume_s
        self._pause_s = FIRST_PAUSE_S

    def next_s(self, failure: errors.ServiceError) -> float:
        """Seconds to wait before the next try; raises `failure` where there is none."""
        # FAILED_PRECONDITION: the store still holds the conversation for the gateway that died.
        again = isinstance(failure, errors.Unavailable | errors.FailedPrecondition)
        if not again or time.monotonic() + self._pause_s > self._until_s:
            raise failure
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, MAX_PAUSE_S)
        return pause_s


class AsyncResumingConversation(AsyncConversation):
    """As `AsyncConversation`, over as many calls as it takes."""

    def __init__(self, *arguments: Any, anew: bool = False, resume_s: float = RESUME_S) -> None:
        super().__init__(*arguments)
        self._arguments, self._resume_s = arguments, resume_s
        self._replay = Replay(anew=anew)
        self._events: deque[Event] = deque()
        self._inner: AsyncConversation | None = None
        self._finished = False
        self._sending = asyncio.Lock()

    @property
    def started(self) -> ConversationStarted:
        self.require_open()
        if self._started is None:
            raise self._ended_at_once()
        return self._started

    async def __aenter__(self) -> "AsyncResumingConversation":
        self.require_new()
        self._inner = await AsyncConversation(*self._arguments).__aenter__()
        self._started, self._call = self._inner.started, self._inner
        self._config.config.conversation_id = self._inner.conversation_id
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._inner is not None:
            await self._inner.__aexit__()

    async def finish(self) -> None:
        self.require_open()
        async with self._sending:
            self._finished = True
            if self._inner is not None:
                with contextlib.suppress(errors.Unavailable):
                    await self._inner.finish()

    async def _send(self, messages: Iterable[speech_pb2.ConverseRequest]) -> None:
        self.require_open()
        async with self._sending:
            if self._finished:
                raise errors.FailedPrecondition("nothing can be sent after finish")
            for message in messages:
                self._replay.sent(message)
                # A call that has ended is opened anew by who reads.
                if self._inner is not None:
                    with contextlib.suppress(errors.Unavailable):
                        await self._inner._send([message])

    async def __anext__(self) -> Event:
        self.require_open()
        while True:
            if self._events:
                return self._events.popleft()
            if self._inner is None:
                await self._resume()
                continue
            try:
                event = await self._inner.__anext__()
            except errors.Unavailable:
                inner, self._inner = self._inner, None
                await inner.__aexit__()
                continue
            if (told := self._replay.received(event)) is not None:
                return told

    async def _resume(self) -> None:
        pauses = _Pauses(self._resume_s)
        while True:
            async with self._sending:
                config, messages = self._replay.again(self._config)
                open_call, _, *others = self._arguments
                inner = AsyncConversation(open_call, config, *others)
                try:
                    await inner.__aenter__()
                    await inner._send(messages)
                    if self._finished:
                        await inner.finish()
                except errors.ServiceError as failure:
                    pause_s = pauses.next_s(failure)
                else:
                    self._inner = inner
                    self._events.extend(self._replay.went_on())
                    return
            await asyncio.sleep(pause_s)


class ResumingConversation(Conversation):
    """As `Conversation`, over as many calls as it takes."""

    def __init__(self, *arguments: Any, anew: bool = False, resume_s: float = RESUME_S) -> None:
        super().__init__(*arguments)
        self._arguments, self._resume_s = arguments, resume_s
        self._replay = Replay(anew=anew)
        self._events: deque[Event] = deque()
        self._inner: Conversation | None = None
        self._finished = self._left = False
        self._sending = threading.Lock()

    @property
    def started(self) -> ConversationStarted:
        self.require_open()
        if self._started is None:
            raise self._ended_at_once()
        return self._started

    def __enter__(self) -> "ResumingConversation":
        self.require_new()
        self._inner = Conversation(*self._arguments).__enter__()
        self._started, self._call = self._inner.started, self._inner
        self._config.config.conversation_id = self._inner.conversation_id
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True
        if (inner := self._inner) is not None:
            inner.__exit__()

    def finish(self) -> None:
        self.require_open()
        with self._sending:
            self._finished = True
            if self._inner is not None:
                self._inner.finish()

    def _send(self, messages: Iterable[speech_pb2.ConverseRequest]) -> None:
        self.require_open()
        with self._sending:
            if self._finished:
                raise errors.FailedPrecondition("nothing can be sent after finish")
            for message in messages:
                self._replay.sent(message)
                # A call that has ended is opened anew by who reads.
                if self._inner is not None:
                    with contextlib.suppress(errors.Unavailable):
                        self._inner._send([message])

    def __next__(self) -> Event:
        self.require_open()
        while True:
            if self._events:
                return self._events.popleft()
            if (inner := self._inner) is None:
                self._resume()
                continue
            try:
                event = inner.__next__()
            except errors.Unavailable:
                inner.__exit__()
                self._inner = None
                continue
            with self._sending:
                told = self._replay.received(event)
            if told is not None:
                return told

    def _resume(self) -> None:
        pauses = _Pauses(self._resume_s)
        while not self._left:
            with self._sending:
                config, messages = self._replay.again(self._config)
                open_call, _, *others = self._arguments
                inner = Conversation(open_call, config, *others)
                try:
                    inner.__enter__()
                    inner._send(messages)
                    if self._finished:
                        inner.finish()
                except errors.ServiceError as failure:
                    pause_s = pauses.next_s(failure)
                else:
                    self._inner = inner
                    self._events.extend(self._replay.went_on())
                    return
            time.sleep(pause_s)
        raise StopIteration
