"""How many bytes the messages of a call have, counted where they are bytes anyway."""

from collections.abc import Callable
from typing import Any

from csm.serving.calls.record import current


def counting_in(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """As `deserialize`; the record of the call counts. None: messages stay bytes, uncounted."""
    if deserialize is None:
        return None

    def counted(data: bytes) -> Any:
        if (record := current.get()) is not None:
            record.bytes_in += len(data)
        return deserialize(data)

    return counted


def counting_out(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """As `serialize`; the record of the call counts. None: messages are bytes, uncounted."""
    if serialize is None:
        return None

    def counted(answer: Any) -> bytes:
        data = serialize(answer)
        if (record := current.get()) is not None:
            record.bytes_out += len(data)
        return data

    return counted
