"""What a blocking conversation sends: a queue with a bound between its caller and gRPC's thread."""

import threading
from collections import deque

from csm import errors
from csm.v1 import speech_pb2

MAX_WAITING_BYTES = 4 << 20
"""Messages that wait to be sent, in all; a single larger one still goes."""


class Outgoing:
    """The messages of one call, as the iterator that gRPC reads in a thread of its own."""

    def __init__(self, first: speech_pb2.ConverseRequest) -> None:
        self._waiting = deque([first])
        self._bytes = first.ByteSize()
        self._changed = threading.Condition()
        self._finished = False
        self._ended = False

    def put(self, request: speech_pb2.ConverseRequest, timeout_s: float) -> bool:
        """Queues a message; waits while the queue is full. False: the call is over.

        Raises `FailedPrecondition` after `finish`, and `DeadlineExceeded` where the server took
        nothing for `timeout_s`.
        """
        size = request.ByteSize()
        with self._changed:
            if not self._changed.wait_for(lambda: self._may_go(size), timeout_s):
                raise errors.DeadlineExceeded(
                    f"the server took nothing for {timeout_s:g} s; "
                    "are the events of the conversation read meanwhile?"
                )
            if self._ended:
                return False
            if self._finished:
                raise errors.FailedPrecondition("nothing can be sent after finish")
            self._waiting.append(request)
            self._bytes += size
            self._changed.notify_all()
            return True

    def _may_go(self, size: int) -> bool:
        room = not self._waiting or self._bytes + size <= MAX_WAITING_BYTES
        return room or self._ended or self._finished

    def finish(self) -> None:
        """Nothing more comes: the stream is half-closed after what waits. Idempotent."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def end(self) -> None:
        """The call is over: what waits is dropped, and both sides stop waiting. Idempotent."""
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify_all()

    def __iter__(self) -> "Outgoing":
        return self

    def __next__(self) -> speech_pb2.ConverseRequest:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finished or self._ended)
            if not self._waiting:
                raise StopIteration
            request = self._waiting.popleft()
            self._bytes -= request.ByteSize()
            self._changed.notify_all()
            return request
