"""What gateways of several users need, that write to one folder by their common group: an image is
run as any user of the group 0."""

import os
import stat
from pathlib import Path

LOCK = ".lock"


def share(made: Path | int, root: Path) -> None:
    """Lets the group do with what was just made, a path or an open file, what it may do with the
    folder `root`: whatever the umask is. Raises `OSError`."""
    folder = root.stat()
    status = os.stat(made)
    if not folder.st_mode & stat.S_IWGRP:
        return
    if status.st_gid != folder.st_gid:
        try:
            os.chown(made, -1, folder.st_gid)
        except PermissionError:
            return  # not a group of this user: nobody else is to be let in by another one
    group = stat.S_IRGRP | stat.S_IWGRP
    if stat.S_ISDIR(status.st_mode):
        group |= stat.S_IXGRP | folder.st_mode & stat.S_ISGID
    os.chmod(made, stat.S_IMODE(status.st_mode) | group)


def open_lock(root: Path) -> int:
    """The file that writers to the folder lock, made where it is not there. Raises `OSError`."""
    path = root / LOCK
    try:
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except PermissionError:
            # Another user's: to lock it is enough to read, except where the folder is on NFS.
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        share(made, root)
    except OSError:
        os.close(made)
        raise
    return made
