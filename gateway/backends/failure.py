"""A call to a backend failed."""

import logging

import grpc

from csm import errors
from gateway.speaking.events import FinishReason
from gateway.speaking.fate import Source

log = logging.getLogger(__name__)

_CREDENTIAL = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class BackendFailure(Exception):
    """What failed, with what status, and the error to show for it."""

    def __init__(
        self,
        source: Source,
        code: grpc.StatusCode,
        error: errors.ServiceError,
        reason: FinishReason = FinishReason.ERROR,
        *,
        hangs: bool = False,
    ) -> None:
        """`reason` is what a terminal says, where the failure is told by a terminal; `hangs`: the
        backend holds its connection, and may be come to again."""
        super().__init__(f"{source.value}: {error.message}")
        self.source = source
        self.code = code
        self.error = error
        self.reason = reason
        self.hangs = hangs

    @classmethod
    def of(cls, source: Source, error: grpc.aio.AioRpcError) -> "BackendFailure":
        """From a status."""
        code = error.code()
        if code is grpc.StatusCode.CANCELLED:
            # Nobody here asked for it: the server stopped.
            return cls(source, code, errors.Unavailable(f"the {source.value} ended the call"))
        if code in _CREDENTIAL:
            # It is ours that is wrong: no client can do anything about it.
            log.error(
                "the %s does not take the credential of this gateway (backend_token_file, "
                "backend_certificate): %s",
                source.value,
                code.name,
            )
            return cls(source, code, errors.Unavailable(f"the {source.value} cannot be used"))
        shown = errors.from_rpc_error(error, source.value)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return cls(source, code, shown, FinishReason.DEADLINE)
        return cls(source, code, shown)

    @classmethod
    def silent(cls, source: Source, waited_s: float, what: str) -> "BackendFailure":
        """Of a backend that holds its connection and does nothing."""
        error = errors.Unavailable(f"the {source.value} gave no {what} for {waited_s:.1f} s")
        return cls(source, grpc.StatusCode.UNAVAILABLE, error, hangs=True)

    @classmethod
    def ended(cls, source: Source) -> "BackendFailure":
        """Of a backend that ended its call before its work was done."""
        error = errors.Unavailable(f"the {source.value} ended the call")
        return cls(source, grpc.StatusCode.UNAVAILABLE, error)
