"""Whether an Ogg holds one stream (RFC 3533): libsndfile reads the first alone of a chain."""

from typing import BinaryIO

from csm.audio.pcm import AudioError
from csm.audio.sniff import CONVERT

# Capture pattern, version 0, "beginning of stream".
_BEGIN = b"OggS\0\2"
_PAGE_HEADER_BYTES = 27
_MAX_STREAMS = 16
_PIECE_BYTES = 1 << 20


def check_single(file: BinaryIO, field: str) -> None:
    """Raises `AudioError` about `field` where a stream begins behind another's samples.

    Leaves the file at its start.
    """
    position = 0
    # Streams side by side begin together, before anything of them comes.
    for _ in range(_MAX_STREAMS):
        file.seek(position)
        page = file.read(_PAGE_HEADER_BYTES + 255)
        if not page.startswith(_BEGIN) or len(page) < _PAGE_HEADER_BYTES:
            break
        segments = page[_PAGE_HEADER_BYTES : _PAGE_HEADER_BYTES + page[26]]
        position += _PAGE_HEADER_BYTES + len(segments) + sum(segments)
    file.seek(position)
    overlap = b""
    while piece := file.read(_PIECE_BYTES):
        if _BEGIN in overlap + piece:
            raise AudioError(
                field, f"is an Ogg of several recordings, one behind another; {CONVERT}"
            )
        overlap = piece[1 - len(_BEGIN) :]
    file.seek(0)
