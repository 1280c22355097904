"""One `Synthesize` call as an iterator of audio, blocking or for asyncio.

A call is tried again only before its first message came back, so no audio is ever repeated.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from csm import errors
from csm.client.formats import to_float
from csm.client.messages import AudioChunk, TurnCompleted, TurnStarted
from csm.client.retry import Deadline, RetryPolicy, ended_by_server, from_status
from csm.v1 import speech_pb2

OpenCall = Callable[[float | None], Any]
"""Starts the RPC with a timeout in seconds and returns grpc's call object."""


class _Turn:
    """What both kinds of speech know of their turn."""

    started: TurnStarted | None
    """Set before the first chunk is given out."""
    completed: TurnCompleted | None
    """Set when the iteration has ended; stays None after `cancel`."""
    _error_raised = False
    _event: type[threading.Event] | type[asyncio.Event]

    def __init__(
        self, open_call: OpenCall, target: str, retry: RetryPolicy, timeout_s: float | None
    ) -> None:
        self.started = None
        self.completed = None
        self._open_call = open_call
        self._target = target
        self._retry = retry
        self._deadline = Deadline(timeout_s)
        self._attempt = 1
        self._delivered = False
        self._cancelled = False
        self._cancel_requested = self._event()
        self._call = open_call(timeout_s)

    def cancel(self) -> None:
        """Ends the turn at once; the iteration ends without an error. Idempotent."""
        if self.completed is None:
            self._cancelled = True
            self._cancel_requested.set()
        self._call.cancel()

    def _take(self, message: speech_pb2.SynthesizeResponse) -> AudioChunk | None:
        self._delivered = True
        kind = message.WhichOneof("response")
        if kind == "started":
            self.started = TurnStarted.from_proto(message.started)
        elif kind == "completed":
            self.completed = TurnCompleted.from_proto(message.completed)
        elif kind == "audio":
            if self.started is None:
                raise errors.Internal(f"the server at {self._target} sent audio before its format")
            return AudioChunk.from_proto(message.audio, self.started.format)
        return None

    def _wait_s(self, failure: errors.ServiceError) -> float:
        """How long to wait before the next attempt; raises the failure where there is none."""
        delay_s = None
        if not self._delivered:
            delay_s = self._retry.delay_s(self._attempt, failure, self._deadline.remaining_s())
        if delay_s is None:
            raise failure from None
        self._attempt += 1
        return delay_s

    def _reopen(self) -> None:
        self._call = self._open_call(self._deadline.remaining_s())
        if self._cancelled:
            # By another thread meanwhile, which knew only the call before.
            self._call.cancel()

    def _failure(self, error: grpc.RpcError) -> errors.ServiceError:
        return from_status(error, self._target, self._deadline)

    def _end(self) -> None:
        """Raises what the turn ended with, once; all its audio was given out before."""
        if self._cancelled or self._error_raised:
            return
        if self.completed is None:
            raise errors.Internal(f"the server at {self._target} ended without a terminal")
        if self.completed.error is not None:
            self._error_raised = True
            raise self.completed.error

    def _float(self, pcm: bytes) -> NDArray[np.float32]:
        return to_float(pcm, self.started.format) if self.started else np.zeros(0, np.float32)


class Speech(_Turn):
    """Audio of one text, chunk by chunk, as it is made. Iterate once; also a context manager.

    Raises a `csm.errors.ServiceError` where the call fails. A turn that failed on its way raises
    what its terminal says after its last chunk, and `completed` is there. Leaving a `with` block,
    or `cancel` from any thread, ends the turn at the server.
    """

    _event = threading.Event
    _cancel_requested: threading.Event

    def __iter__(self) -> Iterator[AudioChunk]:
        return self

    def __next__(self) -> AudioChunk:
        while not self._cancelled:
            try:
                chunk = self._take(next(self._call))
            except StopIteration:
                break
            except grpc.RpcError as error:
                # After the terminal nothing is missing, however the call ends.
                if self._cancelled or self.completed:
                    break
                delay_s = self._wait_s(self._failure(error))
                if not self._cancel_requested.wait(delay_s):
                    self._reopen()
                continue
            if chunk is not None:
                return chunk
        self._end()
        raise StopIteration

    def read_pcm(self) -> bytes:
        """The bytes that are still to come, in the format of `started`."""
        return b"".join(chunk.pcm for chunk in self)

    def read_all(self) -> NDArray[np.float32]:
        """What is still to come as mono float32 [samples] at `started.format.sample_rate_hz`."""
        return self._float(self.read_pcm())

    def __enter__(self) -> "Speech":
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class AsyncSpeech(_Turn):
    """Audio of one text, chunk by chunk, for asyncio. Iterate once; also a context manager.

    Raises a `csm.errors.ServiceError` where the call fails. A turn that failed on its way raises
    what its terminal says after its last chunk, and `completed` is there. Leaving an `async with`
    block, `cancel`, or cancelling the task that iterates ends the turn at the server.
    """

    _event = asyncio.Event
    _cancel_requested: asyncio.Event

    def __aiter__(self) -> AsyncIterator[AudioChunk]:
        return self

    async def __anext__(self) -> AudioChunk:
        while not self._cancelled:
            try:
                # Not call.read(): that gives up messages still unread when the status is in.
                message = await anext(aiter(self._call))
                chunk = self._take(message)
            except StopAsyncIteration:
                break
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    self.cancel()
                    raise
                if self._cancelled or self.completed:
                    break
                # grpc.aio also shows a status CANCELLED of the server in this way.
                await self._again(ended_by_server(self._target, self._deadline))
                continue
            except grpc.RpcError as error:
                if self._cancelled or self.completed:
                    break
                await self._again(self._failure(error))
                continue
            if chunk is not None:
                return chunk
        self._end()
        raise StopAsyncIteration

    async def _again(self, failure: errors.ServiceError) -> None:
        """Waits and opens the call anew; raises the failure where that is not to be."""
        delay_s = self._wait_s(failure)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._cancel_requested.wait()
        if not self._cancelled:
            self._reopen()

    async def read_pcm(self) -> bytes:
        """The bytes that are still to come, in the format of `started`."""
        return b"".join([chunk.pcm async for chunk in self])

    async def read_all(self) -> NDArray[np.float32]:
        """What is still to come as mono float32 [samples] at `started.format.sample_rate_hz`."""
        return self._float(await self.read_pcm())

    async def __aenter__(self) -> "AsyncSpeech":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
