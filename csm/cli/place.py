"""Where a command writes: a file made whole and then put in place, or a stream that cannot seek."""

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from csm.cli.reporting import CommandError

STANDARD_OUTPUT = Path("-")


def is_stream(path: Path) -> bool:
    """Whether what is written there flows on: standard output, a device, a FIFO."""
    return path == STANDARD_OUTPUT or (path.exists() and not path.is_file())


def check_writable(path: Path) -> None:
    """Raises `CommandError` where nothing can be written at `path`."""
    if path == STANDARD_OUTPUT:
        return
    if path.is_dir():
        raise CommandError(f"{path}: is a directory, not a file to write")
    if is_stream(path):
        if stat.S_ISSOCK(path.stat().st_mode):
            raise CommandError(f"{path}: is a socket, not a file to write")
        if not os.access(path, os.W_OK):
            raise CommandError(f"{path}: no permission to write there")
        return
    # Of a link, where it leads counts: that is what is written.
    real = path.resolve()
    if not real.parent.is_dir():
        raise CommandError(f"{path}: there is no directory {real.parent}")
    if not all(os.access(one, os.W_OK) for one in (real.parent, real) if one.exists()):
        raise CommandError(f"{path}: no permission to write there")


@contextlib.contextmanager
def whole_file(path: Path, suffix: str = "") -> Iterator[Path]:
    """A new file with `suffix` to write, which is put at `path` when the body is done.

    A file there is replaced in one go and keeps its mode; a new one has that of the umask. A link
    stays, and what it points to is replaced. What cannot be replaced (standard output, a device, a
    FIFO) gets the bytes in order. Where the body fails, nothing there has changed.
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory(prefix="csm-") as directory:
            part = Path(directory) / f"part{suffix}"
            yield part
            _copy(part, path)
        return
    real = path.resolve()
    part = real.with_name(f".{real.name}.{os.getpid()}{suffix}")
    # Made here and not by who writes it, so that its mode is that of any new file.
    part.touch()
    mode = (real if real.exists() else part).stat().st_mode
    try:
        yield part
        part.chmod(stat.S_IMODE(mode))
        os.replace(part, real)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _copy(part: Path, path: Path) -> None:
    with part.open("rb") as source:
        if path == STANDARD_OUTPUT:
            shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        # Unbuffered, so that a full device is an error of the write and not of the close.
        with open(path, "wb", buffering=0) as target:
            shutil.copyfileobj(source, target)
