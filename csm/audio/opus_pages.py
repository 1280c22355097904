"""Opus in Ogg as bytes: how much audio whole pages hold. Nothing is decoded.

Page layout: RFC 3533. Packets of Opus in it: RFC 7845; how long one lasts: RFC 6716, 3.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

CLOCK_HZ = 48_000
"""What positions in a stream of Opus are counted at, whatever its own rate."""
_HEADER_BYTES = 27
_CONTINUED, _END_OF_STREAM = 1, 4
_NO_POSITION = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Page:
    """One page of Ogg."""

    position: int | None
    """Samples of the stream by the end of its last packet, at 48 kHz; None: none ends in it."""
    is_last: bool
    """The stream ends with it."""
    packets: tuple[bytes, ...]
    """The packets that begin in it, as far as they are there."""


def pages(data: bytes) -> Iterator[Page]:
    """The pages of an Ogg stream, which `data` holds whole. Raises ValueError where it does not."""
    at = 0
    while at < len(data):
        header = data[at : at + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES or header[:4] != b"OggS":
            raise ValueError(f"byte {at} does not begin a page of Ogg")
        flags, lacing = header[5], data[at + _HEADER_BYTES : at + _HEADER_BYTES + header[26]]
        body = at + _HEADER_BYTES + header[26]
        at = body + sum(lacing)
        if len(lacing) < header[26] or at > len(data):
            raise ValueError("ends within a page of Ogg")
        position = int.from_bytes(header[6:14], "little")
        yield Page(
            None if position == _NO_POSITION else position,
            bool(flags & _END_OF_STREAM),
            tuple(_packets(data, body, lacing, continued=bool(flags & _CONTINUED))),
        )


def _packets(data: bytes, at: int, lacing: bytes, *, continued: bool) -> Iterator[bytes]:
    size = 0
    for index, length in enumerate(lacing):
        size += length
        if length < 255 or index == len(lacing) - 1:
            if not continued:
                yield data[at : at + size]
            continued = False
            at, size = at + size, 0


def packet_samples(packet: bytes) -> int:
    """Samples of a packet of Opus at 48 kHz. Raises ValueError where it is none."""
    if not packet or (packet[0] & 3 == 3 and len(packet) < 2):
        raise ValueError("a packet of Opus without its first bytes")
    configuration, count = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        samples = (480, 960, 1920, 2880)[configuration & 3]
    elif configuration < 16:
        samples = (480, 960)[configuration & 1]
    else:
        samples = 120 << (configuration & 3)
    return samples * (packet[1] & 0x3F if count == 3 else (1, 2, 2)[count])


def opus_samples(data: bytes, rate_hz: int) -> int:
    """Samples of one channel at `rate_hz` that whole pages of one stream decode to.

    For packets of one length, as encoders of speech make them: the padding of the stream's last
    packet is told from its length. Raises ValueError where `data` is not whole pages of Opus.
    """
    total = 0
    for page in pages(data):
        packets = [packet for packet in page.packets if not packet.startswith(b"OpusTags")]
        if packets and packets[0].startswith(b"OpusHead"):
            total -= pre_skip(packets[0])
            continue
        lengths = [packet_samples(packet) for packet in packets]
        total += sum(lengths)
        if page.is_last and lengths and page.position is not None:
            total -= -page.position % lengths[-1]
    return max(0, total) * rate_hz // CLOCK_HZ


def pre_skip(head: bytes) -> int:
    """Samples at 48 kHz that a player leaves out at the start, as the packet OpusHead says."""
    if len(head) < 12:
        raise ValueError("a header of Opus that is too short")
    return int.from_bytes(head[10:12], "little")
