"""A part of a file as a file of its own, behind bytes of our making."""

import io
import os
from typing import Any, BinaryIO, cast


class Spliced(io.RawIOBase):
    """Bytes, and then a part of another file, as one file that can be read and sought."""

    def __init__(self, head: bytes, file: BinaryIO, start: int, length: int) -> None:
        self._head, self._file, self._start = head, file, start
        self._end = len(head) + length
        self._at = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves, and gives the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Reads into a buffer; gives the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        want = min(len(view), max(0, self._end - self._at))
        done = 0
        if self._at < len(self._head):
            part = self._head[self._at : self._at + want]
            view[: len(part)] = part
            done = len(part)
        if done < want:
            self._file.seek(self._start + self._at + done - len(self._head))
            part = self._file.read(want - done)
            view[done : done + len(part)] = part
            done += len(part)
        self._at += done
        return done


def spliced(head: bytes, file: BinaryIO, start: int, length: int) -> BinaryIO:
    """`head` and then `length` bytes of the file from `start` on. Unlike files it can be sought
    before its start, as libsndfile does in broken ones; that is its start then."""
    return cast(BinaryIO, Spliced(head, file, start, length))
