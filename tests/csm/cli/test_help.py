"""The command line as a newcomer meets it: help, version, usage errors."""

import re
import subprocess
import sys
import time
from typing import Any

import pytest
import typer

import csm as package
from csm.cli.main import app
from tests.csm.cli.conftest import ROOT, Csm

COMMANDS = (
    ("speak",), ("play",), ("chat",), ("serve",), ("probe",), ("generate",), ("encode",),
    ("decode",),
    ("models", "create"), ("models", "convert"), ("models", "pull"), ("models", "info"),
    ("voices", "list"), ("voices", "show"), ("voices", "add"), ("voices", "test"),
    ("voices", "remove"), ("watermark", "check"),
    ("tokens", "new"), ("tokens", "list"), ("tokens", "revoke"),
    ("bench", "model"), ("bench", "codec"), ("bench", "serve"),
)  # fmt: skip


DEAR = {
    "torch", "grpc", "numpy", "safetensors", "pydantic", "cryptography", "jwt", "limits",
    "opentelemetry", "prometheus_client",
}  # fmt: skip
"""Packages that take long to load, and that help has no use for."""


def test_help_loads_no_dear_package() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "csm.cli.main", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "csm.cli.chat" in loaded
    assert not DEAR & loaded


@pytest.mark.alone
def test_help_is_quick() -> None:
    # The fastest of several, since what is measured is this program, not its neighbours.
    times = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "csm.cli.main", "--help"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        times.append(time.monotonic() - began)
    assert min(times) < 1.0


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(csm: Csm, command: tuple[str, ...]) -> None:
    result = csm(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_shows_brackets_as_they_are(csm: Csm) -> None:
    """rich takes [words] for markup and drops them."""
    assert "[frames, codebooks]" in csm("encode", "--help").output
    for command in COMMANDS:
        group: Any = typer.main.get_command(app)
        for name in command:
            group = group.commands[name]
        texts = [group.help or "", *(getattr(one, "help", "") or "" for one in group.params)]
        shown = "".join(csm(*command, "--help", env={"COLUMNS": "200"}).output.split())
        for text in texts:
            for bracketed in re.findall(r"\[[^\]]+\]", text):
                assert "".join(bracketed.split()) in shown, (command, bracketed)


def test_the_version_is_the_package_s(csm: Csm) -> None:
    assert csm("--version").output == f"csm {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("speak",),
        ("speak", "hi", "--nonsense"),
        ("speak", "hi", "--speaker", "-1"),
        ("models", "create", "-o", "x", "--dtype", "fp7"),
        ("generate", "-w", "x", "-i", "y", "-o", "z.wav", "-f", "llama-7B"),
        ("nonsense",),
    ],
)
def test_wrong_usage_ends_with_2(csm: Csm, arguments: tuple[str, ...]) -> None:
    assert csm(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("speak", "hi", "-o", "x.txt"), ("x.txt", ".wav, .flac, .ogg, .opus, .mp3")),
        (("speak", "hi", "-o", "/nowhere/x.wav"), ("/nowhere/x.wav", "no directory")),
        (("speak", "hi", "-o", "/tmp"), ("/tmp", "--format")),
        (("speak", "hi", "-o", "x.flac", "--bit-depth", "32"), ("32", "flac", "8, 16, 24")),
        (("speak", "hi", "-o", "x.mp3", "--bit-depth", "16"), ("mp3", "no --bit-depth")),
        (("speak", "hi", "-o", "-", "--format", "flac"), ("standard output", "WAV")),
        (("speak", "hi", "--server", "h:1", "--threads", "1"), ("--server", "--threads")),
        (("encode", "in.wav", "--server", "h:1", "--device", "cpu"), ("--server", "--device")),
        (("models", "info", "/nowhere"), ("/nowhere", "no such file")),
        (("models", "info", "README.md"), ("README.md", "safetensors")),
        (("models", "create", "-o", "x", "--shape", "big"), ("shape", "big", "csm-1b")),
        (("models", "convert", "/nowhere", "x"), ("/nowhere", "no such file")),
        (("decode", "/nowhere.safetensors"), ("/nowhere.safetensors", "no such file")),
        (("speak", "hi", "-M", "/nowhere"), ("/nowhere", "no such directory")),
        (
            ("speak", "hi", "-M", "acme/voice-2b"),
            ("csm models pull acme/voice-2b", "-M models/voi"),
        ),
        (("serve", "-M", "acme/voice-2b"), ("csm models pull acme/voice-2b",)),
        (("serve", "-M", "models/csm-1b"), ("csm models pull sesame/csm-1b",)),
        (("models", "fit", "models/voice-2b"), ("csm models pull OWNER/voice-2b",)),
        (("encode", "in.wav", "-M", "acme/voice-2b"), ("csm models pull acme/voice-2b",)),
        (("voices", "list", "-M", "acme/voice-2b"), ("csm models pull acme/voice-2b",)),
        (
            ("generate", "-w", "acme/voice-2b", "-i", "a.wav", "-o", "b.wav"),
            ("csm models pull acme/voice-2b",),
        ),
        (
            ("speak", "hi", "--server", "http://127.0.0.1:50050"),
            ("--server", "e.g. 127.0.0.1:50050"),
        ),
        (("speak", "hi", "--server", ""), ("--server", "is empty", "e.g. 127.0.0.1:50050")),
        (("voices", "list", "--server", "50050"), ("--server", "without a host")),
        (("decode", "README.md", "--server", "127.0.0.1:1"), ("README.md", "safetensors")),
        (("encode", "README.md", "-o", "-", "--server", "127.0.0.1"), ("--server", "no port")),
        (("speak", "hi", "--server", "h:1", "--voices", "x"), ("--server", "--voices")),
        (("speak", "hi", "-o", "r.mp3", "--rate", "96000"), ("--rate 96000", "48000")),
    ],
)
def test_a_mistake_is_one_line_on_standard_error_that_names_it(
    csm: Csm, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = csm(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("csm: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0]
