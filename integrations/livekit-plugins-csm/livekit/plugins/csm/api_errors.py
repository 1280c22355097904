"""The errors of csm as those of LiveKit Agents, which say whether a request is made again."""

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from csm import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    QueueFull,
    ServiceError,
    Unavailable,
)

# Codes of gRPC as those of HTTP, which the framework tells retryable ones by.
_HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
}


def api_error(error: ServiceError, *, retryable: bool = True) -> APIError:
    """The framework's error for one of csm.

    A server that cannot be reached is an `APIConnectionError`, a deadline an `APITimeoutError`,
    all else an `APIStatusError` with the status that HTTP has for it: 400 and its like are not
    tried again, 429 (a full queue) and 500 are. `retryable=False`: never, for instance because
    audio was heard already.
    """
    if isinstance(error, Unavailable):
        return APIConnectionError(error.message, retryable=retryable)
    if isinstance(error, DeadlineExceeded):
        return APITimeoutError(error.message, retryable=retryable)
    return APIStatusError(
        error.message,
        status_code=_status(error),
        body=_body(error),
        retryable=retryable,
    )


def _status(error: ServiceError) -> int:
    by_type: dict[type[ServiceError], int] = {
        InvalidArgument: 400,
        NotFound: 404,
        FailedPrecondition: 409,
        QueueFull: 429,
    }
    for kind, status in by_type.items():
        if isinstance(error, kind):
            return status
    return _HTTP_STATUS.get(error.code.name, 500)


def _body(error: ServiceError) -> dict[str, object]:
    body: dict[str, object] = {"code": error.code.name}
    if isinstance(error, InvalidArgument):
        body["violations"] = {v.field: v.description for v in error.violations}
    if isinstance(error, QueueFull):
        body["retry_after_s"] = error.retry_after_s
    return body
