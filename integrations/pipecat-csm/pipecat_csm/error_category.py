"""Errors of csm in the categories of Pipecat, which say whether a service can go on."""

from pipecat.utils.errors import ErrorCategory

from csm import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    QueueFull,
    ServiceError,
    Unavailable,
)

_BY_CODE = {
    "UNAUTHENTICATED": ErrorCategory.AUTHENTICATION,
    "PERMISSION_DENIED": ErrorCategory.AUTHORIZATION,
    "RESOURCE_EXHAUSTED": ErrorCategory.RATE_LIMIT,
    "UNIMPLEMENTED": ErrorCategory.INVALID_REQUEST,
    "INTERNAL": ErrorCategory.SERVER,
}


def error_category(error: ServiceError) -> ErrorCategory:
    """Why it failed. What is wrong with one text is the application's fault, and the next text may
    well be spoken; what is wrong with the settings fails again each time."""
    if isinstance(error, InvalidArgument):
        about_text = all(v.field.startswith(("text", "end_of_turn")) for v in error.violations)
        return ErrorCategory.APPLICATION if about_text else ErrorCategory.INVALID_REQUEST
    if isinstance(error, NotFound):
        return ErrorCategory.INVALID_REQUEST
    if isinstance(error, QueueFull):
        return ErrorCategory.RATE_LIMIT
    if isinstance(error, Unavailable | DeadlineExceeded):
        return ErrorCategory.CONNECTIVITY
    return _BY_CODE.get(error.code.name, ErrorCategory.UNKNOWN)
