"""`make speak` from a shell's point of view: texts arrive as they were typed."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.csm.cli.conftest import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A virtual environment that is ready, whose csm shows its arguments."""
    (tmp_path / "bin").mkdir()
    csm = tmp_path / "bin" / "csm"
    csm.write_text('#!/bin/sh\nfor one in "$@"; do printf "%s\\n" "<$one>"; done\n')
    csm.chmod(csm.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".ready").touch()
    return tmp_path


def make(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    without = {k: v for k, v in os.environ.items() if k not in ("TEXT", "OUT", "MAKEFLAGS")}
    return subprocess.run(
        ["make", "--no-print-directory", "-s", *arguments],
        cwd=ROOT, capture_output=True, text=True, env=without | environment, timeout=60,
    )  # fmt: skip


TEXTS = (
    "Hello there.",
    'She said "no", and it\'s so.',
    "It costs $5, or $(id), or $HOME, or ${PATH}.",
    "`touch /tmp/never`; echo $? & exit | cat > x # done",
    "-v is no option",
    "two  blanks, \\back\\slashes\\ and 100%",
    "Grüße, 漢字 \u2019tis",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_arrives_as_it_was_typed(made: Path, text: str) -> None:
    for done in (
        make("speak", f"VENV={made}", f"TEXT={text}", "OUT=a b$x.wav"),
        make("speak", f"VENV={made}", TEXT=text, OUT="a b$x.wav"),
    ):
        assert done.returncode == 0, done.stderr
        said = ["speak", "-o", "a b$x.wav", "--", text]
        assert done.stdout.splitlines() == [f"<{one}>" for one in said]


def test_without_a_text_there_is_one(made: Path) -> None:
    done = make("speak", f"VENV={made}")
    assert done.stdout.splitlines()[2:] == ["<hello.wav>", "<-->", "<Hello there.>"]


def test_an_old_python_is_told_what_is_needed(tmp_path: Path) -> None:
    old = tmp_path / "python3.10"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.10.13"\nexit 1\n')
    old.chmod(0o755)
    for arguments in ((f"PYTHON={old}",), ("PYTHON=no-such-python",)):
        done = make("speak", f"VENV={tmp_path / 'venv'}", *arguments)
        assert done.returncode != 0
        assert "csm needs Python 3.11 or newer" in done.stderr
        assert "PYTHON=" in done.stderr
        assert not (tmp_path / "venv").exists()
    # One that an earlier try left behind.
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(old)
    done = make("speak", f"VENV={tmp_path / 'venv'}", f"PYTHON={sys.executable}")
    assert "is Python 3.10.13. Remove" in done.stderr
