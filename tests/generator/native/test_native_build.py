"""The library is compiled once, found again, never needed: without it the model runs by torch."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

from services.generator.model import weights
from services.generator.native.build import LIBRARY
from services.generator.native.native_csm import NativeCsm
from services.generator.native.select import accelerate
from services.native import build, levels
from services.native.build import Library, NativeUnavailable
from services.native.interface import Interface
from tests.generator.tiny import tiny_csm

BEST = levels.available()[0]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for libraries."""
    place = tmp_path / "native"
    monkeypatch.setenv("CSM_NATIVE_DIR", str(place))
    return place


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda command: None)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


@pytest.mark.usefixtures("directory", "no_compiler")
def test_without_a_compiler_the_model_runs_by_torch_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    csm = tiny_csm()
    with caplog.at_level(logging.WARNING):
        assert accelerate(csm, "auto") is csm
    assert "no C++ compiler" in caplog.text
    assert "runs by torch" in caplog.text
    with pytest.raises(NativeUnavailable, match="no C\\+\\+ compiler"):
        accelerate(csm, "required")


@pytest.fixture(scope="module")
def built() -> Path:
    """The best library, from where it is usually kept."""
    return LIBRARY.path(BEST)


@pytest.mark.usefixtures("built", "no_compiler")
def test_a_library_built_ahead_of_time_needs_no_compiler(built: Path, directory: Path) -> None:
    directory.mkdir()
    shutil.copy(built, directory / built.name)
    assert LIBRARY.path(BEST) == directory / built.name
    assert isinstance(accelerate(tiny_csm(), "auto", threads=1), NativeCsm)


def test_what_an_image_brings_along_comes_first(
    built: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Library, "built", tmp_path)
    shutil.copy(built, tmp_path / built.name)
    assert LIBRARY.path(BEST) == tmp_path / built.name
    (tmp_path / built.name).rename(
        tmp_path / f"csm-generator-0123456789abcdef-{BEST.name}-01234567.so"
    )
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    with pytest.raises(NativeUnavailable):
        LIBRARY.path(BEST)


def test_auto_compiles_no_generic_level_and_required_takes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(levels, "available", lambda: [levels.named("generic")])
    csm = tiny_csm()
    # As if it had never been compiled.
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Library, "find", lambda *_: None)
        assert accelerate(csm, "auto") is csm
    assert "the model runs by torch" in caplog.text
    assert "only level generic fits this processor" in caplog.text
    assert isinstance(accelerate(csm, "required", threads=1), NativeCsm)


def test_off_is_off_and_what_cannot_be_native_is_said() -> None:
    csm = tiny_csm()
    assert accelerate(csm, "off") is csm
    half = tiny_csm(torch.float16)
    assert accelerate(half, "auto") is half
    with pytest.raises(NativeUnavailable, match="float16"):
        accelerate(half, "required")


def test_the_format_follows_the_model_where_none_is_asked_for() -> None:
    for dtype, expected in ((torch.float32, "fp32"), (torch.bfloat16, "bf16")):
        native = accelerate(tiny_csm(dtype), "required", threads=1)
        assert isinstance(native, NativeCsm)
        assert native.weights == expected
    native = accelerate(tiny_csm(), "required", "int8", threads=1)
    assert isinstance(native, NativeCsm)
    assert native.weights == "int8"


def test_a_compiler_that_fails_is_quoted(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = script(
        tmp_path / "cxx",
        '[ "$1" = --version ] && exit 0\necho "no such thing as C++17" >&2; exit 3',
    )
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(NativeUnavailable, match="ended with 3: no such thing as C\\+\\+17"):
        LIBRARY.path(BEST)
    assert list(directory.iterdir()) == []


def test_a_library_is_compiled_once_and_again_when_a_source_changes(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    compiler = script(
        tmp_path / "cxx",
        f'[ "$1" = --version ] && exit 0\necho x >> {calls}\n'
        'while [ "$1" != -o ]; do shift; done; echo library > "$2"',
    )
    monkeypatch.setenv("CXX", str(compiler))
    own = Library("generator", tmp_path / "generator")
    shared = tmp_path / "shared"
    shutil.copytree(LIBRARY.directory / "source", own.directory / "source")
    shutil.copytree(build.SHARED_SOURCE, shared)
    monkeypatch.setattr(build, "SHARED_SOURCE", shared)
    first = own.path(BEST)
    assert own.path(BEST) == first
    assert calls.read_text().count("x") == 1
    seen = [first]
    for changed in (shared / "simd.hpp", own.directory / "source" / "model.hpp"):
        with changed.open("a") as header:
            header.write("// changed\n")
        seen.append(own.path(BEST))
    seen.append(own.path(levels.named("generic")))
    seen.append(Library("other", own.directory).path(BEST))
    assert len(set(seen)) == 5
    assert calls.read_text().count("x") == 5
    with pytest.raises(NativeUnavailable, match="cannot be loaded"):
        Interface(own, {}, ()).load(BEST)
    assert directory.stat().st_mode & 0o077 == 0


def test_a_directory_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("CSM_NATIVE_DIR", str(blocker / "below"))
    with pytest.raises(NativeUnavailable, match=f"{blocker}/below cannot be written"):
        LIBRARY.path(BEST)


def test_the_command_line_prints_the_path_or_why_not(
    capsys: pytest.CaptureFixture[str],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert build.main(LIBRARY, ["sse9"]) == 1
    assert "level: 'sse9' is not allowed" in capsys.readouterr().err
    compiler = script(
        tmp_path / "cxx",
        '[ "$1" = --version ] && exit 0\nwhile [ "$1" != -o ]; do shift; done; echo library > "$2"',
    )
    monkeypatch.setenv("CXX", str(compiler))
    assert build.main(LIBRARY, ["all"]) == 0
    printed = capsys.readouterr().out.split()
    assert [Path(line).exists() for line in printed] == [True] * len(levels.of_this_architecture())
    assert all(os.path.dirname(line) == str(directory) for line in printed)


def test_a_compiler_that_does_not_know_the_newest_level_builds_the_next(
    capsys: pytest.CaptureFixture[str],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    newest, last = levels.LEVELS[0], levels.LEVELS[-1]
    compiler = script(
        tmp_path / "cxx",
        f'case "$*" in *{newest.compiler_flags[-1]}*) echo "unknown option" >&2; exit 1;; esac\n'
        'exec c++ "$@"',
    )
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(levels, "available", lambda: [newest, last])
    assert isinstance(accelerate(tiny_csm(), "required", threads=1), NativeCsm)
    assert [path.name.split("-")[3] for path in directory.glob("*.so")] == [last.name]
    assert build.main(LIBRARY, [newest.name]) == 1
    monkeypatch.setattr(levels, "of_this_architecture", lambda: [newest, last])
    assert build.main(LIBRARY, ["all"]) == 0
    heard = capsys.readouterr()
    assert "unknown option" in heard.err
    assert len(heard.out.split()) == 1


def test_a_processor_runs_what_its_features_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "processor_features", lambda: frozenset({"avx2", "fma", "sse2"}))
    assert [level.name for level in levels.available()] == ["avx2", "generic"]
    with pytest.raises(ValueError, match="level: 'avx512' is not allowed here"):
        NativeCsm(weights.create(tiny_csm().config), level=levels.named("avx512"))
    monkeypatch.setattr(levels, "processor_features", frozenset)
    monkeypatch.setattr(levels, "architecture", lambda: "")
    assert [level.name for level in levels.of_this_architecture()] == ["generic"]
    assert [level.name for level in levels.available()] == ["generic"]
