"""Errors in the shape of OpenAI's API: a status, and `{"error": {message, type, param, code}}`."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import grpc
from google.rpc import error_details_pb2
from starlette.responses import JSONResponse

from csm import errors
from csm.serving.auth.refusals import Refusal

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class HttpError(Exception):
    """A refusal that only HTTP knows, such as a body that is too large."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers = dict(headers or {})


def status_of(error: errors.ServiceError) -> int:
    """The status of HTTP for a failure of ours."""
    return _STATUS.get(error.code, 500)


def violations_of(error: errors.ServiceError) -> list[errors.FieldViolation]:
    """The fields that are wrong, of an error that names some."""
    return [
        errors.FieldViolation(violation.field, violation.description)
        for detail in error.details()
        if isinstance(detail, error_details_pb2.BadRequest)
        for violation in detail.field_violations
    ]


def error_body(error: errors.ServiceError) -> dict[str, Any]:
    """What stands behind `error` in an answer, also in a message of a WebSocket."""
    violations = violations_of(error)
    param: str | None = violations[0].field if violations else None
    if isinstance(error, errors.NotFound):
        param = error.resource_type
    status = status_of(error)
    code = error.reason if isinstance(error, errors.QuotaExceeded) else error.code.name
    return _body(status, error.message, param, code, violations)


def error_response(error: errors.ServiceError) -> JSONResponse:
    """The answer to a request that failed so."""
    headers = {}
    if isinstance(error, errors.RetryableError):
        # Whole seconds by the standard, never fewer than it takes; the second header is what
        # OpenAI's clients look for first.
        headers["retry-after"] = str(max(1, ceil(error.retry_after_s)))
        headers["retry-after-ms"] = str(max(1, ceil(error.retry_after_s * 1000)))
    if challenge := _challenge(error):
        headers["www-authenticate"] = challenge
    return JSONResponse({"error": error_body(error)}, status_of(error), headers)


def _challenge(error: errors.ServiceError) -> str:
    """What a client is to bring (RFC 6750); empty where that is not what was wrong."""
    if isinstance(error, errors.Unauthenticated):
        wrong = "" if error.why == Refusal.MISSING else ', error="invalid_token"'
        return f'Bearer realm="csm"{wrong}'
    if isinstance(error, errors.PermissionDenied):
        scopes = " ".join(error.scopes)
        return f'Bearer realm="csm", error="insufficient_scope", scope="{scopes}"'
    return ""


def http_error_response(error: HttpError) -> JSONResponse:
    """The answer to a request that is refused so."""
    body = _body(error.status, error.message, error.param, error.code, ())
    return JSONResponse({"error": body}, error.status, error.headers)


def _body(
    status: int,
    message: str,
    param: str | None,
    code: str,
    violations: Sequence[errors.FieldViolation],
) -> dict[str, Any]:
    kind = "invalid_request_error"
    if status == 429:
        kind = "rate_limit_error"
    elif status >= 500:
        kind = "server_error"
    body: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code.lower()}
    if len(violations) > 1:
        body["violations"] = [{"field": v.field, "description": v.description} for v in violations]
    return body
