"""The two calls behind a spoken turn: Generate and StreamingDecode, as plain objects.

Requests go into a queue that the call itself drains, so nobody who sends ever waits.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc

from csm import errors
from csm.serving.logging import request_id
from csm.status import TrueStatus
from csm.v1 import common_pb2, generator_pb2, tokenizer_pb2
from gateway.backends.backends import Backends, affinity
from gateway.conversations.store import Segment

# The stubs for mypy do not know it.
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
SEGMENTS_MESSAGE_BYTES = 1 << 20


_LOST = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
)


class UpstreamFailure(Exception):
    """A call to a backend failed: which, with what status, and the error to show for it."""

    def __init__(
        self,
        service: str,
        code: grpc.StatusCode,
        error: errors.ServiceError,
        reason: common_pb2.FinishReason = common_pb2.FINISH_REASON_ERROR,
    ) -> None:
        """`reason` is what a terminal says, where the failure is told by a terminal."""
        super().__init__(f"{service}: {error.message}")
        self.service = service
        self.code = code
        self.error = error
        self.reason = reason

    @property
    def lost(self) -> bool:
        """Whether the backend, rather than the request, is at fault."""
        return self.code in _LOST

    @property
    def retryable(self) -> bool:
        """Whether another try may do; FAILED_PRECONDITION is a slot that is not yet free."""
        return self.lost or self.code is grpc.StatusCode.FAILED_PRECONDITION

    @classmethod
    def of(cls, service: str, error: grpc.aio.AioRpcError) -> "UpstreamFailure":
        """From a status."""
        code = error.code()
        if code is grpc.StatusCode.CANCELLED:
            # Nobody here asked for it: the server stopped.
            return cls(service, code, errors.Unavailable(f"the {service} ended the call"))
        shown = errors.from_rpc_error(error, service)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return cls(service, code, shown, common_pb2.FINISH_REASON_DEADLINE)
        return cls(service, code, shown)


class Requests:
    """The request side of a call: an iterator over what was put."""

    def __init__(self) -> None:
        self._queue: deque[tuple[Any, int]] = deque()
        self.closed = False
        self.waiting_bytes = 0
        self.taken = asyncio.Event()
        """Set whenever the call has taken one."""
        self._waiter: asyncio.Future[None] | None = None

    def put(self, request: Any, num_bytes: int = 0) -> None:
        """Appends; nothing goes after the close. `num_bytes` count as waiting until it is taken."""
        if not self.closed:
            self._queue.append((request, num_bytes))
            self.waiting_bytes += num_bytes
            self._wake()

    def drop(self) -> None:
        """Forgets what waits: the call has ended."""
        self._queue.clear()
        self.waiting_bytes = 0

    def close(self) -> None:
        """CodecDirection-closes the call after what is in the queue."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            while self._queue:
                request, num_bytes = self._queue.popleft()
                self.waiting_bytes -= num_bytes
                self.taken.set()
                yield request
            if self.closed:
                return
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Call:
    """A bidirectional call to `service`; reads answers, turns statuses into `UpstreamFailure`."""

    def __init__(
        self,
        service: str,
        method: Any,
        timeout_s: float | None,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.service = service
        self.requests = Requests()
        if rid := request_id.get():
            metadata = (*metadata, ("x-request-id", rid))
        self._call = method(aiter(self.requests), timeout=timeout_s, metadata=metadata)
        self._status = TrueStatus(self._call)

    async def read(self) -> Any:
        """The next answer; None after the last."""
        try:
            answer = await self._call.read()
        except grpc.aio.AioRpcError as raised:
            error = await self._status.of(raised)
            if error.code() is grpc.StatusCode.OK:
                return None
            raise UpstreamFailure.of(self.service, error) from error
        return None if answer is EOF else answer

    def cancel(self) -> None:
        """Ends the call at once, on both sides; `read` raises CancelledError."""
        self.requests.close()
        self._call.cancel()


class Generation(Call):
    """One Generate call: the sentences of one spoken turn."""

    def __init__(
        self,
        backends: Backends,
        config: generator_pb2.GenerateConfig,
        context: Iterable[common_pb2.Segment],
        timeout_s: float | None,
    ) -> None:
        super().__init__(
            "generator", backends.generator.Generate, timeout_s, affinity(config.conversation_id)
        )
        self.requests.put(generator_pb2.GenerateRequest(config=config))
        for segments in _batches(context):
            self.requests.put(generator_pb2.GenerateRequest(segments=segments))
        self._credit_granted = config.initial_credit_frames
        self._credit_due = 0
        self._credit_batch = max(1, config.initial_credit_frames // 4)

    @property
    def credit_granted(self) -> int:
        """Frames that the generator may have sent so far."""
        return self._credit_granted

    def speak(self, turn_id: str, text: str) -> None:
        """Has a sentence spoken; an empty one continues the context's last audio."""
        if text:
            self.requests.put(
                generator_pb2.GenerateRequest(text=generator_pb2.GenerateText(text=text))
            )
        self.requests.put(
            generator_pb2.GenerateRequest(flush=generator_pb2.GenerateFlush(turn_id=turn_id))
        )

    def cancel_turn(self, turn_id: str, keep_frames: int) -> None:
        """Ends a sentence in band."""
        self.requests.put(
            generator_pb2.GenerateRequest(
                cancel=generator_pb2.GenerateCancel(turn_id=turn_id, keep_frames=keep_frames)
            )
        )

    def give_credit(self, num_frames: int) -> bool:
        """Allows further frames, in batches; True where a batch went."""
        self._credit_due += num_frames
        if self._credit_due < self._credit_batch:
            return False
        self.requests.put(
            generator_pb2.GenerateRequest(
                credit=generator_pb2.GenerateCredit(frames=self._credit_due)
            )
        )
        self._credit_granted += self._credit_due
        self._credit_due = 0
        return True


class Decoding(Call):
    """One StreamingDecode call: the sound of one spoken turn, without a seam."""

    def __init__(
        self, backends: Backends, form: common_pb2.AudioFormat, timeout_s: float | None
    ) -> None:
        super().__init__("tokenizer", backends.tokenizer.StreamingDecode, timeout_s)
        config = tokenizer_pb2.StreamingDecodeConfig(format=form)
        self.requests.put(tokenizer_pb2.StreamingDecodeRequest(config=config))

    def feed(self, frames: common_pb2.TokenFrames) -> None:
        """Decodes these frames after those before."""
        self.requests.put(tokenizer_pb2.StreamingDecodeRequest(frames=frames))


def context_messages(
    prompts: Iterable[Segment], history: Iterable[Segment]
) -> list[common_pb2.Segment]:
    """The voice's prompts, pinned, then the history."""
    return [s.message(pinned=True) for s in prompts] + [s.message() for s in history]


def _batches(
    context: Iterable[common_pb2.Segment],
) -> Iterable[generator_pb2.GenerateSegments]:
    batch = generator_pb2.GenerateSegments(replace=True)
    size = 0
    for segment in context:
        length = segment.ByteSize()
        if batch.segments and size + length > SEGMENTS_MESSAGE_BYTES:
            yield batch
            batch, size = generator_pb2.GenerateSegments(), 0
        batch.segments.append(segment)
        size += length
    if batch.segments:
        yield batch
