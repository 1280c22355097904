"""WebSockets whose unfinished messages are bounded, each and all together."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response

TRY_AGAIN_LATER = 1013
NO_HANDSHAKE = "the request is no handshake of a WebSocket (RFC 6455)\n"
_TOLD = "Failed to open a WebSocket connection"
FREE_BYTES = 64 << 10
"""What a connection may have waiting whatever the others have: one part as it was read."""


class BoundedSocket(WebSocketsSansIOProtocol):
    """A connection that is closed where all together have too much, and it has the most of it.

    uvicorn bounds a message; a thousand of them, none of which is ever finished, it does not.
    """

    max_waiting_bytes = 8 << 20
    waiting: dict["BoundedSocket", int]
    """Bytes that were read and are no whole message yet, of all connections of a server."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._reject = self.conn.reject
        self.conn.reject = self._rejected  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:
            self._refuse()
            return
        size = len(self.conn.reader.buffer) + sum(map(len, self.frames))
        if size > FREE_BYTES and not self.transport.is_closing():
            self.waiting[self] = size
            if sum(self.waiting.values()) > self.max_waiting_bytes:
                max(self.waiting, key=self.waiting.__getitem__)._give_up()
        else:
            self.waiting.pop(self, None)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # uvicorn does not note that a refusal has been answered: it would log each as an error
            # of ours, and anybody can be refused.
            self.handshake_complete = True

    def _rejected(self, status: Any, text: str) -> Response:
        # What is wrong is told there with the header itself, and a token may stand in it.
        return self._reject(status, NO_HANDSHAKE if text.startswith(_TOLD) else text)

    def _refuse(self) -> None:
        """All of the head came at once, and is none for the library, which says nothing then and
        waits for ever."""
        if not self.transport.is_closing():
            body = NO_HANDSHAKE.encode()
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body)
            )
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def _give_up(self) -> None:
        self.waiting.pop(self, None)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": TRY_AGAIN_LATER})
        self.conn.send_close(TRY_AGAIN_LATER, "resource_exhausted")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()


def bounded_sockets(max_waiting_bytes: int) -> type[BoundedSocket]:
    """The protocol of one server."""
    bounds: dict[str, Any] = {"max_waiting_bytes": max_waiting_bytes, "waiting": {}}
    return type("SocketProtocol", (BoundedSocket,), bounds)
