"""Many conversations through real gateways over simulated backends.

`python -m benchmarks.fleet streams` (options: `--help`).
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.fleet.engine import FRAME_MS
from benchmarks.fleet.listeners import Listeners
from benchmarks.fleet.stack import Stack, StackOptions, Used, used_by
from csm.serving.bootstrap import event_loop
from csm.serving.process import heap

FRAMES_PER_S = 1000 / FRAME_MS


@dataclass(frozen=True)
class Phases:
    """Seconds of a run."""

    measured_s: float = 20.0
    """Of each number of speakers."""
    warm_up_s: float = 5.0
    """Before it."""
    idle_s: float = 10.0
    """That all conversations stand open and nobody speaks."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    defaults = StackOptions()
    parser.add_argument("--streams", type=int, default=2000, help="conversations open")
    parser.add_argument("--speaking", type=_numbers, default=[100], help="at once; several: 50,100")
    parser.add_argument("--seconds", type=float, default=Phases.measured_s, help="of each")
    parser.add_argument("--gateways", type=_numbers, default=[1], help="processes; several: 1,2,4")
    parser.add_argument("--generators", type=int, default=defaults.generators)
    parser.add_argument("--tokenizers", type=int, default=defaults.tokenizers)
    parser.add_argument("--step-ms", type=float, default=defaults.step_ms)
    parser.add_argument("--fail-share", type=float, default=0.0, help="turns that fail amid")
    parser.add_argument("--lead-ms", type=int, default=1000, help="ahead of the listener; 0: all")
    parser.add_argument("--no-redis", action="store_true")


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def run(given: argparse.Namespace) -> dict[str, Any]:
    """All combinations of gateways and speakers asked for."""
    results = []
    for gateways in given.gateways:
        options = StackOptions(
            gateways=gateways,
            generators=given.generators,
            tokenizers=given.tokenizers,
            step_ms=given.step_ms,
            fail_share=given.fail_share,
            redis=not given.no_redis,
            streams=given.streams,
        )
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            results += runner.run(
                measure(options, given.speaking, Phases(given.seconds), lead_ms=given.lead_ms)
            )
    return {"benchmark": "fleet streams", "machine": where(), "runs": results}


def where() -> dict[str, Any]:
    """The machine, and what it did when the run ended."""
    return {
        "cpu": machine.cpu_model(),
        "cores": os.cpu_count(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
    }


async def measure(
    options: StackOptions, speaking: Sequence[int], phases: Phases, *, lead_ms: int
) -> list[dict[str, Any]]:
    """One stack, and so many speakers one after the other."""
    heap.collect_seldom()
    with tempfile.TemporaryDirectory(prefix="csm") as folder, Stack(Path(folder), options) as stack:
        empty = stack.used("gateway")
        listeners = Listeners(stack.target, options.streams, lead_ms=lead_ms)
        try:
            began = time.monotonic()
            await listeners.open()
            opened_s = time.monotonic() - began
            opened = stack.used("gateway")
            await asyncio.sleep(phases.idle_s)
            idle = stack.used("gateway")
            of_streams = {
                "opened_per_s": round(options.streams / opened_s),
                "gateway_rss_mb_empty": round(empty.rss_bytes / 2**20, 1),
                "kb_a_stream_open": _kb_each(empty, opened, options.streams),
                "cpu_cores_of_open_streams": round((idle.cpu_s - opened.cpu_s) / phases.idle_s, 3),
            }
            runs = []
            for count in speaking:
                told = await _spoken(stack, listeners, count, phases)
                told["kb_a_stream_after"] = _kb_each(empty, stack.used("gateway"), options.streams)
                told["speaking"] = count
                runs.append({**asdict(options), "lead_ms": lead_ms, **of_streams, **told})
        finally:
            await listeners.close()
    return runs


async def _spoken(
    stack: Stack, listeners: Listeners, speaking: int, phases: Phases
) -> dict[str, Any]:
    edges: list[tuple[float, dict[str, Used]]] = []
    heard = await listeners.speak(
        speaking,
        phases.warm_up_s,
        phases.measured_s,
        lambda: edges.append((time.monotonic(), _all_used(stack))),
    )
    (began, before), (ended, after) = edges
    took_s = ended - began
    cpu_s = {kind: after[kind].cpu_s - before[kind].cpu_s for kind in after}
    frames = heard.audio_s * FRAMES_PER_S
    first_ms = [1000 * one for one in heard.first_audio_s]
    lags_ms = [1000 * one for one in heard.lags_s]
    return {
        "turns": len(heard.underrun_s),
        "frames_per_s": round(frames / took_s, 1),
        "frames_a_message": round(frames / max(1, heard.chunks), 2),
        "gateway_cpu_ms_a_frame": round(1000 * cpu_s["gateway"] / max(1.0, frames), 3),
        "cpu_cores": {kind: round(used / took_s, 2) for kind, used in cpu_s.items()},
        "first_audio_ms": {
            "p50": round(machine.percentile(first_ms, 0.5), 1),
            "p99": round(machine.percentile(first_ms, 0.99), 1),
        },
        "turns_interrupted": heard.interrupted,
        "underrun_ms_p99": round(1000 * machine.percentile(heard.underrun_s, 0.99), 1),
        "refused": heard.refused,
        "failed": len(heard.failed),
        "failovers": heard.failovers,
        "client_loop_late_ms_p99": round(machine.percentile(lags_ms, 0.99), 1),
    }


def _all_used(stack: Stack) -> dict[str, Used]:
    used = {kind: stack.used(kind) for kind in stack.kinds()}
    return used | {"client": used_by(os.getpid())}


def _kb_each(before: Used, after: Used, streams: int) -> float:
    return round((after.rss_bytes - before.rss_bytes) / 1024 / streams, 1)
