"""The examples in Node speak, over what `npm install` brings."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.csm.cli.test_serve import FREE, serving

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed"),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples with their packages, beside the protos as in the tree."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("node_modules", "package-lock.json", "generated")
    shutil.copytree(ROOT / "examples" / "node", tree / "examples" / "node", ignore=ignored)
    shutil.copytree(ROOT / "protos", tree / "protos")
    place = tree / "examples" / "node"
    command = ["npm", "install", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with serving(*FREE, "--metrics-port", "0") as server:
        yield server.address("gateway")


def run(place: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = ["node", *map(str, arguments)]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=90)


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_client_has_its_types_and_passes_its_own_tests(node: Path, script: str) -> None:
    command = ["npm", "run", script]
    done = subprocess.run(command, cwd=node, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_text_is_said(node: Path, gateway: str, tmp_path: Path) -> None:
    said = tmp_path / "said.pcm"
    done = run(node, "synthesize.mjs", "Hello there.", said, gateway)
    assert done.returncode == 0, done.stderr
    assert "24000 Hz" in done.stderr
    assert "FINISH_REASON_EOS" in done.stderr
    assert said.stat().st_size > 1920 * 2


def test_a_conversation_is_interrupted_and_goes_on(
    node: Path, gateway: str, tmp_path: Path
) -> None:
    said = tmp_path / "said.pcm"
    done = run(node, "converse.mjs", said, gateway)
    assert done.returncode == 0, done.stderr
    ends = [line for line in done.stderr.splitlines() if "spoken turn" in line]
    # What was heard, in whole frames of 80 ms.
    assert re.search(r"FINISH_REASON_CANCELLED, 5\d\d ms kept", ends[0]), done.stderr
    assert "FINISH_REASON_EOS" in ends[1]
    assert said.stat().st_size > 12_000 * 2


def test_what_goes_wrong_is_said_and_ends_with_1(node: Path, gateway: str, tmp_path: Path) -> None:
    done = run(node, "synthesize.mjs", "x" * 5000, tmp_path / "x.pcm", gateway)
    assert done.returncode == 1
    assert "INVALID_ARGUMENT: text" in done.stderr


def test_an_install_leaves_nothing_that_git_would_see() -> None:
    ignored = (ROOT / "examples" / "node" / ".gitignore").read_text().splitlines()
    assert {"/node_modules/", "/package-lock.json", "/generated/"} <= set(ignored)
    assert (ROOT / "examples" / "node" / "package.json").is_file()
