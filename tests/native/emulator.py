"""Native libraries of ARM on any machine: compiled by a cross compiler, run by an emulator.

The very classes that call a library are tested: `EmulatedLibrary` stands in the place of what
ctypes loads. What a call's pointers point to is copied into the emulator before it and back
behind it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import shutil
import struct
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from services.generator.native import library as generator_library
from services.generator.native import native_csm
from services.generator.native import packing as generator_packing
from services.native import cache, levels, memory
from services.native.build import Library
from services.native.interface import Interface
from services.native.levels import Level
from services.tokenizer.native import codec as tokenizer_codec
from services.tokenizer.native import library as tokenizer_library
from services.tokenizer.native import packing as tokenizer_packing

COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
SYSTEM = Path("/usr/aarch64-linux-gnu")
"""What the emulated process finds its C library in."""
CALLS = Path(__file__).with_name("emulated_calls.cpp")

PROCESSORS = {"neon": "cortex-a72", "neondot": "neoverse-n1", "neonbf16": "max"}
"""By level, one that has no more than it: there an instruction of a higher level is an error."""

missing = [program for program in (COMPILER, EMULATOR) if not shutil.which(program)]
needs_emulator = pytest.mark.skipif(
    bool(missing),
    reason=f"no {' and no '.join(missing)}: apt-get install g++-aarch64-linux-gnu qemu-user",
)


def at_levels(*names: str) -> pytest.MarkDecorator:
    """Parameter `level`; neondot, which is neon but for one instruction, is slow."""
    slow = {"neondot": [pytest.mark.slow]}
    return pytest.mark.parametrize(
        "level",
        [pytest.param(levels.named(name), id=name, marks=slow.get(name, ())) for name in names],
    )


emulated_levels = at_levels(*PROCESSORS)


def shapes(names: Iterable[str], quick: Collection[str]) -> pytest.MarkDecorator:
    """Parameter `name`: all of them, those that are not quick as slow tests."""
    return pytest.mark.parametrize(
        "name",
        [pytest.param(each, marks=[pytest.mark.slow] * (each not in quick)) for each in names],
    )


KEEPING = frozenset({"csm_set_tables", "codec_set_quantizer"})
"""Functions whose memory is read later too."""

ENDING = frozenset({"csm_destroy", "codec_destroy"})
"""Functions that are called when an object is collected."""

Moved = list[tuple[int, int, int]]
"""Address here, address there, bytes."""


@contextlib.contextmanager
def started(monkeypatch: pytest.MonkeyPatch, library: Library, level: Level) -> Iterator[Emulator]:
    """A process with a level of a library, compiled as a clone on ARM does it but for the
    compiler's name."""
    with monkeypatch.context() as patch:
        patch.setenv("CXX", COMPILER)
        path = library.path(level)
    with contextlib.closing(Emulator(path, PROCESSORS[level.name])) as emulator:
        yield emulator


@functools.cache
def _calls() -> Path:
    """The program that calls, compiled once and kept beside the libraries."""
    digest = hashlib.sha256(CALLS.read_bytes()).hexdigest()[:16]
    directory = cache.directories()[0]
    cache.make(directory)
    path = directory / f"emulated-calls-{digest}"
    with cache.locked(path, "it", 300.0):
        if not path.is_file():
            made = path.with_suffix(".made")
            subprocess.run(
                [COMPILER, "-std=c++17", "-O1", str(CALLS), "-o", str(made), "-ldl"], check=True
            )
            made.replace(path)
    return path


class Emulator:
    """A process of another processor with one library loaded."""

    def __init__(self, library: Path, processor: str) -> None:
        command = [EMULATOR, "-cpu", processor, "-L", str(SYSTEM), str(_calls()), str(library)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        """End the process: without it dozens of them stay until the tests end."""
        with contextlib.suppress(BrokenPipeError), self._process:
            self._process.kill()

    @property
    def closed(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    def _send(self, command: bytes, first: int, second: int = 0, data: bytes = b"") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(struct.pack("<cQQ", command, first, second) + data)

    def _receive(self, size: int) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.flush()
        found = self._process.stdout.read(size)
        if len(found) < size:
            raise ChildProcessError(f"the emulator ended with {self._process.wait()}")
        return found

    def allocate(self, size: int) -> int:
        """Return the address of so many zeros."""
        self._send(b"a", size)
        return int.from_bytes(self._receive(8), "little")

    def free(self, address: int) -> None:
        """Give memory back."""
        self._send(b"f", address)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes there."""
        self._send(b"w", address, len(data), data)

    def read(self, address: int, size: int) -> bytes:
        """Return the bytes that are there."""
        self._send(b"r", address, size)
        return self._receive(size)

    def call(self, name: str, *arguments: int) -> int:
        """Call a function with numbers; return the number that comes back, of 64 bits."""
        numbers = [each % 2**64 for each in arguments] + [0] * (8 - len(arguments))
        self._send(b"c", len(name), 0, name.encode() + struct.pack("<8Q", *numbers))
        return int.from_bytes(self._receive(8), "little")


class EmulatedLibrary:
    """A library's functions as ctypes would have them, run by an emulator.

    Args:
        sizes: by address, the bytes of what may be pointed to.
    """

    def __init__(self, emulator: Emulator, interface: Interface, sizes: Mapping[int, int]) -> None:
        self.emulator, self._interface, self._sizes = emulator, interface, sizes
        self._handles: set[int] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._interface.functions:
            raise AttributeError(name)
        return functools.partial(self._call, name)

    def _call(self, name: str, *arguments: Any) -> int | None:
        moved: Moved = []
        structures: list[int] = []
        result, kinds = self._interface.functions[name]
        assert len(arguments) == len(kinds)
        if self.emulator.closed and name in ENDING:
            return None  # What is collected behind a test went with the process.
        numbers = [self._number(each, moved, structures) for each in arguments]
        found = self.emulator.call(name, *numbers)
        for here, there, size in moved:
            data = self.emulator.read(there, size)
            # Weights may lie where nobody may write.
            if data != ctypes.string_at(here, size):
                ctypes.memmove(here, data, size)
        for address in structures:
            self.emulator.free(address)
        if name not in KEEPING:
            for _, there, _ in moved:
                self.emulator.free(there)
        if result is None:
            return None
        if result is ctypes.c_void_p:
            self._handles.add(found)
        return result(found).value  # type: ignore[no-any-return,attr-defined]

    def _number(self, argument: Any, moved: Moved, structures: list[int]) -> int:
        if argument is None:
            return 0
        pointed = getattr(argument, "_obj", None)
        if isinstance(pointed, ctypes.Structure):
            structures.append(self._structure(pointed, moved))
            return structures[-1]
        number = int(argument)
        return self._moved(number, moved) if self._is_address(number) else number

    def _is_address(self, number: int) -> bool:
        return number in self._sizes and number not in self._handles

    def _moved(self, here: int, moved: Moved) -> int:
        size = self._sizes[here]
        there = self.emulator.allocate(size)
        self.emulator.write(there, ctypes.string_at(here, size))
        moved.append((here, there, size))
        return there

    def _structure(self, given: ctypes.Structure, moved: Moved) -> int:
        copy = type(given).from_buffer_copy(given)
        for name, kind, *_ in given._fields_:
            address = getattr(given, name)
            if kind is ctypes.c_void_p and address:
                setattr(copy, name, self._moved(address, moved))
        there = self.emulator.allocate(ctypes.sizeof(copy))
        self.emulator.write(there, bytes(copy))
        return there


INTERFACES = {
    "generator": (generator_library, (native_csm, generator_packing)),
    "tokenizer": (tokenizer_library, (tokenizer_codec, tokenizer_packing)),
}
"""By library: the module that loads it, and those that hand addresses over."""


@contextlib.contextmanager
def emulated(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Let the levels of ARM run by the emulator; others are loaded as ever."""
    module, users = INTERFACES[name]
    sizes: dict[int, int] = {}
    loaded: dict[str, EmulatedLibrary] = {}
    usual = module.load

    def address(array: Any, dtype: Any) -> int:
        found = memory.address(array, dtype)
        sizes[found] = array.nbytes
        return found

    with contextlib.ExitStack() as processes:

        def load(level: Level | None = None) -> Any:
            if level is None or level.name not in PROCESSORS:
                return usual(level)
            if level.name not in loaded:
                emulator = processes.enter_context(
                    started(monkeypatch, module.INTERFACE.library, level)
                )
                loaded[level.name] = EmulatedLibrary(emulator, module.INTERFACE, sizes)
            return loaded[level.name]

        monkeypatch.setattr(module, "load", load)
        for user in users:
            monkeypatch.setattr(user, "address", address)
        yield
