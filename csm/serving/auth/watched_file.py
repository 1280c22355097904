"""A file of the operator's that may change while the service runs."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

LOOK_S = 1.0
SETTLE_S = 0.2
"""How long a new content must stay as it is: one that is written in place is none at first, then a
half, which may end with a line."""
MAX_FILE_BYTES = 4 << 20

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """What a file says, read again when its content changes.

    The content itself is compared, so it does not matter how the change was made: written in place,
    put in its place, or behind a symbolic link that leads elsewhere now, as Kubernetes does it. A
    new content that cannot be used changes nothing and is told once.
    """

    def __init__(self, setting: str, path: Path, parse: Callable[[bytes], T]) -> None:
        """Reads it. `setting` names it to the operator; `parse` raises ValueError for a content
        that it cannot use, in words without any secret.

        Raises ValueError that names setting and path.
        """
        self._setting, self._path, self._parse = setting, path, parse
        self._problem = ""
        try:
            self._content = self._read()
            self.value = parse(self._content)
            """What it says, as `parse` understood it."""
        except (OSError, ValueError) as error:
            raise ValueError(f"{setting}: {path}: {_reason(error)}") from None

    async def look(self) -> bool:
        """Reads it again, off the event loop; whether `value` is another one now."""
        try:
            stamp, content = await asyncio.to_thread(self._stamped)
            if content == self._content:
                self._problem = ""
                return False
            await asyncio.sleep(SETTLE_S)
            if await asyncio.to_thread(self._stamped) != (stamp, content):
                return False  # it is being written; the next look finds the whole of it
            value = await asyncio.to_thread(self._parse, content)
        except (OSError, ValueError) as error:
            problem = _reason(error)
            if problem != self._problem:
                log.error(
                    "%s: %s cannot be used, what it said before holds on: %s",
                    self._setting,
                    self._path,
                    problem,
                )
            self._problem = problem
            return False
        self._content, self.value, self._problem = content, value, ""
        log.info("%s: %s has changed and is in use", self._setting, self._path)
        return True

    async def follow(self) -> None:
        """Looks once a second, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    def _stamped(self) -> tuple[tuple[int, ...], bytes]:
        """The content, before it which file that is and when it was written last."""
        found = self._path.stat()
        return (found.st_dev, found.st_ino, found.st_mtime_ns), self._read()

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"has more than {MAX_FILE_BYTES} bytes")
        return content


def _reason(error: OSError | ValueError) -> str:
    # A UnicodeDecodeError would repeat bytes of the file.
    if isinstance(error, UnicodeError):
        return "is not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
