"""One file of the Hugging Face hub, fetched so that what is there is never fetched twice.

huggingface_hub goes on with a broken transfer only within one call: what a run that ended has
fetched it throws away (its `_download_to_tmp_and_move`), which of a model is gigabytes. So the part
that is there is kept under a name of its own, and its function for the transfer is told where to go
on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PART_SUFFIX = ".part"
"""What the name of a file ends in that is not whole yet."""
_BLOCK_BYTES = 1 << 22

Advance = Callable[[int], None]
"""Called with bytes that have come since the last call; negative where some are to come again."""


class DigestError(Exception):
    """A file is not what the hub says it is."""


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it. `sha256` is there of large files, `git_sha1` of all others: git's
    own digest of a blob. Either may be empty, where a mirror does not tell."""

    name: str
    bytes: int
    sha256: str = ""
    git_sha1: str = ""

    def part(self, directory: Path) -> Path:
        """Where what is not whole yet lies: of this content, and of no other revision's."""
        content = (self.sha256 or self.git_sha1 or "unknown")[:16]
        return directory / f".{self.name}.{content}{PART_SUFFIX}"

    def is_whole(self, file: Path) -> bool:
        """Whether `file` has the size and the digest of this one; reads all of it."""
        if not file.is_file() or file.stat().st_size != self.bytes:
            return False
        wanted = self.sha256 or self.git_sha1
        return not wanted or _digest(file, git=not self.sha256) == wanted

    def missing_bytes(self, directory: Path) -> int:
        """How much of it is still to come, by sizes alone."""
        for file in (directory / self.name, self.part(directory)):
            if file.is_file() and file.stat().st_size <= self.bytes:
                return self.bytes - file.stat().st_size
        return self.bytes


def fetch(
    file: HubFile, url: str, directory: Path, headers: dict[str, str], advance: Advance
) -> Path:
    """Bring one file into a directory, from where an earlier run was broken off; its digest is
    checked before it has its name.

    Raises:
        DigestError: what came is not what was announced; the next try begins anew.
        OSError and the errors of huggingface_hub and its HTTP client: what has come is kept.
    """
    from huggingface_hub.file_download import http_get

    target, part = directory / file.name, file.part(directory)
    if file.is_whole(target):
        advance(file.bytes)
        return target
    with part.open("ab") as stream:
        have = stream.tell()
        if have > file.bytes:
            stream.truncate(0)
            stream.seek(0)
            have = 0
        advance(have)
        if have < file.bytes:
            http_get(
                url,
                stream,
                resume_size=have,
                headers=headers,
                expected_size=file.bytes,
                tqdm_class=_silent_bar(advance),
            )
    if not file.is_whole(part):
        part.unlink()
        raise DigestError(
            f"{file.name}: what came is not what the hub announces (sha256 "
            f"{file.sha256 or file.git_sha1}): it was deleted"
        )
    part.replace(target)
    return target


def _digest(file: Path, *, git: bool) -> str:
    digest = hashlib.sha1(usedforsecurity=False) if git else hashlib.sha256()
    if git:
        digest.update(f"blob {file.stat().st_size}\0".encode())
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _silent_bar(advance: Advance) -> type[Any]:
    """A tqdm class that draws nothing and tells what comes."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    class Silent(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["disable"] = True
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            advance(int(n or 0))
            return super().update(n)

    return Silent
