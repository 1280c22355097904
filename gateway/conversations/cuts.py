"""Where the text of a segment may be cut, word by word, as bytes: a conversation has thousands."""

import struct
from collections.abc import Iterable, Iterator

_CUT = struct.Struct("<HHH")
_MOST = (1 << 16) - 1

Cut = tuple[int, int, int]
"""Behind a word: the end in the text, the end in the text as written, and the frames that must be
heard for the word to count as heard."""


def packed(cuts: Iterable[Cut]) -> bytes:
    """Cuts in order; empty where there are none, or where one of them has no room."""
    found = list(cuts)
    if any(not 0 <= number <= _MOST for cut in found for number in cut):
        return b""
    return b"".join(_CUT.pack(*cut) for cut in found)


def unpacked(data: bytes) -> Iterator[Cut]:
    """What was packed; raises `struct.error` where it was not."""
    return _CUT.iter_unpack(data)


def heard(data: bytes, num_frames: int) -> tuple[int, int, bytes]:
    """The ends of the text, and of the text as written, of which the first `num_frames` are heard,
    and the cuts within them."""
    end = written = count = 0
    for spoken_end, written_end, frames in unpacked(data):
        if frames > num_frames:
            break
        end, written, count = spoken_end, written_end, count + 1
    return end, written, data[: count * _CUT.size]
