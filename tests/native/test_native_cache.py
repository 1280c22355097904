"""Compiled once, whoever asks and how many at once; kept where there is a place; not for ever."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from services.generator.native.build import LIBRARY
from services.native import build, cache, levels
from services.native.build import Library, NativeUnavailable

ROOT = Path(__file__).resolve().parents[2]
BEST = levels.available()[0]
STRANGER = 12345
"""A user that no machine knows."""


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that takes its time, counts how often it is called, and makes no real library."""
    path, calls = tmp_path / "cxx", tmp_path / "calls"
    path.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\n'
        f"echo x >> {calls}\nsleep 0.5\n"
        'while [ "$1" != -o ]; do shift; done; echo library > "$2"\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))
    return calls


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """One that every user may reach and write, as /tmp is."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o1777)
    yield directory
    shutil.rmtree(directory)


def _path(directory: str) -> str:
    os.environ["CSM_NATIVE_DIR"] = directory
    return str(LIBRARY.path(BEST))


def test_processes_that_start_at_once_compile_once(compiler: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, context) as pool:
        found = set(pool.map(_path, [str(tmp_path / "native")] * 3))
    assert len(found) == 1
    assert compiler.read_text().count("x") == 1
    assert [path.name for path in (tmp_path / "native").iterdir()] == [Path(found.pop()).name]


def test_a_lock_that_its_process_left_behind_holds_nobody_up(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_NATIVE_DIR", str(tmp_path / "native"))
    first = LIBRARY.path(BEST)
    first.with_name(f".{first.name}.lock").touch()
    first.unlink()
    assert LIBRARY.path(BEST) == first


def test_whoever_waits_for_another_process_does_not_wait_for_ever(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_NATIVE_DIR", str(tmp_path / "native"))
    monkeypatch.setattr(build, "WAIT_S", 0.3)
    path = LIBRARY.path(BEST)
    path.unlink()
    with (
        cache.locked(path, "it", 1.0),
        pytest.raises(NativeUnavailable, match="another process compiles the native library"),
    ):
        LIBRARY.path(BEST)
    assert compiler.read_text().count("x") == 1
    assert LIBRARY.path(BEST) == path


def test_a_compiler_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "cxx"
    hanging.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\nexec sleep 60\n')
    hanging.chmod(0o755)
    monkeypatch.setenv("CXX", str(hanging))
    monkeypatch.setenv("CSM_NATIVE_DIR", str(tmp_path / "native"))
    monkeypatch.setattr(build, "TIMEOUT_S", 0.3)
    with pytest.raises(NativeUnavailable, match=r"took more than 0\.3 s"):
        LIBRARY.path(BEST)
    assert list((tmp_path / "native").iterdir()) == []


def test_only_the_needed_level_is_compiled_and_the_others_count_where_they_are(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_NATIVE_DIR", str(tmp_path / "native"))
    every = list(levels.LEVELS)
    monkeypatch.setattr(levels, "available", lambda: every)
    assert LIBRARY.usable_levels() == every[:1]
    assert compiler.read_text().count("x") == 1
    LIBRARY.path(levels.named("avx2"))
    LIBRARY.path(levels.named("generic"))
    # The last is never faster than what uses the processor.
    assert LIBRARY.usable_levels() == [every[0], levels.named("avx2")]
    assert compiler.read_text().count("x") == 3


def test_the_generic_level_is_timed_where_it_is_there_and_not_compiled_for_that(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_NATIVE_DIR", str(tmp_path / "native"))
    generic = levels.named("generic")
    monkeypatch.setattr(levels, "available", lambda: [generic])
    with pytest.raises(NativeUnavailable, match="only level generic fits this processor"):
        LIBRARY.usable_levels(generic=False)
    assert not compiler.exists()
    assert LIBRARY.usable_levels(generic=True) == [generic]
    assert LIBRARY.usable_levels(generic=False) == [generic]


def test_the_log_says_that_it_compiles_and_how_long_it_took(
    compiler: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CSM_NATIVE_DIR", str(tmp_path / "native"))
    with caplog.at_level(logging.INFO):
        LIBRARY.path(BEST)
    before, after = caplog.messages
    what = f"the native library of the generator \\({BEST.name}\\)"
    assert re.fullmatch(f"compiling {what}, once; it takes about a minute", before)
    assert re.fullmatch(rf"compiled {what} in \d+\.\d s", after)
    caplog.clear()
    LIBRARY.path(BEST)
    assert caplog.messages == []


def test_libraries_of_old_versions_go_and_those_of_others_stay(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "native"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("CSM_NATIVE_DIR", str(directory))
    now = time.time()

    def old(name: str, age_s: float) -> str:
        (directory / name).touch()
        os.utime(directory / name, (now - age_s, now - age_s))
        return name

    ours = [old(f"csm-generator-{age:016x}-{BEST.name}-0.so", 1000.0 * age) for age in range(1, 6)]
    others = [
        old(f"csm-tokenizer-{1:016x}-{BEST.name}-0.so", 9e6),
        old(f"csm-generator-{1:016x}-other-0.so", 9e6),
        old(".building-new.so", 60.0),
    ]
    old(".building-left.so", 2 * cache.ABANDONED_S)
    made = LIBRARY.path(BEST)
    assert {path.name for path in directory.iterdir()} == {made.name, *ours[:2], *others}


def test_without_home_or_entry_in_the_list_of_users_there_is_a_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("CSM_NATIVE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cache.directories() == [tmp_path / f"csm-server-{os.getuid()}" / "native"]


# What a container that an arbitrary user runs does at its start. It is this user only once all is
# imported: the packages of a test machine may be readable for nobody else.
_AS_STRANGER = f"""
import os, sys
from pathlib import Path
from services.generator.native.build import LIBRARY
from services.native import levels
from services.native.build import Library
sources = Library("generator", Path(sys.argv[1]))
text = [(path.name, path.read_bytes()) for path in LIBRARY.source_files()]
Library.source_hash = lambda self: "0123456789abcdef"
Library.source_files = lambda self: []
if os.getuid() == 0:
    os.setgid({STRANGER}); os.setuid({STRANGER})
print(sources.path(levels.available()[0]))
"""


def start_as_stranger(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", _AS_STRANGER, str(directory / "generator")],
        env=own | {"TMPDIR": str(directory)} | environment,
        capture_output=True, text=True, timeout=120, cwd="/",
    )  # fmt: skip


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody unknown")


@needs_root
def test_an_unknown_user_without_home_starts_from_what_the_image_brings(
    open_directory: Path,
) -> None:
    built = open_directory / "generator" / "built"
    built.mkdir(parents=True)
    library = built / f"csm-generator-0123456789abcdef-{BEST.name}-01234567.so"
    library.touch()
    done = start_as_stranger(open_directory)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(library)


@needs_root
@pytest.mark.parametrize("environment", [{}, {"HOME": "/"}], ids=["no home", "home is the root"])
def test_an_unknown_user_without_a_home_of_its_own_compiles_into_the_temporary_files(
    environment: dict[str, str], open_directory: Path
) -> None:
    compiler = open_directory / "cxx"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\n'
        'while [ "$1" != -o ]; do shift; done; echo library > "$2"\n'
    )
    compiler.chmod(0o755)
    for _ in range(2):
        done = start_as_stranger(open_directory, CXX=str(compiler), **environment)
        assert done.returncode == 0, done.stderr
        made = Path(done.stdout.strip())
        assert made.parent == open_directory / f"csm-server-{STRANGER}" / "native"
        assert made.stat().st_uid == STRANGER
        assert made.parent.stat().st_mode & 0o077 == 0


@needs_root
@pytest.mark.parametrize("whose", ["somebody else's", "writable by all", "a link"])
def test_a_library_that_somebody_else_may_have_put_there_is_not_loaded(
    whose: str, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CSM_NATIVE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", str(open_directory))
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    own = Library("generator", open_directory / "generator")
    place = open_directory / f"csm-server-{os.getuid()}" / "native"
    there = open_directory / "elsewhere" if whose == "a link" else place
    there.mkdir(parents=True, mode=0o700)
    (there / f"csm-generator-{own.source_hash()}-{BEST.name}-01234567.so").touch()
    if whose == "a link":
        place.parent.mkdir(mode=0o700)
        place.symlink_to(there)
    elif whose == "writable by all":
        place.parent.chmod(0o777)
    else:
        os.chown(place.parent, STRANGER, STRANGER)
    with pytest.raises(NativeUnavailable, match="no library built ahead of time"):
        own.path(BEST)
    monkeypatch.setattr(build, "find_compiler", lambda: ["c++"])
    with pytest.raises(NativeUnavailable, match="another user's"):
        own.path(BEST)
