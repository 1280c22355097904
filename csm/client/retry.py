"""Statuses back to the errors that caused them, and when a call may be tried again."""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from csm import errors
from csm.client_tls import hint

# The server's timer may run out a little before ours: it counts from when the call came.
_LATE_S = 0.05
REQUEST_ID = "x-request-id"
"""In what a server sends behind a call: by it the call is found in the server's log."""
_SERVICES = {"gateway": "csm.v1.SpeechService", "tokenizer": "csm.v1.TokenizerService"}


class Deadline:
    """When a call as a whole, retries included, has to be over."""

    def __init__(self, timeout_s: float | None) -> None:
        self._at = None if timeout_s is None else time.monotonic() + timeout_s

    def remaining_s(self) -> float | None:
        """Seconds left, at least a millisecond; None without a deadline."""
        return None if self._at is None else max(0.001, self._at - time.monotonic())

    def passed(self) -> bool:
        """Whether the time is up."""
        return self._at is not None and time.monotonic() >= self._at - _LATE_S


NO_DEADLINE = Deadline(None)


def _first(details: Iterable[Message], kind: type[Message]) -> Message | None:
    return next((d for d in details if isinstance(d, kind)), None)


def from_status(
    error: grpc.RpcError, target: str, deadline: Deadline = NO_DEADLINE, service: str = "gateway"
) -> errors.ServiceError:
    """The error behind a status of the server at `target`, with its typed details.

    INVALID_ARGUMENT brings its field violations, RESOURCE_EXHAUSTED and UNAVAILABLE how long to
    wait; what has no class of its own is an `UpstreamError` with the status code. `deadline` is
    the call's own: where it has passed, that is what ended the call, whatever gRPC calls it.
    `request_id` is the server's for the call, where its status came from there.
    """
    failure = _meaning(error, target, deadline, service)
    trailers = getattr(error, "trailing_metadata", lambda: None)() or ()
    failure.request_id = next((str(v) for k, v in trailers if k == REQUEST_ID), "")
    return failure


def _meaning(
    error: grpc.RpcError, target: str, deadline: Deadline, service: str
) -> errors.ServiceError:
    code: grpc.StatusCode = getattr(error, "code", lambda: None)() or grpc.StatusCode.UNKNOWN
    message: str = getattr(error, "details", lambda: "")() or ""
    details = errors.rpc_error_details(error)
    # How gRPC shows a stream that the other side reset, as a server does at a deadline.
    reset = code is grpc.StatusCode.UNKNOWN and message == "Stream removed"
    if code is grpc.StatusCode.CANCELLED or reset:
        return ended_by_server(target, deadline)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not details:
        return _too_late(target)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return errors.UpstreamError(
            code,
            f"the server at {target} is no csm {service}: it does not know this method of "
            f"{_SERVICES[service]}; is that the port of another service?",
            details,
        )
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return errors.Unauthenticated(
            f"{message} (the server at {target}; token= of a client, of csm --token-file, "
            "CSM_TOKEN_FILE or CSM_TOKEN)"
        )
    if code is grpc.StatusCode.UNAVAILABLE and errors.asked_wait_s(details) is None:
        told = f"the server at {target} cannot be reached: {message}"
        if advice := hint(message):
            told = f"the server at {target} cannot be reached: {advice} ({message})"
        return errors.Unavailable(told, 0.0)
    return typed_error(code, message, details)


def typed_error(
    code: grpc.StatusCode, message: str, details: Sequence[Message]
) -> errors.ServiceError:
    """The error of a status taken apart, as the server meant it."""
    wait_s = errors.asked_wait_s(details)
    if code is grpc.StatusCode.UNAVAILABLE:
        return errors.Unavailable(message, wait_s or 0.0)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait_s is not None:
        return errors.refused(message, wait_s, details)
    if any(getattr(one, "reason", "") == errors.LimitReached.reason for one in details):
        return errors.LimitReached(message)
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
        grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
        grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
        grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
        grpc.StatusCode.INTERNAL: errors.Internal,
        grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
        grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    }
    if code in plain:
        return plain[code](message)
    return errors.UpstreamError(code, message or code.name, details)


def from_terminal(status: status_pb2.Status) -> errors.ServiceError:
    """The error that a turn's terminal carries, typed as one that ends a call."""
    shared = errors.from_status_message(status, "server")
    return typed_error(shared.code, status.message, shared.details())


def ended_by_server(target: str, deadline: Deadline = NO_DEADLINE) -> errors.ServiceError:
    """The error of a call that was cancelled, though nobody here asked for it.

    So gRPC ends what reaches a server just as it closes, and what is under way at its deadline.
    """
    if deadline.passed():
        return _too_late(target)
    return errors.Unavailable(f"the server at {target} ended the call", 0.0)


def _too_late(target: str) -> errors.DeadlineExceeded:
    return errors.DeadlineExceeded(f"the server at {target} was not done within the call's timeout")


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
