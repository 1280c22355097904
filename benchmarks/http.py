"""What HTTP adds to first audio: `python -m benchmarks.http`, beside gRPC in one run.

The gateway is a process of its own over simulated services that answer at once, as in
`benchmarks.gateway`. Calls go in turn by gRPC, by HTTP (PCM, over one connection) and by the
WebSocket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import machine
from benchmarks.gateway import TEXT, WARM_UP_CALLS, backends, gateway, through

BAR_MS = 2.0


class HttpClient:
    """An HTTP/1.1 client of nothing but sockets: what is measured is the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        body = json.dumps({"input": TEXT, "response_format": "pcm", "csm": {"seed": 1}}).encode()
        self._request = (
            b"POST /v1/audio/speech HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )

    async def __aenter__(self) -> HttpClient:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def first_audio_ms(self) -> float:
        """Milliseconds to the first audio; all of it is read."""
        began = time.perf_counter()
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(head.decode())
        first = 0.0
        while size := int(await self._reader.readline(), 16):
            await self._reader.readexactly(size + 2)
            first = first or (time.perf_counter() - began) * 1000
        await self._reader.readline()
        return first


async def by_socket(socket: ClientConnection) -> float:
    """Milliseconds from the end of a turn's text to its first audio."""
    began = time.perf_counter()
    await socket.send(json.dumps({"type": "text", "text": TEXT}))
    await socket.send('{"type":"end_of_turn"}')
    first = 0.0
    while True:
        message = await socket.recv()
        if isinstance(message, bytes):
            first = first or (time.perf_counter() - began) * 1000
        elif json.loads(message)["type"] == "turn_completed":
            return first


async def measure(calls: int) -> dict[str, Any]:
    """Calls one after another, by each way in turn."""
    async with (
        backends() as ports,
        gateway(*ports) as (_, client, http_port),
    ):
        url = f"127.0.0.1:{http_port}"
        async with httpx.AsyncClient(base_url=f"http://{url}") as asking:
            (await asking.get("/readyz")).raise_for_status()
        async with (
            HttpClient(http_port) as http,
            connect(f"ws://{url}/v1/conversations") as socket,
        ):
            await socket.send('{"type":"config"}')
            grpc_ms: list[float] = []
            http_ms: list[float] = []
            socket_ms: list[float] = []
            for number in range(WARM_UP_CALLS + calls):
                one = (await through(client))[0]
                two, three = await http.first_audio_ms(), await by_socket(socket)
                if number >= WARM_UP_CALLS:
                    grpc_ms.append(one)
                    http_ms.append(two)
                    socket_ms.append(three)
    middle = machine.percentile(grpc_ms, 0.5)
    return {
        "benchmark": "http",
        "machine": machine.describe(),
        "calls": calls,
        "first_audio_ms": {
            "grpc": machine.summary(grpc_ms, 2),
            "http": machine.summary(http_ms, 2),
            "websocket": machine.summary(socket_ms, 2),
        },
        "http_adds_ms": round(machine.percentile(http_ms, 0.5) - middle, 2),
        "websocket_adds_ms": round(machine.percentile(socket_ms, 0.5) - middle, 2),
        "bar_ms": BAR_MS,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print JSON; 1 where HTTP adds more than the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=100)
    given = parser.parse_args(arguments)
    found = asyncio.run(measure(given.calls))
    print(json.dumps(found, indent=2))
    return int(found["http_adds_ms"] > BAR_MS)


if __name__ == "__main__":
    sys.exit(main())
