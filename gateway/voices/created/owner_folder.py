"""The folder of a tenant's voices, beside the voices of no owner: `@` and the tenant's name.

Letters in lower case, digits, `-` and `_` stand for themselves, every other byte of UTF-8 as `%2f`:
no name leaves the folder, and no file system takes two for one. A name that would be too long for a
file system is `@@` and its hash, with the name itself in a file `.tenant`.
"""

import contextlib
import re
from hashlib import blake2b
from pathlib import Path

from gateway.voices.created.sharing import share

MARK = "@"
"""No voice's name begins with it."""
NAME_FILE = ".tenant"
MAX_CHARS = 200
MAX_NAME_BYTES = 64 << 10
_ESCAPED = re.compile(rb"[^a-z0-9_-]")
_QUOTED = re.compile(r"(?:[a-z0-9_-]|%[0-9a-f]{2})+")


def folder_of(root: Path, owner: str) -> Path:
    """Where an owner's voices are; `root` itself for the owner ""."""
    return root / folder_name(owner) if owner else root


def make_folder(root: Path, owner: str) -> Path:
    """The owner's folder, made where it is not there yet."""
    folder = folder_of(root, owner)
    if folder == root:
        return folder
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        share(folder, root)
    if folder.name.startswith(MARK * 2):
        _write_name(folder / NAME_FILE, _bytes(owner), root)
    return folder


def folder_name(owner: str) -> str:
    """The name of an owner's folder."""
    name = _ESCAPED.sub(lambda one: b"%%%02x" % one[0][0], _bytes(owner)).decode()
    if len(name) > MAX_CHARS:
        name = MARK + blake2b(_bytes(owner), digest_size=32).hexdigest()
    return MARK + name


def owner_of(folder: Path) -> str | None:
    """Whose voices a folder has; None: it is no folder of an owner. Raises `OSError`."""
    told = folder.name.removeprefix(MARK)
    if told == folder.name:
        return None
    try:
        if told.startswith(MARK):
            with (folder / NAME_FILE).open("rb") as file:
                named = file.read(MAX_NAME_BYTES)
        elif _QUOTED.fullmatch(told):
            named = bytes.fromhex(
                re.sub(
                    r"%(..)|(.)", lambda one: one[1] or f"{ord(one[2]):02x}", told, flags=re.DOTALL
                )
            )
        else:
            return None
        owner = named.decode(errors="surrogatepass")
    except (FileNotFoundError, NotADirectoryError, UnicodeError):
        return None
    # Written by somebody else, it might be a second folder of the same owner.
    return owner if owner and folder_name(owner) == folder.name else None


def _write_name(path: Path, name: bytes, root: Path) -> None:
    if not path.exists():
        path.write_bytes(name)
        share(path, root)
    elif path.read_bytes() != name:
        # Of a gateway that was killed amid it.
        path.write_bytes(name)


def _bytes(owner: str) -> bytes:
    # A tenant that came as JSON may have half of a pair of surrogates.
    return owner.encode(errors="surrogatepass")
