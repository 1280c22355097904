"""Tiles are asked for; where they are refused, level amx is none of this processor's, and the log
says why. The emulated level is for tests alone."""

from __future__ import annotations

import ctypes
import errno
import logging
from pathlib import Path
from typing import get_args

import pytest

from services.native import levels, tiles
from services.native.select import NativeMode
from tests.native.emulated import DIRECTORY, EMULATED

AMX = levels.named("amx")
ROOT = Path(__file__).resolve().parents[2]


class System:
    """A system that answers `arch_prctl` so; `granted` counts the requests."""

    def __init__(self, supported: int | None, refused: int = 0) -> None:
        self.supported, self.refused, self.asked = supported, refused, 0

    def __call__(self, code: int, argument: int) -> int:
        if code == tiles._GET_SUPPORTED:
            if self.supported is None:
                return errno.EINVAL
            ctypes.c_uint64.from_address(argument).value = self.supported
            return 0
        assert (code, argument) == (0x1023, 18)
        self.asked += 1
        return self.refused


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "refusal", tiles.refusal.__wrapped__)


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        (System(None), "Linux is older than 5.16 (Invalid argument)"),
        (System(0xE7), "the system does not keep them (XCR0)"),
        (System(0x600E7, errno.EPERM), "the system refused them (Operation not permitted)"),
        (System(0x600E7, errno.ENOSPC), "the system refused them (No space left on device)"),
    ],
)
def test_without_leave_the_level_is_left_out_and_the_log_says_why(
    system: System,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tiles, "_arch_prctl", system)
    with caplog.at_level(logging.WARNING):
        features = tiles.allowed(AMX.features | {"sse2"})
    assert features == levels.named("avx512bf16").features | {"sse2"}
    assert caplog.messages == [f"level amx is left out, though the processor has tiles: {reason}"]
    monkeypatch.setattr(levels, "processor_features", lambda: features)
    assert levels.available()[0].name == "avx512bf16"


def test_with_leave_it_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(0x600E7)
    monkeypatch.setattr(tiles, "_arch_prctl", system)
    features = tiles.allowed(AMX.features)
    assert (features, system.asked) == (AMX.features, 1)
    monkeypatch.setattr(levels, "processor_features", lambda: features)
    assert levels.available()[0] == AMX


@pytest.mark.parametrize("lacking", sorted(tiles.FEATURES))
def test_a_processor_that_lacks_a_part_is_not_asked_about(
    lacking: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(None)
    monkeypatch.setattr(tiles, "_arch_prctl", system)
    features = AMX.features - {lacking}
    assert tiles.allowed(features) == features
    assert (system.asked, caplog.messages) == (0, [])
    monkeypatch.setattr(levels, "processor_features", lambda: features)
    assert AMX not in levels.available()


@pytest.mark.skipif(not levels.is_x86(), reason="the call is one of x86's")
def test_the_real_system_answers() -> None:
    reason = tiles.refusal()
    assert reason is None or any(word in reason for word in ("5.16", "XCR0", "refused", "no way"))


def test_elsewhere_than_on_linux_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles.sys, "platform", "darwin")
    assert tiles.refusal() == "there is no way to ask darwin for them"


def test_a_compiler_is_told_in_its_own_words() -> None:
    assert {"-mamx-tile", "-mamx-int8", "-mamx-bf16", "-mavx512bf16", "-mavx512vnni"} <= set(
        AMX.compiler_flags
    )


def test_the_emulated_level_is_none_that_anybody_can_name_choose_or_ship() -> None:
    assert EMULATED not in levels.LEVELS
    assert EMULATED not in levels.available()
    assert EMULATED not in levels.of_this_architecture()
    assert EMULATED.name not in get_args(NativeMode)
    with pytest.raises(ValueError, match="is not allowed"):
        levels.named(EMULATED.name)
    # What a library of a level is found by does not find one of this.
    assert not any(EMULATED.name.startswith(f"{level.name}-") for level in levels.LEVELS)
    assert DIRECTORY.is_relative_to(ROOT / "tests")
    assert not any((ROOT / "services").rglob("emulated_tiles.hpp"))
    assert not any((ROOT / "services").rglob("immintrin.h"))
