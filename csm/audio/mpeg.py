"""Whether an MP3 begins with frames: ISO/IEC 11172-3 2.4.1.3, the lower rates of 13818-3, ID3v2.

A decoder that is given anything else looks for a frame byte by byte to the end of the file, and
libmpg123 writes lines to the standard error at each step: megabytes of a log for one of a file.
"""

import os
from typing import BinaryIO

MAX_JUNK_BYTES = 4096
"""Before the first frame, tags not counted; players tolerate some."""
_MAX_TAGS = 16
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def begins_with_frames(file: BinaryIO) -> bool:
    """Whether frames of layer III begin within `MAX_JUNK_BYTES` behind the tags, two in a row.

    One is enough where the file ends with it. Leaves the file at its start.
    """
    end = file.seek(0, os.SEEK_END)
    start = _after_tags(file)
    file.seek(start)
    head = file.read(MAX_JUNK_BYTES + 4)
    found = False
    at = head.find(b"\xff")
    while 0 <= at < MAX_JUNK_BYTES and not found:
        if length := _frame_bytes(head[at : at + 4]):
            file.seek(start + at + length)
            found = start + at + length >= end or bool(_frame_bytes(file.read(4)))
        at = head.find(b"\xff", at + 1)
    file.seek(0)
    return found


def _after_tags(file: BinaryIO) -> int:
    position = 0
    for _ in range(_MAX_TAGS):
        file.seek(position)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3":
            break
        # Seven bits of each of four bytes.
        size = sum(
            (byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True)
        )
        position += 10 + size
    return position


def _frame_bytes(header: bytes) -> int:
    """Length of the frame that begins with these 4 bytes; 0: they begin none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in _RATES_HZ or rate == 3 or not 1 <= bitrate <= 14:
        return 0
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[bitrate]
    samples_8 = 144 if version == 3 else 72
    return samples_8 * kbits * 1000 // _RATES_HZ[version][rate] + (header[2] >> 1 & 1)
