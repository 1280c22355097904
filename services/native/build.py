"""Compiles a native library, once for a level, and keeps it (`cache.py`).

`python -m services.<service>.native.build` compiles ahead of time; an image that has no compiler
when it runs keeps the result in `built/` beside that file, which is looked at first. Only what was
built from these sources is used.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.native import cache, levels, progress
from services.native.levels import Level

log = logging.getLogger(__name__)

SHARED_SOURCE = Path(__file__).parent / "source"
"""What all libraries are made of: vectors, weights, threads."""
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden")
# A sum must not be rounded otherwise where the compiler sees a multiplication beside it: which it
# sees depends on how a loop was unrolled.
EXACT_FLAGS = ("-ffp-contract=off",)
TIMEOUT_S = 900
"""Of one compilation: half a minute of one core, which on a machine that is busy is many."""
WAIT_S = TIMEOUT_S + 60
"""How long a process waits for another one that compiles the same."""


class NativeUnavailable(RuntimeError):
    """The native library cannot be used here; the message says why."""


def find_compiler() -> list[str] | None:
    """Return the C++ compiler's command: `CXX`, or the first of c++, g++, clang++; None: none."""
    chosen = shlex.split(os.environ.get("CXX", ""))
    for command in (chosen, ["c++"], ["g++"], ["clang++"]):
        if command and shutil.which(command[0]):
            return command
    return None


def _any_of(directory: Path, stem: str) -> Path | None:
    """A library of these sources and level, whichever compiler made it."""
    found = sorted(directory.glob(f"{stem}-*.so")) if directory.is_dir() else []
    return found[0] if found else None


def _identity(compiler: Sequence[str]) -> str:
    """Eight hex digits of the compiler's command and version."""
    return _identity_of(tuple(compiler))


@functools.cache
def _identity_of(compiler: tuple[str, ...]) -> str:
    try:
        version = subprocess.run(
            [*compiler, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NativeUnavailable(f"the C++ compiler {compiler[0]} does not run: {error}") from error
    return hashlib.sha256(f"{shlex.join(compiler)}\n{version}".encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Library:
    """A native library: the shared sources and those in `source/` of its own directory."""

    name: str
    directory: Path

    @property
    def built(self) -> Path:
        """Where what was built ahead of time is looked for first; it need not exist."""
        return self.directory / "built"

    def source_directories(self) -> list[Path]:
        """Return where its sources and headers are."""
        return [SHARED_SOURCE, self.directory / "source"]

    def source_files(self) -> list[Path]:
        """Return all C++ files, headers included, in a fixed order."""
        found = [
            path
            for directory in self.source_directories()
            for path in (*directory.glob("*.cpp"), *directory.glob("*.hpp"))
        ]
        return sorted(found, key=lambda path: path.name)

    def source_hash(self) -> str:
        """Return 16 hex digits that change with any source or flag."""
        digest = hashlib.sha256(" ".join((*FLAGS, *EXACT_FLAGS)).encode())
        for path in self.source_files():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    def path(self, level: Level) -> Path:
        """Return the library of a level, compiled now if these sources have not been yet.

        Raises:
            NativeUnavailable: there is none and none can be made.
        """
        compiler = find_compiler()
        found = self.find(level, compiler)
        if found is not None:
            return found
        places = cache.directories()
        if compiler is None:
            raise NativeUnavailable(
                "no C++ compiler (c++, g++ or clang++, or what CXX names) and no library "
                f"built ahead of time in {' or '.join(map(str, places))}; install one (on Debian "
                "`apt-get install g++`, on macOS `xcode-select --install`) and start again"
            )
        return self._make(compiler, level, places, f"{self._stem(level)}-{_identity(compiler)}.so")

    def find(self, level: Level, compiler: Sequence[str] | None) -> Path | None:
        """Return the library of a level if it is there: in `built`, or made by this compiler (None:
        by any) before.

        Raises:
            NativeUnavailable: the compiler does not run.
        """
        stem = self._stem(level)
        shipped = _any_of(self.built, stem)
        if shipped is not None:
            return shipped
        ending = f"-{_identity(compiler)}.so" if compiler else None
        for directory in filter(cache.is_safe, cache.directories()):
            made = directory / f"{stem}{ending}" if ending else _any_of(directory, stem)
            if made is not None and made.is_file():
                return made
        return None

    def best_level(self) -> Level:
        """Return the best level of this processor whose library there is, or can be made now.

        Raises:
            NativeUnavailable: there is none.
        """
        return self._best_of(levels.available())

    def usable_levels(self, *, generic: bool = True) -> list[Level]:
        """Return the levels of this processor to choose among, the best first: the best one, which
        is compiled now if it must be, and those whose libraries are there anyway. The level that
        uses nothing of the processor is one of them only where there is no other.

        Args:
            generic: whether it is worth compiling.

        Raises:
            NativeUnavailable: there is none.
        """
        possible = levels.available()
        worth = [level for level in possible if generic or level.features]
        compiler = find_compiler()
        there = [level for level in possible if self.find(level, compiler) is not None]
        if not worth and not there:
            raise NativeUnavailable(
                f"only level {possible[-1].name} fits this processor, torch is usually faster than "
                "it, and its library is not there to be timed (`make native` compiles it)"
            )
        best = self._best_of(worth or there)
        return [each for each in possible if each == best or (each in there and each.features)]

    def _best_of(self, possible: Sequence[Level]) -> Level:
        for level in possible[:-1]:
            try:
                self.path(level)
                return level
            except NativeUnavailable as error:
                log.info("no native library for %s: %s", level.name, error)
        self.path(possible[-1])
        return possible[-1]

    def _stem(self, level: Level) -> str:
        return f"csm-{self.name}-{self.source_hash()}-{level.name}"

    def _make(self, compiler: Sequence[str], level: Level, places: list[Path], name: str) -> Path:
        """Compile into the first place that can be written, by one process at a time."""
        what = f"the native library of the {self.name} ({level.name})"
        refused = []
        for directory in places:
            path = directory / name
            with contextlib.ExitStack() as held:
                try:
                    cache.make(directory)
                    held.enter_context(cache.locked(path, what, WAIT_S))
                except TimeoutError as error:
                    raise NativeUnavailable(str(error)) from error
                except OSError as error:
                    refused.append(f"{directory} cannot be written: {error}")
                    continue
                # Made while this process waited for another one.
                if not path.is_file():
                    self._compile(compiler, level, path, what)
                    cache.clean(directory, f"csm-{self.name}-*-{level.name}-*.so")
                return path
        raise NativeUnavailable("; ".join(refused))

    def _compile(self, compiler: Sequence[str], level: Level, path: Path, what: str) -> None:
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".building-", suffix=".so")
        except OSError as error:
            raise NativeUnavailable(f"{path.parent} cannot be written: {error}") from error
        os.close(handle)
        command = [
            *compiler, *FLAGS, *EXACT_FLAGS, *level.compiler_flags,
            *(f"-I{directory}" for directory in self.source_directories()),
            *(str(file) for file in self.source_files() if file.suffix == ".cpp"), "-o", name,
        ]  # fmt: skip
        try:
            with progress.compiling(what):
                done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
                if done.returncode:
                    raise NativeUnavailable(
                        f"{compiler[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
                    )
            # Built in an image by one user, loaded by another; the directory keeps strangers out.
            os.chmod(name, 0o644)
            # Whole or not at all: another process may be looking for it.
            os.replace(name, path)
        except subprocess.TimeoutExpired as error:
            raise NativeUnavailable(f"{compiler[0]} took more than {TIMEOUT_S} s") from error
        except (OSError, subprocess.SubprocessError) as error:
            raise NativeUnavailable(f"{compiler[0]} could not be run: {error}") from error
        finally:
            Path(name).unlink(missing_ok=True)


def main(library: Library, arguments: Sequence[str] | None = None) -> int:
    """Build for the levels named, by default the best of this processor; print the paths."""
    parser = argparse.ArgumentParser(
        description=f"Compile the native library of the {library.name}."
    )
    names = [level.name for level in levels.of_this_architecture()]
    parser.add_argument(
        "levels", nargs="*", metavar="LEVEL", help=f"{', '.join(names)}, or all; default: the best"
    )
    wanted = parser.parse_args(arguments).levels or [levels.available()[0].name]
    built = 0
    for name in names if wanted == ["all"] else wanted:
        try:
            print(library.path(levels.named(name)))
            built += 1
        except (NativeUnavailable, ValueError) as error:
            print(error, file=sys.stderr)
    # Of all levels a compiler may be too old for the newest.
    return 0 if built and (wanted == ["all"] or built == len(wanted)) else 1
