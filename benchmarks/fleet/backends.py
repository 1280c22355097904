"""Simulated generators or tokenizers, several in one process: `python -m benchmarks.fleet.backends
generator --ports 6001,6002`.

It prints `ready` when it listens, and ends by SIGTERM, with its parent, or after `--max-s`.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

import grpc

from benchmarks.fleet.engine import EngineOptions, SimulatedEngine
from benchmarks.fleet.generator import SimulatedGenerator
from benchmarks.fleet.tokenizer import SimulatedTokenizer
from csm.channel import MIN_PING_INTERVAL_MS
from csm.serving.bootstrap import event_loop
from csm.serving.process import heap

PARENT_CHECK_S = 1.0


async def serve(kind: str, ports: Sequence[int], options: EngineOptions, max_s: float) -> None:
    """Serves on every port until SIGTERM, the parent's end, or the time is over."""
    servers = []
    for number, port in enumerate(ports):
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
            ]
        )
        if kind == "generator":
            seed = options.seed + number
            engine = SimulatedEngine(EngineOptions(**{**vars(options), "seed": seed}))
            SimulatedGenerator(engine).register(server)
        else:
            SimulatedTokenizer().register(server)
        if server.add_insecure_port(f"127.0.0.1:{port}") != port:
            raise OSError(f"port {port} is taken")
        await server.start()
        servers.append(server)
    heap.freeze_heap()
    print("ready", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    parent, until = os.getppid(), asyncio.get_running_loop().time() + max_s
    while asyncio.get_running_loop().time() < until and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PARENT_CHECK_S)
            break
    await asyncio.gather(*(server.stop(0) for server in servers))


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the options and serves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("generator", "tokenizer"))
    parser.add_argument("--ports", required=True, help="parted by commas, a service each")
    parser.add_argument("--step-ms", type=float, default=EngineOptions.step_ms)
    parser.add_argument("--prefill-ms", type=float, default=EngineOptions.prefill_ms)
    parser.add_argument("--slots", type=int, default=EngineOptions.slots)
    parser.add_argument("--max-queue", type=int, default=EngineOptions.max_queue)
    parser.add_argument("--fail-share", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-s", type=float, default=600.0, help="ends by itself after it")
    given = parser.parse_args(arguments)
    options = EngineOptions(
        step_ms=given.step_ms,
        prefill_ms=given.prefill_ms,
        slots=given.slots,
        max_queue=given.max_queue,
        fail_share=given.fail_share,
        seed=given.seed,
    )
    heap.collect_seldom()
    ports = [int(port) for port in given.ports.split(",")]
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        runner.run(serve(given.kind, ports, options, given.max_s))
    return 0


if __name__ == "__main__":
    sys.exit(main())
