"""HTTP/2 frames by hand: what no client library would send."""

import socket
import struct
from collections.abc import Iterable

HEADERS, DATA, SETTINGS, GOAWAY, WINDOW_UPDATE = 1, 0, 4, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_INITIAL_WINDOW_SIZE = 4

Header = tuple[bytes, bytes]


def rpc_headers(path: bytes, *more: Header, without: Iterable[bytes] = ()) -> list[Header]:
    """The headers of a gRPC request; `more` replace those of their name."""
    headers = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
        **dict(more),
    }
    return [(name, value) for name, value in headers.items() if name not in without]


def message(payload: bytes) -> bytes:
    """A gRPC message: not compressed, its length, itself."""
    return struct.pack(">BI", 0, len(payload)) + payload


class RawConnection:
    """One connection; reads nothing unless asked."""

    def __init__(self, address: str, *, window_bytes: int = 65_535) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=5)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._frame(SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, window_bytes))
        self._frame(SETTINGS, _ACK, 0, b"")

    def headers(self, stream: int, headers: Iterable[Header], *, end: bool = False) -> None:
        """Begins a call; `stream` is an odd number."""
        block = b"".join(_literal(name, value) for name, value in headers)
        self._frame(HEADERS, _END_HEADERS | (_END_STREAM if end else 0), stream, block)

    def data(self, stream: int, payload: bytes, *, end: bool = False) -> None:
        """Sends bytes of a call."""
        self._frame(DATA, _END_STREAM if end else 0, stream, payload)

    def more_window(self, stream: int, size: int) -> None:
        """Lets the peer send so many more bytes of a call."""
        self._frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))

    def read(self, seconds: float = 0.3) -> bytes:
        """What comes within the time, or until the peer closes."""
        self._socket.settimeout(seconds)
        came = b""
        try:
            while part := self._socket.recv(65_536):
                came += part
        except (TimeoutError, ConnectionResetError):
            pass
        return came

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream)
        self._socket.sendall(head + payload)


def _literal(name: bytes, value: bytes) -> bytes:
    # RFC 7541 6.2.2: without indexing, a new name, no Huffman code.
    return b"\x00" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, length = len(text) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + text
