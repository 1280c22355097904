"""The whole system in this process: three services, real gRPC, the voice that ships."""

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from csm.client import Client
from services.all_in_one import AllInOne

ROOT = Path(__file__).resolve().parents[2]
PICO = ROOT / "models" / "pico"


class BackgroundStack:
    """An `AllInOne` on a loop of its own thread, so that blocking clients can talk to it."""

    def __init__(self, **settings: object) -> None:
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._settings = settings
        self._thread = threading.Thread(target=lambda: asyncio.run(self._life()))
        self._thread.start()
        self._ready.wait(120)
        if self._failure:
            raise self._failure

    async def _life(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
            self._done = asyncio.Event()
            async with AllInOne(**self._settings) as stack:  # type: ignore[arg-type]
                self.stack = stack
                self._ready.set()
                await self._done.wait()
        except BaseException as error:
            self._failure = error
            self._ready.set()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the services did not stop"


@pytest.fixture(scope="session")
def stack() -> Iterator[AllInOne]:
    background = BackgroundStack(model=PICO, slots=4, threads=1)
    yield background.stack
    background.close()


@pytest.fixture
def client(stack: AllInOne) -> Iterator[Client]:
    with Client(stack.address) as client:
        yield client


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech recorded elsewhere: 16 kHz by flite, or 22.05 kHz by espeak-ng."""
    path = tmp_path_factory.mktemp("recording") / "in.wav"
    text = "The weather is fine today."
    if shutil.which("flite"):
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True)
    elif shutil.which("espeak-ng"):
        subprocess.run(["espeak-ng", "-w", str(path), text], check=True)
    else:
        pytest.skip("needs flite or espeak-ng to make a recording")
    return path
