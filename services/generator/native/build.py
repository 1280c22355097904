"""Compiles the native library, once for a level, and keeps it in the user's cache directory.

The directory is `CSM_NATIVE_DIR`, by default `csm-server/native` in the user's cache directory.
`python -m services.generator.native.build` compiles ahead of time; an image that has no compiler
when it runs keeps the result in `built/` beside this file, which is looked at first. Only what was
built from these sources is used.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from services.generator.native import levels
from services.generator.native.levels import Level

log = logging.getLogger(__name__)

SOURCE = Path(__file__).parent / "source"
BUILT = Path(__file__).parent / "built"
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden")
# A sum must not be rounded otherwise where the compiler sees a multiplication beside it: which it
# sees depends on how a loop was unrolled.
EXACT_FLAGS = ("-ffp-contract=off",)
TIMEOUT_S = 300


class NativeUnavailable(RuntimeError):
    """The native library cannot be used here; the message says why."""


def source_files() -> list[Path]:
    """Return all C++ files, headers included, in a fixed order."""
    return sorted([*SOURCE.glob("*.cpp"), *SOURCE.glob("*.hpp")])


def source_hash() -> str:
    """Return 16 hex digits that change with any source or flag."""
    digest = hashlib.sha256(" ".join((*FLAGS, *EXACT_FLAGS)).encode())
    for path in source_files():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_directory() -> Path:
    """Return where libraries are kept; it need not exist."""
    chosen = os.environ.get("CSM_NATIVE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "csm-server" / "native"


def find_compiler() -> list[str] | None:
    """Return the C++ compiler's command: `CXX`, or the first of c++, g++, clang++; None: none."""
    chosen = shlex.split(os.environ.get("CXX", ""))
    for command in (chosen, ["c++"], ["g++"], ["clang++"]):
        if command and shutil.which(command[0]):
            return command
    return None


def library(level: Level) -> Path:
    """Return the library of a level, compiled now if these sources have not been yet.

    Raises:
        NativeUnavailable: there is none and none can be made.
    """
    stem = f"csm-{source_hash()}-{level.name}"
    directory = cache_directory()
    shipped = _any_of(BUILT, stem)
    if shipped is not None:
        return shipped
    compiler = find_compiler()
    if compiler is None:
        found = _any_of(directory, stem)
        if found is None:
            raise NativeUnavailable(
                "no C++ compiler (c++, g++ or clang++, or what CXX names) and no library built "
                f"ahead of time in {directory}"
            )
        return found
    path = directory / f"{stem}-{_identity(compiler)}.so"
    if not path.is_file():
        _compile(compiler, level, path)
    return path


def _any_of(directory: Path, stem: str) -> Path | None:
    """A library of these sources and level, whichever compiler made it."""
    found = sorted(directory.glob(f"{stem}-*.so")) if directory.is_dir() else []
    return found[0] if found else None


def _identity(compiler: Sequence[str]) -> str:
    """Eight hex digits of the compiler's command and version."""
    try:
        version = subprocess.run(
            [*compiler, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NativeUnavailable(f"the C++ compiler {compiler[0]} does not run: {error}") from error
    return hashlib.sha256(f"{shlex.join(compiler)}\n{version}".encode()).hexdigest()[:8]


def _compile(compiler: Sequence[str], level: Level, path: Path) -> None:
    began = time.monotonic()
    try:
        # Only its owner may write what a process is going to load.
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".building-", suffix=".so")
    except OSError as error:
        raise NativeUnavailable(f"{path.parent} cannot be written: {error}") from error
    os.close(handle)
    command = [
        *compiler, *FLAGS, *EXACT_FLAGS, *level.compiler_flags,
        *(str(file) for file in source_files() if file.suffix == ".cpp"), "-o", name,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode:
            raise NativeUnavailable(
                f"{compiler[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
            )
        # Built in an image by one user, loaded by another; the directory keeps strangers out.
        os.chmod(name, 0o644)
        # Whole or not at all: another process may be looking for it.
        os.replace(name, path)
    except (OSError, subprocess.SubprocessError) as error:
        raise NativeUnavailable(f"{compiler[0]} could not be run: {error}") from error
    finally:
        Path(name).unlink(missing_ok=True)
    log.info("compiled the native library (%s) in %.1f s", level.name, time.monotonic() - began)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build for the levels named, by default the best of this processor; print the paths."""
    parser = argparse.ArgumentParser(description="Compile the generator's native library.")
    names = [level.name for level in levels.of_this_architecture()]
    parser.add_argument(
        "levels", nargs="*", metavar="LEVEL", help=f"{', '.join(names)}, or all; default: the best"
    )
    wanted = parser.parse_args(arguments).levels or [levels.available()[0].name]
    try:
        for name in names if wanted == ["all"] else wanted:
            print(library(levels.named(name)))
    except (NativeUnavailable, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
