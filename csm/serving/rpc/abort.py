"""The end of a call by an error: its status, with details, and when to come back."""

import asyncio

from grpc.aio import ServicerContext

from csm import errors
from csm.serving.calls.request_id import HEADER as REQUEST_ID

ABORT_S = 1.0
"""How long a status may take to a client that does not read; it finds it when it does."""


async def abort(context: ServicerContext, error: errors.ServiceError, rid: str) -> None:
    """Ends the call with the status of `error`, and the request's id `rid` in its trailers.

    Raises what gRPC takes for the end of a call, always.
    """
    trailers: list[tuple[str, str | bytes]] = [
        (errors.DETAILS_KEY, errors.status_details(error)),
        (REQUEST_ID, rid),
    ]
    if (pushback := errors.retry_pushback_ms(error)) is not None:
        trailers.append(("grpc-retry-pushback-ms", str(pushback)))
    try:
        async with asyncio.timeout(ABORT_S):
            await context.abort(error.code, error.message, tuple(trailers))
    except TimeoutError:
        # The status is behind what the client has not read. Of all that a handler may raise, gRPC
        # takes this for the end of a call and adds nothing.
        raise asyncio.CancelledError from None
