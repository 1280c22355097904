"""What the gateway adds: `python -m benchmarks.gateway`, a process of its own over simulated
services that answer at once.

CPU of the gateway's process a frame of audio, all calls of a stream included, and how much later
the first audio comes than from the services themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from benchmarks import machine
from benchmarks.fleet.engine import EngineOptions, SimulatedEngine
from benchmarks.fleet.generator import SimulatedGenerator
from benchmarks.fleet.tokenizer import SimulatedTokenizer
from csm import errors
from csm.client import AsyncClient
from csm.v1 import (
    common_pb2,
    generator_pb2,
    generator_pb2_grpc,
    tokenizer_pb2,
    tokenizer_pb2_grpc,
)

TEXT = "A sentence of so many characters that it makes some forty frames of audio."
ENGINE = EngineOptions(step_ms=0, prefill_ms=0, frames_per_char=0.6)
WARM_UP_CALLS = 5
START_TIMEOUT_S = 20.0


@asynccontextmanager
async def backends() -> AsyncIterator[tuple[int, int]]:
    """The ports of a generator and a tokenizer in this process."""
    services: tuple[Any, ...] = (SimulatedGenerator(SimulatedEngine(ENGINE)), SimulatedTokenizer())
    servers = [grpc.aio.server() for _ in services]
    ports = []
    for service, server in zip(services, servers, strict=True):
        service.register(server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
    try:
        yield ports[0], ports[1]
    finally:
        await asyncio.gather(*(server.stop(0) for server in servers))


@asynccontextmanager
async def gateway(
    generator_port: int,
    tokenizer_port: int,
    settings: Mapping[str, object] | None = None,
    connection: Mapping[str, Any] | None = None,
) -> AsyncIterator[Any]:
    """The gateway's process, a client of it, and its port of HTTP.

    `settings` are further ones of the gateway, by name; `connection`, what the client is made with.
    """
    port, http_port = _free_port(), _free_port()
    environment = os.environ | {
        "CSM_GATEWAY_PORT": str(port),
        "CSM_GATEWAY_HTTP_PORT": str(http_port),
        "CSM_GATEWAY_METRICS_PORT": str(_free_port()),
        "CSM_GATEWAY_GENERATOR_TARGET": f"127.0.0.1:{generator_port}",
        "CSM_GATEWAY_TOKENIZER_TARGET": f"127.0.0.1:{tokenizer_port}",
        "CSM_GATEWAY_LOG_LEVEL": "WARNING",
        **{f"CSM_GATEWAY_{k.upper()}": str(v) for k, v in (settings or {}).items()},
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", env=environment)
    try:
        async with AsyncClient(f"127.0.0.1:{port}", **(connection or {})) as client:
            await _ready(client)
            yield process.pid, client, http_port
    finally:
        process.terminate()
        await process.wait()


async def _ready(client: AsyncClient) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            await client.server_info()
            return
        except errors.ServiceError:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def through(client: AsyncClient) -> tuple[float, int]:
    """Milliseconds to the first audio through the gateway, and frames in all."""
    began, first, frames = time.perf_counter(), 0.0, 0
    async for chunk in client.synthesize(TEXT, seed=1):
        first = first or (time.perf_counter() - began) * 1000
        frames += round(len(chunk.samples) / chunk.sample_rate_hz * 12.5)
    return first, frames


async def directly(generator_port: int, tokenizer_port: int) -> float:
    """Milliseconds to the first audio from the services: a frame of one, its audio by the other."""
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{generator_port}") as one,
        grpc.aio.insecure_channel(f"127.0.0.1:{tokenizer_port}") as other,
    ):
        generate = generator_pb2_grpc.GeneratorServiceStub(one)
        decode = tokenizer_pb2_grpc.TokenizerServiceStub(other)
        await asyncio.gather(one.channel_ready(), other.channel_ready())
        began = time.perf_counter()
        frames = generate.Generate()
        await frames.write(generator_pb2.GenerateRequest(config=generator_pb2.GenerateConfig()))
        text = generator_pb2.GenerateText(text=TEXT)
        await frames.write(generator_pb2.GenerateRequest(text=text))
        flush = generator_pb2.GenerateFlush(turn_id="t")
        await frames.write(generator_pb2.GenerateRequest(flush=flush))
        while (answer := await frames.read()).WhichOneof("response") != "frames":
            pass
        audio = decode.StreamingDecode()
        await audio.write(
            tokenizer_pb2.StreamingDecodeRequest(config=tokenizer_pb2.StreamingDecodeConfig())
        )
        part = common_pb2.TokenFrames()
        part.CopyFrom(answer.frames.frames)
        await audio.write(tokenizer_pb2.StreamingDecodeRequest(frames=part))
        await audio.read()
        first = (time.perf_counter() - began) * 1000
        frames.cancel()
        audio.cancel()
    return first


async def measure(calls: int) -> dict[str, Any]:
    """Calls one after another, through the gateway and past it in turn."""
    async with backends() as ports, gateway(*ports) as (pid, client, _):
        for _ in range(WARM_UP_CALLS):
            await through(client)
            await directly(*ports)
        behind, past, frames, used_s = [], [], 0, 0.0
        for _ in range(calls):
            before = cpu_s(pid)
            first, made = await through(client)
            used_s += cpu_s(pid) - before
            behind.append(first)
            frames += made
            past.append(await directly(*ports))
    added = machine.percentile(behind, 0.5) - machine.percentile(past, 0.5)
    return {
        "benchmark": "gateway",
        "machine": machine.describe(),
        "calls": calls,
        "frames": frames,
        "first_audio_ms": machine.summary(behind, 2),
        "first_audio_of_backends_ms": machine.summary(past, 2),
        "added_to_first_audio_ms": round(added, 2),
        "cpu_ms_a_frame": round(1000 * used_s / frames, 3),
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
