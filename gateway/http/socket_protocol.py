"""WebSockets whose unfinished messages are bounded, each and all together."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

TRY_AGAIN_LATER = 1013
FREE_BYTES = 64 << 10
"""What a connection may have waiting whatever the others have: one part as it was read."""


class BoundedSocket(WebSocketsSansIOProtocol):
    """A connection that is closed where all together have too much, and it has the most of it.

    uvicorn bounds a message; a thousand of them, none of which is ever finished, it does not.
    """

    max_waiting_bytes = 8 << 20
    waiting: dict["BoundedSocket", int]
    """Bytes that were read and are no whole message yet, of all connections of a server."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        size = len(self.conn.reader.buffer) + sum(map(len, self.frames))
        if size > FREE_BYTES and not self.transport.is_closing():
            self.waiting[self] = size
            if sum(self.waiting.values()) > self.max_waiting_bytes:
                max(self.waiting, key=self.waiting.__getitem__)._give_up()
        else:
            self.waiting.pop(self, None)

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
