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
_LAYER_2, _LAYER_3 = 2, 1
_KBITS_1_LAYER_3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_1_LAYER_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
# Both layers at the lower rates.
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def is_frame_sync(head: bytes) -> bool:
    """Whether bytes begin as frames of layer II or III do."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0


def begins_with_frames(file: BinaryIO) -> bool:
    """Whether frames of layer II or III begin within `MAX_JUNK_BYTES` behind the tags, two in a
    row.

    One is enough where the file ends with it. Leaves the file at its start.
    """
    end = file.seek(0, os.SEEK_END)
    start = after_tags(file)
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


def after_tags(file: BinaryIO) -> int:
    """Where the ID3v2 tags at the start end by their own word, which may be behind the file."""
    position = 0
    for _ in range(_MAX_TAGS):
        file.seek(position)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3":
            break
        position += 10 + tag_bytes(tag)
    return position


def tag_bytes(header: bytes) -> int:
    """Bytes that follow the 10 bytes of an ID3v2 tag's header: seven bits of each of four."""
    return sum(
        (byte & 0x7F) << shift for byte, shift in zip(header[6:10], (21, 14, 7, 0), strict=True)
    )


def _frame_bytes(header: bytes) -> int:
    """Length of the frame that begins with these 4 bytes; 0: they begin none."""
    if len(header) < 4 or not is_frame_sync(header):
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version not in _RATES_HZ or layer not in (_LAYER_2, _LAYER_3):
        return 0
    if rate == 3 or not 1 <= bitrate <= 14:
        return 0
    if version == 3:
        kbits = (_KBITS_1_LAYER_3 if layer == _LAYER_3 else _KBITS_1_LAYER_2)[bitrate]
    else:
        kbits = _KBITS_2[bitrate]
    samples_8 = 72 if version != 3 and layer == _LAYER_3 else 144
    return samples_8 * kbits * 1000 // _RATES_HZ[version][rate] + (header[2] >> 1 & 1)
