"""Whether the tables of an MPEG-4 file are such as a recording has: ISO/IEC 14496-12.

FFmpeg makes an entry in memory for each sample that the tables declare, and a table may declare
four thousand million in 12 bytes.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from csm.audio.pcm import AudioError

MAX_ENTRIES = 500_000
"""Packets of all tracks: hours of AAC."""
MAX_BOXES = 65_536
_HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
# Where in these boxes the number of entries is.
_COUNTS = {b"stsz": 8, b"stz2": 8, b"stco": 4, b"co64": 4, b"stsc": 4, b"trun": 4}


def check_tables(file: BinaryIO, field: str) -> None:
    """Raises `AudioError` about `field` where its tables are larger than a recording's.

    Leaves the file at its start.
    """
    end = file.seek(0, os.SEEK_END)
    fragments = 0
    samples, unit = 0, False
    for name, body, size in _boxes(file, end, field):
        if name == b"cmov":
            raise AudioError(field, "is an MPEG-4 file with a packed header; unpack it with ffmpeg")
        file.seek(body)
        if name == b"trak":
            samples, unit = 0, False
        elif name in (b"stts", b"ctts"):
            total, single = _run_lengths(file.read(size))
            unit = unit or (name == b"stts" and single)
            # PCM: one entry for all samples of a chunk, so that their number costs nothing.
            _check(field, 0 if unit and total <= end else total)
        elif name in _COUNTS:
            at = _COUNTS[name]
            table = file.read(at + 4)
            count = struct.unpack(">I", table[at:])[0] if len(table) == at + 4 else 0
            if name == b"trun":
                fragments += count
                _check(field, fragments)
            elif name in (b"stsz", b"stz2"):
                samples = count
            elif name == b"stsc":
                _check(field, count)
                _check_per_chunk(field, file.read(min(size, 12 * count)), end)
            else:
                _check(field, count)
            _check(field, 0 if unit and samples <= end else samples)
    file.seek(0)


def _check(field: str, entries: int) -> None:
    if entries > MAX_ENTRIES:
        raise AudioError(
            field, f"declares {entries} packets; allowed are {MAX_ENTRIES} in an MPEG-4 file"
        )


def _check_per_chunk(field: str, table: bytes, file_bytes: int) -> None:
    for at in range(0, len(table) - 11, 12):
        per_chunk = struct.unpack_from(">I", table, at + 4)[0]
        if per_chunk > file_bytes:
            raise AudioError(
                field, f"declares {per_chunk} samples in a chunk, and has {file_bytes} bytes"
            )


def _run_lengths(table: bytes) -> tuple[int, bool]:
    """The sum of a table of (count, value), and whether all is one run of value 1."""
    pairs = [
        struct.unpack_from(">II", table, at)
        for at in range(8, min(len(table) - 7, 8 + 8 * MAX_ENTRIES), 8)
    ]
    total = sum(count for count, _ in pairs)
    return total, len(pairs) == 1 and pairs[0][1] == 1


def _boxes(file: BinaryIO, end: int, field: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and size of each box, those inside others after them."""
    position = 0
    for _ in range(MAX_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return
        size, name = struct.unpack_from(">I4s", header)
        header_bytes = 8
        if size == 1 and len(header) == 16:
            size, header_bytes = struct.unpack_from(">Q", header, 8)[0], 16
        elif size == 0:
            size = end - position
        size = max(size, header_bytes)
        body = position + header_bytes
        yield name, body, min(size - header_bytes, max(0, end - body))
        position = body if name in _HOLDERS else position + size
    raise AudioError(field, f"has more than {MAX_BOXES} boxes; allowed are {MAX_BOXES}")
