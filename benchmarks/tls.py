"""What TLS costs: `python -m benchmarks.tls`, two gateways at once over fakes, asked in turn.

One is plaintext throughout; the other has mutual TLS on its port and towards both services.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.gateway import ENGINE, WARM_UP_CALLS, cpu_s, gateway, through
from csm.client import AsyncClient
from tests.certificates import Certificates
from tests.gateway.fakes import FakeGenerator, FakeTokenizer


class Side:
    """One of the two gateways, and what was measured of it."""

    def __init__(self, pid: int, client: AsyncClient, connection: dict[str, Any]) -> None:
        self._pid, self._client, self._connection = pid, client, connection
        self._first_ms: list[float] = []
        self._connect_ms: list[float] = []
        self._frames = 0
        self._used_s = 0.0

    async def speak(self) -> None:
        """One call over the connection that stands."""
        before = cpu_s(self._pid)
        first_ms, frames = await through(self._client)
        self._used_s += cpu_s(self._pid) - before
        self._first_ms.append(first_ms)
        self._frames += frames

    async def connect(self) -> None:
        """A new connection, to the answer of its first call."""
        began = time.perf_counter()
        async with AsyncClient(self._client.target, **self._connection) as client:
            await client.server_info()
        self._connect_ms.append((time.perf_counter() - began) * 1000)

    def forget(self) -> None:
        """What was measured so far was to warm up."""
        self._first_ms, self._connect_ms, self._frames, self._used_s = [], [], 0, 0.0

    def figures(self) -> dict[str, Any]:
        """Of all calls."""
        return {
            "first_audio_ms": machine.summary(self._first_ms, 2),
            "cpu_ms_a_frame": round(1000 * self._used_s / self._frames, 3),
            "new_connection_ms": machine.summary(self._connect_ms, 2),
        }


@contextlib.asynccontextmanager
async def side(files: Certificates | None) -> AsyncIterator[Side]:
    """A gateway over fakes of its own; with TLS where there are `files`."""
    generator, tokenizer = FakeGenerator(), FakeTokenizer()
    generator.frames_per_char = ENGINE.frames_per_char
    settings: dict[str, object] = {}
    connection: dict[str, Any] = {}
    if files is not None:
        for fake in (generator, tokenizer):
            fake.settings = dict(files.settings(mutual=True))
        settings = {
            **files.settings(mutual=True),
            "backend_ca": files.ca,
            "backend_certificate": files.client,
            "backend_key": files.client_key,
        }
        connection = {
            "root_certificates": files.ca,
            "client_certificate": (files.client, files.client_key),
        }
    await generator.up()
    await tokenizer.up()
    try:
        ports = generator.port, tokenizer.port
        async with gateway(*ports, settings, connection) as (pid, client, _):
            yield Side(pid, client, connection)
    finally:
        await generator.down()
        await tokenizer.down()


async def measure(calls: int) -> dict[str, Any]:
    """Calls one after another, to both gateways in turn."""
    with tempfile.TemporaryDirectory(prefix="csm-") as folder:
        files = Certificates(Path(folder))
        async with side(None) as plain, side(files) as encrypted:
            for number in range(WARM_UP_CALLS + calls):
                if number == WARM_UP_CALLS:
                    plain.forget()
                    encrypted.forget()
                for one in (plain, encrypted):
                    await one.speak()
                    await one.connect()
    return {
        "benchmark": "tls",
        "machine": machine.describe(),
        "calls": calls,
        "plaintext": plain.figures(),
        "mutual_tls": encrypted.figures(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=100)
    given = parser.parse_args(arguments)
    print(json.dumps(asyncio.run(measure(given.calls)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
