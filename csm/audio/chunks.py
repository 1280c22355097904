"""How many chunks an AIFF, a CAF or a W64 has: each costs its reader some looks.

Layouts: Apple's AIFF-C draft of 1991 and Core Audio Format 1.0, Sony's Wave64.
"""

import os
import struct
from typing import BinaryIO

from csm.audio.pcm import AudioError
from csm.audio.riff import MAX_CHUNKS


def check_chunks(file: BinaryIO, field: str) -> None:
    """Raises `AudioError` about `field` where there are more than `MAX_CHUNKS`.

    Leaves the file at its start.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(4)
    # Where chunks begin, bytes of a name, its size, what of it the size counts, and its padding.
    if magic == b"FORM":
        position, name_bytes, form, counted, align = 12, 4, ">I", 0, 2
    elif magic == b"caff":
        position, name_bytes, form, counted, align = 8, 4, ">q", 0, 1
    else:
        position, name_bytes, form, counted, align = 40, 16, "<Q", 24, 8
    header_bytes = name_bytes + struct.calcsize(form)
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        header = file.read(header_bytes)
        if len(header) < header_bytes:
            break
        size = struct.unpack(form, header[name_bytes:])[0] - counted
        # A CAF whose length is not known says -1; a W64 that counts less than its header lies.
        if size < 0 or position + header_bytes + size >= end:
            break
        position += header_bytes + size + -size % align
    else:
        raise AudioError(field, f"has more than {MAX_CHUNKS} chunks; allowed are {MAX_CHUNKS}")
    file.seek(0)
