"""Which levels an ARM has, as Linux, macOS and an emulated processor say; its structs are ours."""

from __future__ import annotations

import ctypes
import struct

import pytest

from services.generator.native import library as generator
from services.native import levels
from services.native.interface import Interface
from services.native.levels import Level
from services.tokenizer.native import library as tokenizer
from tests.native.emulator import Emulator, emulated_levels, needs_emulator, started

DOT = "hw.optional.arm.FEAT_DotProd"
I8MM = "hw.optional.arm.FEAT_I8MM"
BF16 = "hw.optional.arm.FEAT_BF16"


@pytest.fixture(autouse=True)
def arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "architecture", lambda: "arm")
    monkeypatch.setattr(levels, "processor_features", levels.processor_features.__wrapped__)


def names(found: list[Level]) -> list[str]:
    return [level.name for level in found]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (0x2, 0, ["neon", "generic"]),
        (0x2 | 1 << 20, 0, ["neondot", "neon", "generic"]),
        (0x2 | 1 << 20, 1 << 13, ["neondot", "neon", "generic"]),
        (0x2 | 1 << 20, 3 << 13, ["neonbf16", "neondot", "neon", "generic"]),
        (0, 0, ["generic"]),
    ],
)
def test_linux_says_what_there_is(
    first: int, second: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels.sys, "platform", "linux")
    monkeypatch.setattr(levels, "_auxiliary", {16: first, 26: second}.__getitem__)
    assert names(levels.available()) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, ["neon", "generic"]),
        ({DOT: 1, I8MM: 0, BF16: 0}, ["neondot", "neon", "generic"]),
        ({DOT: 1, I8MM: 1, BF16: 1}, ["neonbf16", "neondot", "neon", "generic"]),
    ],
    ids=["before macOS 12", "M1", "M2"],
)
def test_macos_says_what_there_is(
    known: dict[str, int], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class System:
        @staticmethod
        def sysctlbyname(name, found, size, new, new_size) -> int:
            feature = name.decode()
            if feature not in known:
                return -1
            ctypes.memmove(found, struct.pack("<i", known[feature]), 4)
            size._obj.value = 4
            return 0

    monkeypatch.setattr(levels.sys, "platform", "darwin")
    monkeypatch.setattr(levels.ctypes, "CDLL", lambda name: System)
    assert names(levels.available()) == expected


def test_a_system_that_cannot_say_has_the_generic_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels.sys, "platform", "linux")
    monkeypatch.setattr(levels.ctypes, "CDLL", lambda name: object())
    assert names(levels.available()) == ["generic"]


def test_a_compiler_here_builds_for_arm() -> None:
    assert names(levels.of_this_architecture()) == ["neonbf16", "neondot", "neon", "generic"]


@needs_emulator
@emulated_levels
def test_an_emulated_processor_says_which_level_is_its_best(
    level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels.sys, "platform", "linux")
    with started(monkeypatch, generator.LIBRARY, level) as emulator:
        monkeypatch.setattr(levels, "_auxiliary", lambda word: emulator.call("getauxval", word))
        assert levels.available()[0] == level


def sizes_there(emulator: Emulator) -> dict[str, int]:
    listed = emulator.call("csm_struct_sizes")
    found = {}
    while True:
        name, size = struct.unpack("<Qq", emulator.read(listed, 16))
        if not name:
            return found
        text = b""
        while not text.endswith(b"\0"):
            text += emulator.read(name + len(text), 1)
        found[text[:-1].decode()] = size
        listed += 16


@needs_emulator
@pytest.mark.parametrize(
    "interface", [generator.INTERFACE, tokenizer.INTERFACE], ids=["generator", "tokenizer"]
)
def test_structs_are_as_long_there_as_here(
    interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {each.__name__: ctypes.sizeof(each) for each in interface.structs}
    with started(monkeypatch, interface.library, levels.named("neon")) as emulator:
        assert sizes_there(emulator) == here
