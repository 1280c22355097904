"""What the tests of the integrations share: a fake server, and a real one with the voice that
ships, run by the Python that has the server's packages."""

import os
import re
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from integrations.fake_server import FakeServer, serving

ROOT = Path(__file__).resolve().parents[1]
SERVER_PYTHON = Path(os.environ.get("SERVER_PYTHON", ROOT / ".venv" / "bin" / "python"))
START_TIMEOUT_S = 90.0


@pytest.fixture
def fake() -> FakeServer:
    """What the server at `target` does."""
    return FakeServer()


@pytest.fixture
async def target(fake: FakeServer) -> AsyncIterator[str]:
    """Where the fake listens."""
    async with serving(fake) as address:
        yield address


@pytest.fixture(scope="session")
def real_target() -> Iterator[str]:
    """Where a gateway listens that speaks with models/pico."""
    if not SERVER_PYTHON.exists():
        pytest.skip(f"{SERVER_PYTHON} is not there: `make test` makes it; or set SERVER_PYTHON")
    command = [str(SERVER_PYTHON), "-m", "csm.cli", "serve", "--threads", "1", "--slots", "4"]
    command += ["--port", "0", "--tokenizer-port", "0", "--generator-port", "0"]
    command += ["--http-port", "0", "--metrics-port", "0"]
    command += ["--model", str(ROOT / "models" / "pico")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    lines: list[str] = []
    stderr = process.stderr
    assert stderr is not None
    reader = threading.Thread(target=lambda: lines.extend(stderr), daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "ready; " not in "".join(lines):
            assert process.poll() is None, lines
            assert time.monotonic() < deadline, lines
            time.sleep(0.05)
        found = re.search(r"^gateway +(\S+)$", "".join(lines), re.MULTILINE)
        assert found, lines
        yield found[1]
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)
