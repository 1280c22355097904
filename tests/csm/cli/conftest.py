"""What the tests of the command line share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from csm.cli.main import app

ROOT = Path(__file__).resolve().parents[3]
PICO = ROOT / "models" / "pico"

Csm = Callable[..., Result]


@pytest.fixture
def csm() -> Csm:
    """Runs `csm` with the arguments given, in this process."""

    def run(*arguments: object, **more: object) -> Result:
        return CliRunner().invoke(app, [str(one) for one in arguments], **more)  # type: ignore[arg-type]

    return run


@pytest.fixture
def process() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs `csm` with the arguments given, in a process of its own."""

    def run(*arguments: object, **more: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "csm.cli.main", *(str(one) for one in arguments)]
        return subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            **more,  # type: ignore[call-overload]
        )

    return run


def chirp(rate_hz: int, seconds: float) -> np.ndarray:
    """A rising tone: float32 mono at half of full scale."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * (150 + 400 * t) * t)).astype(np.float32)
