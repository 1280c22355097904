"""One `Converse` call: say, hear, interrupt; events come back. Blocking or for asyncio."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any

import grpc

from csm import errors
from csm.client.exchange import Exchange
from csm.client.messages import Event
from csm.client.outgoing import Outgoing
from csm.client.retry import from_status
from csm.status import TrueStatus
from csm.v1 import speech_pb2

SEND_TIMEOUT_S = 30.0
"""A blocking `say` or `send_audio` waits so long for a server that takes nothing."""


class AsyncConversation(Exchange[Coroutine[Any, Any, None]]):
    """A conversation for asyncio; made by `AsyncClient.converse`.

    Sending and iterating may go on in different tasks, and sending in several. Cancelling a
    task that waits for the next event loses nothing: the next one to iterate gets the event.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._true_status: TrueStatus
        self._messages: Any = None
        self._pending: asyncio.Task[Any] | None = None
        self._write = asyncio.Lock()
        self._read = asyncio.Lock()

    async def __aenter__(self) -> "AsyncConversation":
        self.require_new()
        attempt = 1
        while True:
            self._call = self._open_call(timeout=self._deadline.remaining_s())
            self._true_status = TrueStatus(self._call)
            self._messages = aiter(self._call)
            try:
                # The status of a refusal is with the reads, so a failed write is not looked at.
                with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                    await self._call.write(self._config)
                self._open(await anext(self._messages))
                return self
            except grpc.aio.AioRpcError as raised:
                error = await self._true_status.of(raised)
                if error.code() is grpc.StatusCode.OK:
                    raise self._ended_at_once() from None
                failure = from_status(error, self._target, self._deadline)
                delay_s = self._retry.delay_s(attempt, failure, self._deadline.remaining_s())
                if delay_s is None:
                    raise failure from None
            except StopAsyncIteration:
                raise self._ended_at_once() from None
            attempt += 1
            await asyncio.sleep(delay_s)

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._call.cancel()
        if (pending := self._pending) is not None:
            await asyncio.wait({pending})
            # Retrieved, so that nobody is told of an exception that was never looked at.
            if not pending.cancelled():
                pending.exception()

    async def finish(self) -> None:
        """Nothing more will be sent; the events end when the turns under way are over."""
        self.require_open()
        async with self._write:
            await self._call.done_writing()

    async def _send(self, messages: Iterable[speech_pb2.ConverseRequest]) -> None:
        self.require_open()
        for message in messages:
            async with self._write:
                try:
                    await self._call.write(message)
                except grpc.aio.AioRpcError as error:
                    raise await self._failure(error) from None
                except asyncio.InvalidStateError:
                    raise await self._status() from None

    async def _status(self) -> errors.ServiceError:
        if not self._call.done():
            return errors.FailedPrecondition("nothing can be sent after finish")
        return await self._failure(
            grpc.aio.AioRpcError(
                await self._call.code(),
                await self._call.initial_metadata(),
                await self._call.trailing_metadata(),
                await self._call.details(),
                None,
            )
        )

    async def _failure(self, raised: grpc.aio.AioRpcError) -> errors.ServiceError:
        return self._error(await self._true_status.of(raised))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        self.require_open()
        async with self._read:
            while True:
                if (message := await self._next_message()) is None:
                    raise StopAsyncIteration
                if (event := self._event(message)) is not None:
                    return event

    async def _next_message(self) -> speech_pb2.ConverseResponse | None:
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(self._messages, None))
        # wait() leaves the read under way when this task is cancelled; a bare await would not,
        # and a cancelled read ends the call.
        await asyncio.wait({self._pending})
        try:
            message = self._pending.result()
        except grpc.aio.AioRpcError as raised:
            error = await self._true_status.of(raised)
            self._pending = None
            if error.code() is grpc.StatusCode.OK:
                return None
            raise self._error(error) from None
        except asyncio.CancelledError:
            self._pending = None
            if self._closing:
                return None
            raise await self._status() from None
        self._pending = None
        return message


class Conversation(Exchange[None]):
    """A conversation with blocking calls; made by `Client.converse`.

    Send from one thread and iterate in another, or in turns from a single one. What waits to be
    sent has a bound: beyond it sending waits until the server takes it, `SEND_TIMEOUT_S` at most.
    """

    _outgoing: Outgoing

    def __enter__(self) -> "Conversation":
        self.require_new()
        attempt = 1
        while True:
            self._outgoing = outgoing = Outgoing(self._config)
            self._call = self._open_call(outgoing, timeout=self._deadline.remaining_s())
            # Where the call is over already, there is nobody to tell later.
            if not self._call.add_callback(outgoing.end):
                outgoing.end()
            try:
                self._open(next(self._call))
                return self
            except grpc.RpcError as error:
                failure = from_status(error, self._target, self._deadline)
                delay_s = self._retry.delay_s(attempt, failure, self._deadline.remaining_s())
                if delay_s is None:
                    raise failure from None
            except StopIteration:
                raise self._ended_at_once() from None
            attempt += 1
            time.sleep(delay_s)

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._call.cancel()
        # Ends grpc's thread that reads the queue.
        self._outgoing.end()

    def finish(self) -> None:
        """Nothing more will be sent; the events end when the turns under way are over."""
        self.require_open()
        self._outgoing.finish()

    def _send(self, messages: Iterable[speech_pb2.ConverseRequest]) -> None:
        self.require_open()
        for message in messages:
            if not self._outgoing.put(message, SEND_TIMEOUT_S):
                # The call is over, so its status is there.
                raise self._error(self._call)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        self.require_open()
        while True:
            try:
                message = next(self._call)
            except grpc.RpcError as error:
                if self._closing:
                    raise StopIteration from None
                raise self._error(error) from None
            if (event := self._event(message)) is not None:
                return event
