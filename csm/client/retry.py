"""Statuses back to the errors that caused them, and when a call may be tried again."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from csm import errors


def _first(details: Iterable[Message], kind: type[Message]) -> Message | None:
    return next((d for d in details if isinstance(d, kind)), None)


def from_status(error: grpc.RpcError, target: str) -> errors.ServiceError:
    """The error behind a status of the server at `target`, with its typed details.

    INVALID_ARGUMENT brings its field violations, RESOURCE_EXHAUSTED and UNAVAILABLE how long to
    wait; what has no class of its own is an `UpstreamError` with the status code.
    """
    code: grpc.StatusCode = getattr(error, "code", lambda: None)() or grpc.StatusCode.UNKNOWN
    message: str = getattr(error, "details", lambda: "")() or ""
    details = errors.rpc_error_details(error)
    wait_s = errors.asked_wait_s(details)
    if code is grpc.StatusCode.CANCELLED:
        return ended_by_server(target)
    if code is grpc.StatusCode.UNAVAILABLE:
        if wait_s is not None:
            return errors.Unavailable(message, wait_s)
        return errors.Unavailable(f"the server at {target} cannot be reached: {message}", 0.0)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait_s is not None:
        return errors.QueueFull(message, wait_s)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        bad = _first(details, error_details_pb2.BadRequest)
        if isinstance(bad, error_details_pb2.BadRequest):
            return errors.InvalidArgument(
                *(errors.FieldViolation(v.field, v.description) for v in bad.field_violations)
            )
    if code is grpc.StatusCode.NOT_FOUND:
        resource = _first(details, error_details_pb2.ResourceInfo)
        if isinstance(resource, error_details_pb2.ResourceInfo):
            missing = errors.NotFound(resource.resource_type, resource.resource_name)
            # The server's own wording may carry a hint.
            missing.message, missing.args = message, (message,)
            return missing
    plain: dict[grpc.StatusCode, type[errors.ServiceError]] = {
        grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
        grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
        grpc.StatusCode.INTERNAL: errors.Internal,
    }
    if code in plain:
        return plain[code](message)
    return errors.UpstreamError(code, message or code.name, details)


def ended_by_server(target: str) -> errors.Unavailable:
    """The error of a call that was cancelled, though nobody here asked for it.

    So gRPC ends what reaches a server just as it closes.
    """
    return errors.Unavailable(f"the server at {target} ended the call", 0.0)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how soon a refused call is tried again.

    Only `Unavailable` is, and only where nothing was delivered: the caller makes sure of it.
    """

    max_attempts: int = 4
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 2.0
    max_wait_s: float = 10.0
    """A server that asks for more than this is not waited for."""

    def delay_s(
        self, attempt: int, error: errors.ServiceError, remaining_s: float | None
    ) -> float | None:
        """Seconds to wait after the failed `attempt` (from 1); None: give up.

        At least what the server asked for; never beyond the `remaining_s` of the deadline.
        """
        if not isinstance(error, errors.Unavailable) or attempt >= self.max_attempts:
            return None
        backoff_s = min(self.max_backoff_s, self.initial_backoff_s * 2 ** (attempt - 1))
        # Spread, so that clients refused together do not come back together.
        delay_s = max(error.retry_after_s, backoff_s) * random.uniform(1.0, 1.2)
        if error.retry_after_s > self.max_wait_s:
            return None
        return None if remaining_s is not None and delay_s >= remaining_s else delay_s
