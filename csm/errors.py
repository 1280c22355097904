"""Domain errors and their gRPC statuses with `google.rpc` details.

A servicer raises one of these; the interceptor turns it into a status, a client turns the
status back with `from_rpc_error`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "csm.v1"
TOO_LONG = "TOO_LONG"
"""Reason of an ErrorInfo: right in itself, but more than the model's context holds."""
DETAILS_KEY = "grpc-status-details-bin"
# A status travels as headers, of which gRPC takes 8 KiB: beyond, the call ends with another status,
# and nobody learns what was wrong. The text goes twice, the violations once more.
MAX_MESSAGE_CHARS = 1000
MAX_VIOLATIONS = 12
MAX_DESCRIPTIONS_CHARS = 2400
MAX_LOGGED_CHARS = 200


@dataclass(frozen=True)
class FieldViolation:
    """One field that is wrong: its path in the request, and what is allowed."""

    field: str
    description: str


def shortened(text: str, most: int) -> str:
    """The text, its middle left out where it has more than `most` characters."""
    if len(text) <= most:
        return text
    half = (most - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


class ServiceError(Exception):
    """A failure with a gRPC code, a message safe to show, and typed details."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    reason: str = "UNKNOWN"
    request_id: str = ""
    """At a client: the id of the call in the server's log; empty where the server gave none."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = shortened(message, MAX_MESSAGE_CHARS)

    def details(self) -> Sequence[Message]:
        """The `google.rpc` detail messages that travel with the status."""
        return [error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN)]

    def summary(self) -> str:
        """What a log may say of it: reason, fields, kinds of things.

        Never the message, which may repeat what a client sent; only our own faults keep theirs.
        """
        if self.code is grpc.StatusCode.INTERNAL:
            return self.message
        said = []
        for detail in self.details():
            if isinstance(detail, error_details_pb2.BadRequest):
                fields = ", ".join(v.field for v in detail.field_violations)
                said.append(f"fields {shortened(fields, MAX_LOGGED_CHARS)}")
            elif isinstance(detail, error_details_pb2.ResourceInfo):
                said.append(f"no such {shortened(detail.resource_type, MAX_LOGGED_CHARS)}")
            elif isinstance(detail, error_details_pb2.ErrorInfo):
                said.append(f"reason {shortened(detail.reason, MAX_LOGGED_CHARS)}")
            elif isinstance(detail, error_details_pb2.RetryInfo):
                said.append(f"retry after {detail.retry_delay.ToMilliseconds()} ms")
            elif isinstance(detail, error_details_pb2.QuotaFailure):
                subjects = ", ".join(v.subject for v in detail.violations)
                said.append(f"quota {shortened(subjects, MAX_LOGGED_CHARS)}")
        return "; ".join(said) or type(self).__name__


class InvalidArgument(ServiceError):
    """The request is wrong whatever the server's state; names every field at fault."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, *violations: FieldViolation) -> None:
        """All `violations` are kept; the first `MAX_VIOLATIONS` travel, and how many there are."""
        told = [f"{v.field}: {v.description}" for v in violations[:MAX_VIOLATIONS]]
        if (more := len(violations) - MAX_VIOLATIONS) > 0:
            told.append(f"and {more} more")
        super().__init__("; ".join(told))
        self.violations = violations

    def details(self) -> Sequence[Message]:
        told = self.violations[:MAX_VIOLATIONS]
        most = MAX_DESCRIPTIONS_CHARS // max(1, len(told))
        return [
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=v.field, description=shortened(v.description, most)
                    )
                    for v in told
                ]
            )
        ]


class TooLong(InvalidArgument):
    """Right in itself, but more than the model's context holds, whatever is left out."""

    def details(self) -> Sequence[Message]:
        return [*super().details(), error_details_pb2.ErrorInfo(reason=TOO_LONG, domain=DOMAIN)]


def invalid(field: str, description: str) -> InvalidArgument:
    """An `InvalidArgument` about a single field."""
    return InvalidArgument(FieldViolation(field, description))


class NotFound(ServiceError):
    """A named thing that is not there."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "NOT_FOUND"

    def __init__(self, resource_type: str, resource_name: str, hint: str = "") -> None:
        super().__init__(f"{resource_type} {resource_name!r} is not known{hint and '; ' + hint}")
        self.resource_type, self.resource_name = resource_type, resource_name

    def details(self) -> Sequence[Message]:
        return [
            error_details_pb2.ResourceInfo(
                resource_type=self.resource_type, resource_name=self.resource_name
            )
        ]


class AlreadyExists(ServiceError):
    """A name that something else has already."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class LimitReached(ServiceError):
    """There is no room for one more, and waiting makes none: something has to go first."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "LIMIT_REACHED"


class FailedPrecondition(ServiceError):
    """Right in itself, but not in the present state."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class RetryableError(ServiceError):
    """A refusal that carries how long to wait."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def details(self) -> Sequence[Message]:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(math.ceil(self.retry_after_s * 1000))
        return [*super().details(), error_details_pb2.RetryInfo(retry_delay=delay)]


class QueueFull(RetryableError):
    """The server has as much work as it takes: back off."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"


class QuotaExceeded(RetryableError):
    """A principal or its tenant has used up what it is allowed of something."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "QUOTA_EXCEEDED"

    def __init__(self, subject: str, message: str, retry_after_s: float) -> None:
        """`subject` is whose quota of what, such as `tenant:acme/requests_per_minute`."""
        super().__init__(message, retry_after_s)
        self.subject = subject

    def details(self) -> Sequence[Message]:
        violation = error_details_pb2.QuotaFailure.Violation(
            subject=self.subject, description=self.message
        )
        return [*super().details(), error_details_pb2.QuotaFailure(violations=[violation])]


class Unauthenticated(ServiceError):
    """No credential, or one that is not valid; never says which part of it is wrong."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"

    def __init__(self, message: str, why: str = "") -> None:
        """`why` is for our logs and metrics alone."""
        super().__init__(message)
        self.why = why

    def summary(self) -> str:
        """As of all, with what is wrong with the credential."""
        return f"{super().summary()} ({self.why})" if self.why else super().summary()


class PermissionDenied(ServiceError):
    """A valid credential that may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"

    def __init__(self, message: str, why: str = "", scopes: Sequence[str] = ()) -> None:
        """`why` is for our logs and metrics; one of `scopes` would do."""
        super().__init__(message)
        self.why, self.scopes = why, tuple(scopes)


class Unavailable(RetryableError):
    """Not loaded, draining, or a backend is gone: another replica may take it."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"


class DeadlineExceeded(ServiceError):
    """Too late: the caller's deadline passed before the work could be done."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class Internal(ServiceError):
    """A fault of ours; the message carries an id, never internal text."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"


class UpstreamError(ServiceError):
    """A status of another service, forwarded with its details."""

    def __init__(self, code: grpc.StatusCode, message: str, details: Sequence[Message]) -> None:
        super().__init__(message)
        self.code = code
        self._details = details

    def details(self) -> Sequence[Message]:
        return self._details


def status_message(error: ServiceError) -> status_pb2.Status:
    """The error as a `google.rpc.Status`, as terminals carry it."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    for detail in error.details():
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def status_details(error: ServiceError) -> bytes:
    """Serialised `google.rpc.Status` for the trailer `grpc-status-details-bin`."""
    return status_message(error).SerializeToString()


def retry_pushback_ms(error: ServiceError) -> int | None:
    """Milliseconds for the trailer `grpc-retry-pushback-ms`; None where there is none.

    At least 1: grpc 1.85 never makes the next attempt after a pushback of 0.
    """
    if not isinstance(error, RetryableError):
        return None
    return max(1, math.ceil(error.retry_after_s * 1000))


_DETAIL_TYPES: tuple[type[Message], ...] = (
    error_details_pb2.BadRequest,
    error_details_pb2.ErrorInfo,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RetryInfo,
    error_details_pb2.RequestInfo,
    error_details_pb2.QuotaFailure,
)


def rpc_error_details(error: grpc.RpcError) -> list[Message]:
    """The `google.rpc` details of a status, unpacked; unknown types are left out."""
    for key, value in getattr(error, "trailing_metadata", tuple)() or ():
        if key == DETAILS_KEY:
            return _unpacked(status_pb2.Status.FromString(value))
    return []


def _unpacked(status: status_pb2.Status) -> list[Message]:
    found: list[Message] = []
    for packed in status.details:
        for kind in _DETAIL_TYPES:
            detail = kind()
            if packed.Unpack(detail):
                found.append(detail)
    return found


def from_status_message(status: status_pb2.Status, service: str) -> ServiceError:
    """The domain error behind the `google.rpc.Status` in a terminal of `service`."""
    codes = {code.value[0]: code for code in grpc.StatusCode}
    code = codes.get(status.code, grpc.StatusCode.UNKNOWN)
    return from_parts(code, status.message, _unpacked(status), service)


def asked_wait_s(details: Iterable[Message]) -> float | None:
    """Seconds after which to come back, as the details of a status say; None: they do not."""
    for detail in details:
        if isinstance(detail, error_details_pb2.RetryInfo):
            return detail.retry_delay.ToTimedelta().total_seconds()
    return None


def refused(message: str, wait_s: float, details: Iterable[Message]) -> RetryableError:
    """The error behind a RESOURCE_EXHAUSTED that says when to come back."""
    for detail in details:
        if isinstance(detail, error_details_pb2.QuotaFailure) and detail.violations:
            return QuotaExceeded(detail.violations[0].subject, message, wait_s)
    return QueueFull(message, wait_s)


def from_rpc_error(error: grpc.RpcError, service: str) -> ServiceError:
    """The domain error behind a status from `service` (a short name for messages).

    INVALID_ARGUMENT and other faults of the caller pass through with their details;
    UNKNOWN and INTERNAL become an opaque `Internal`, so that no internal text leaks. A refusal
    keeps the time after which the service wants to be asked again.
    """
    code: grpc.StatusCode = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
    message: str = getattr(error, "details", lambda: "")() or ""
    return from_parts(code, message, rpc_error_details(error), service)


def from_parts(
    code: grpc.StatusCode, message: str, details: Sequence[Message], service: str
) -> ServiceError:
    """As `from_rpc_error`, from a status taken apart."""
    wait_s = asked_wait_s(details)
    if code is grpc.StatusCode.UNAVAILABLE:
        if wait_s is None:
            return Unavailable(f"the {service} cannot be reached")
        return Unavailable(message, wait_s)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait_s is not None:
        return refused(message, wait_s, details)
    if code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL):
        return Internal(f"the {service} failed")
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return Unauthenticated(message)
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDenied(message)
    return UpstreamError(code, message, details)
