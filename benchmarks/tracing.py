"""What traces cost: `python -m benchmarks.tracing`.

CPU of the gateway's process (and of a process that makes the spans of all three services, and
nothing else), with tracing off, on, and off again as a control, in turn in one run. Spans go to a
collector that takes them all, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from benchmarks import machine
from benchmarks.gateway import TEXT, WARM_UP_CALLS, backends, cpu_s, gateway
from csm.client import AsyncClient

ENDPOINT = "CSM_GATEWAY_TRACING_ENDPOINT"
BATCH_CALLS = 25
"""Turns between two looks at the clock, whose grain is 10 ms."""
CASES = ("off", "on", "off_again")


def take_spans() -> None:
    """A collector: says its port, and runs until its standard input ends."""
    server = grpc.server(ThreadPoolExecutor(2))
    answer = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    path = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(path, {"Export": answer}),)
    )
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()


@contextmanager
def collector() -> Iterator[str]:
    """The endpoint of one in a process of its own."""
    code = "from benchmarks.tracing import take_spans; take_spans()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        said = process.stdout.readline() if process.stdout is not None else ""
        yield f"http://127.0.0.1:{int(said)}"
    finally:
        process.terminate()
        process.wait()


async def speak(client: AsyncClient) -> int:
    """A turn; its frames."""
    frames = 0
    async for chunk in client.synthesize(TEXT, seed=1):
        frames += round(len(chunk.samples) / chunk.sample_rate_hz * 12.5)
    return frames


async def of_gateways(rounds: int, endpoint: str) -> dict[str, Any]:
    """A gateway of each case, asked in turn."""
    used: dict[str, list[float]] = {case: [] for case in CASES}
    frames_a_turn = 0
    async with AsyncExitStack() as held:
        ports = await held.enter_async_context(backends())
        running = {}
        for case in CASES:
            os.environ[ENDPOINT] = endpoint if case == "on" else ""
            running[case] = await held.enter_async_context(gateway(*ports))
        for _, client, _ in running.values():
            for _ in range(WARM_UP_CALLS):
                await speak(client)
        for round_number in range(rounds):
            order = CASES if round_number % 2 else CASES[::-1]
            for case in order:
                pid, client, _ = running[case]
                before, frames = cpu_s(pid), 0
                for _ in range(BATCH_CALLS):
                    frames += await speak(client)
                if case == "on":
                    await asyncio.sleep(0.5)  # what it still has to send
                used[case].append(1000 * (cpu_s(pid) - before) / frames)
                frames_a_turn = frames // BATCH_CALLS
    medians = {case: machine.percentile(values, 0.5) for case, values in used.items()}
    return {
        "frames_a_turn": frames_a_turn,
        "cpu_ms_a_frame": {case: machine.summary(values, 3) for case, values in used.items()},
        "added_cpu_ms_a_frame": round(
            medians["on"] - (medians["off"] + medians["off_again"]) / 2, 4
        ),
        "control_cpu_ms_a_frame": round(medians["off_again"] - medians["off"], 4),
    }


@dataclass(frozen=True)
class Shape:
    """The spans that a service makes of one turn, beside its call's."""

    parts: int
    outgoing: int
    with_turn: bool


def make_spans(endpoint: str, turns: int, shape: Shape) -> float:
    """CPU milliseconds of all threads for the spans of one call, sent and all."""
    from csm.serving.calls import turn_record
    from csm.serving.calls.outgoing import OutgoingCall
    from csm.serving.calls.recorder import CallRecorder
    from csm.serving.metrics import Metrics
    from csm.serving.settings import ServiceSettings
    from csm.serving.tracing.setup import open_tracing

    async def work() -> None:
        settings = ServiceSettings.model_validate({"tracing_endpoint": endpoint})
        tracing = open_tracing(settings, "csm.v1.SpeechService", Metrics().server)
        recorder = CallRecorder(tracing.observers)
        for _ in range(turns):
            call = recorder.begin("csm.v1.SpeechService/Synthesize", "grpc", "r", "p")
            turn = call.begin_turn(time.monotonic()) if shape.with_turn else None
            turn_record.current.set(turn)
            calls = [
                OutgoingCall("csm.v1.GeneratorService/Generate") for _ in range(shape.outgoing)
            ]
            for one in calls:
                one.metadata  # noqa: B018
                one.end("OK")
            for _ in range(shape.parts):
                call.stage(turn, "frames", 1.0, 2.0, frames=40, first_ms=1.5)
            if turn is not None:
                turn.turn_id, turn.num_frames, turn.finish_reason = "t", 40, "EOS"
                turn.prompt_frames, turn.text_tokens, turn.text_chars = 20, 20, 20
                turn.queue_ms, turn.prefill_ms, turn.audio_s = 1.0, 2.0, 3.2
                call.end_turn(turn, time.monotonic())
            call.end("OK")
        await tracing.close()

    began = time.process_time()
    asyncio.run(work())
    return 1000 * (time.process_time() - began) / turns


def of_spans(endpoint: str, turns: int) -> dict[str, Any]:
    """CPU of the spans of one turn by service, without any of its work."""
    services = {
        "gateway": Shape(parts=6, outgoing=2, with_turn=True),
        "generator": Shape(parts=4, outgoing=0, with_turn=False),
        "tokenizer": Shape(parts=1, outgoing=0, with_turn=False),
    }
    make_spans(endpoint, 50, services["gateway"])
    cost = {name: make_spans(endpoint, turns, shape) for name, shape in services.items()}
    return {
        "cpu_ms_a_turn": {name: round(ms, 3) for name, ms in cost.items()},
        "cpu_ms_a_turn_in_all": round(sum(cost.values()), 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--turns", type=int, default=500)
    given = parser.parse_args(arguments)
    with collector() as endpoint:
        result = {
            "benchmark": "tracing",
            "machine": machine.describe(),
            "gateway": asyncio.run(of_gateways(given.rounds, endpoint)),
            "spans": of_spans(endpoint, given.turns),
        }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
