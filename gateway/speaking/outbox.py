"""The queue of what a call sends back, between those who make it and the one who writes it."""

import asyncio
from collections import deque

from csm import errors
from gateway.speaking.events import Audio, AudioSource, Event

MAX_WAITING_EVENTS = 4096


class Outbox:
    """Events in order, for one reader. Nobody who puts ever waits."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._error: Exception | None = None
        self._closed = False
        self._writing: Audio | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        """Appends an event; after the end it is dropped.

        A client that asks on and on and never reads loses the call: credit bounds its audio,
        nothing else bounds its terminals.
        """
        if self._closed or self._error is not None:
            return
        if len(self._events) >= MAX_WAITING_EVENTS:
            waiting = f"{MAX_WAITING_EVENTS} answers of this call wait to be read"
            self.fail(errors.QueueFull(waiting), at_once=True)
            return
        self._events.append(event)
        self._wake()

    def discard_audio(self, source: AudioSource) -> None:
        """Drops the chunks of `source` that have not been taken."""
        kept = [e for e in self._events if not (isinstance(e, Audio) and e.source is source)]
        if len(kept) != len(self._events):
            self._events = deque(kept)
        self._wake()

    def close(self) -> None:
        """The call ends well after what is in the queue."""
        self._closed = True
        self._wake()

    def fail(self, error: Exception, *, at_once: bool = False) -> None:
        """The call ends with `error`, after what is in the queue or instead of it."""
        if self._error is None:
            self._error = error
        if at_once:
            self._events.clear()
        self._wake()

    @property
    def failed(self) -> bool:
        """Whether the call is to end with an error."""
        return self._error is not None

    def __aiter__(self) -> "Outbox":
        return self

    async def __anext__(self) -> Event:
        """The next event; asking for it says that the one before has been written.

        Raises the error that the call failed with.
        """
        if self._writing is not None:
            written, self._writing = self._writing, None
            written.source.written(written)
        while True:
            delay_s: float | None = None
            if self._events:
                event = self._events[0]
                if isinstance(event, Audio):
                    delay_s = event.source.delay_s(event)
                if delay_s is None or delay_s <= 0:
                    self._events.popleft()
                    if isinstance(event, Audio):
                        self._writing = event
                        event.source.taken(event)
                    return event
            elif self._error is not None:
                raise self._error
            elif self._closed:
                raise StopAsyncIteration
            await self._wait(delay_s)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, self._wake) if timeout_s is not None else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
