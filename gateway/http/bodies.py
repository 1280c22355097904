"""Bodies of requests: refused by their size before they are read, read within a time."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from csm import errors
from gateway.http.errors import HttpError
from gateway.settings import GatewaySettings

READ_ON_S = 1.0
READ_ON_BYTES = 4 << 20
"""What of a body that is refused is read all the same: who is still sending it would find the
connection closed, and never read why."""


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


class Bodies:
    """Reads bodies, for all requests of a gateway: together they hold no more than is allowed."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._held = 0

    async def json(self, scope: Scope, receive: Receive) -> dict[str, Any]:
        """The object that the body is.

        Raises `HttpError` 400, 408, 413 or 415, `QueueFull`, `ClientGone`.
        """
        kind = Headers(scope=scope).get("content-type", "application/json").partition(";")[0]
        kind = kind.strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            await read_on(receive)
            raise HttpError(415, "unsupported_media_type", "Content-Type: must be application/json")
        data = await self.whole(scope, receive)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise HttpError(400, "invalid_json", "body: is not JSON") from None
        if not isinstance(value, dict):
            raise HttpError(400, "invalid_json", "body: must be an object")
        return value

    async def whole(self, scope: Scope, receive: Receive) -> bytes:
        """All of a small body. Raises as `json`."""
        parts: list[bytes] = []
        size = 0
        limit = self._settings.http_max_bodies_bytes
        try:
            async for part in await self.parts(scope, receive, self._settings.http_max_body_bytes):
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if self._held > limit and self._held > size:
                    self._held, size = self._held - size, 0
                    parts.clear()
                    await read_on(receive)
                    raise errors.QueueFull(
                        f"bodies: the requests under way have brought {limit} bytes, as many as "
                        "are held at once"
                    )
        finally:
            self._held -= size
        return b"".join(parts)

    async def parts(
        self, scope: Scope, receive: Receive, max_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        """The body as it comes: `HttpError` 408 or 413, `ClientGone` are raised where it is read.

        Raises `HttpError` 413 or 415 at once where the headers say that it will not do.
        """
        headers = Headers(scope=scope)
        if headers.get("content-encoding", "identity").lower() != "identity":
            await read_on(receive)
            raise HttpError(
                415, "unsupported_media_type", "Content-Encoding: must be left out, or identity"
            )
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > max_bytes:
            await read_on(receive)
            raise _too_large(max_bytes)
        return self._arriving(receive, max_bytes)

    async def _arriving(self, receive: Receive, max_bytes: int) -> AsyncGenerator[bytes, None]:
        size = 0
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._settings.http_arrival_s
        while True:
            try:
                async with asyncio.timeout_at(ends_s):
                    message = await receive()
            except TimeoutError:
                raise HttpError(
                    408,
                    "request_timeout",
                    f"body: did not arrive within {self._settings.http_arrival_s:g} s "
                    "(http_arrival_s)",
                ) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            size += len(part)
            if size > max_bytes:
                if message.get("more_body", False):
                    await read_on(receive)
                raise _too_large(max_bytes)
            if part:
                yield part
            if not message.get("more_body", False):
                return


async def read_on(receive: Receive) -> None:
    """Drops what a client is still sending, for a second at the most."""
    size = 0
    try:
        async with asyncio.timeout(READ_ON_S):
            while size < READ_ON_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _too_large(max_bytes: int) -> HttpError:
    return HttpError(
        413, "request_too_large", f"body: has more than {max_bytes} bytes, the most allowed"
    )
