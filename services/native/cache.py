"""Where compiled libraries are kept, who may write there, and for how long they stay."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from services.native import progress

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

KEPT = 3
"""Libraries of one name and level that stay: this version's, and those of the last ones."""
POLL_S = 0.2
"""Between two looks whether another process has compiled what this one waits for."""
ABANDONED_S = 3600
"""A file that was begun this long ago, and not finished, was left by a process that was killed."""


def directories() -> list[Path]:
    """Return where libraries are looked for, and made in the first that can be written.

    `CSM_NATIVE_DIR` alone where it is set; else the user's cache directory, and behind it one among
    the temporary files: a user of a container may have no home, or one that nobody may write.
    """
    chosen = os.environ.get("CSM_NATIVE_DIR")
    if chosen:
        return [Path(chosen)]
    found = []
    base = os.environ.get("XDG_CACHE_HOME")
    # Neither HOME nor an entry in the list of users: there is no home.
    with contextlib.suppress(RuntimeError):
        found.append((Path(base) if base else Path.home() / ".cache") / "csm-server" / "native")
    return [*found, _temporary()]


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"csm-server-{_user()}" / "native"


def _user() -> int:
    return os.getuid() if sys.platform != "win32" else 0


def is_safe(directory: Path) -> bool:
    """Whether what lies in it may be loaded. Everybody may write where temporary files are: there
    only a directory of our own, which nobody else may write, is trusted."""
    if directory != _temporary():
        return True
    with contextlib.suppress(OSError):
        return all(_is_ours(each) for each in (directory.parent, directory))
    return False


def _is_ours(directory: Path) -> bool:
    found = directory.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and found.st_uid == _user() and not found.st_mode & others


def make(directory: Path) -> None:
    """Make a directory that only its owner may write, as what lies there is going to be loaded.

    Raises:
        OSError: it cannot be made or written, or it is somebody else's.
    """
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.mkdir(exist_ok=True, mode=0o700)
    if not is_safe(directory):
        raise PermissionError(f"{directory} is another user's")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(f"{directory} may not be written")


@contextlib.contextmanager
def locked(path: Path, what: str, within_s: float) -> Iterator[None]:
    """Held by one process at a time for each `path`, a file that need not exist; others wait.

    A lock ends with its process. Who waited has to look whether what it wants is there by now.

    Raises:
        OSError: it cannot be had; `TimeoutError`: another process has held it for `within_s`.
    """
    if sys.platform == "win32":
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(handle, what, within_s)
        try:
            yield
        finally:
            # Whoever still waits for it finds the library made; who comes later, its own lock.
            lock.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _acquire(handle: int, what: str, within_s: float) -> None:
    until, waits = time.monotonic() + within_s, False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                problem = f"another process compiles {what}, for {within_s:.0f} s and more"
                raise TimeoutError(problem) from None
        if not waits:
            progress.tell(f"another process compiles {what}: waiting for it")
            waits = True
        time.sleep(POLL_S)


def clean(directory: Path, pattern: str, *, kept: int = KEPT) -> None:
    """Remove all files of a pattern but the newest `kept`, and what was never finished."""
    libraries = sorted(directory.glob(pattern), key=_age_s)
    abandoned = [each for each in directory.glob(".building-*") if _age_s(each) > ABANDONED_S]
    for old in (*libraries[kept:], *abandoned):
        with contextlib.suppress(OSError):
            old.unlink()
            log.info("removed %s, of another version", old)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
