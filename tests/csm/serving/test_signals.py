"""Processes that are told to end: while they import, while they load, and while they drain."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.csm.serving.rpc.raw_http2 import RawConnection, message, rpc_headers

ROOT = Path(__file__).resolve().parents[3]
PROCESS = """
import asyncio, sys, time
from csm.serving import bootstrap
from csm.serving.settings import ServiceSettings
from csm import errors

class Slow:
    name = "csm.v1.GeneratorService"
    async def start(self):
        if sys.argv[1] == "failing":
            raise errors.FailedPrecondition("no such model")
        if sys.argv[1] == "loading":
            print("loading", flush=True)
            await asyncio.to_thread(time.sleep, 60)
    def register(self, server): pass
    def alive(self):
        print("ready", flush=True)
        return True
    async def drain(self, finish_s):
        print("draining", flush=True)
        if sys.argv[1] == "stuck":
            time.sleep(60)
        await asyncio.sleep(60)
    async def stop(self): pass

more = {}
if sys.argv[1] == "short":
    bootstrap.EXIT_S = 1.0
    more = {"drain_finish_s": 0}
    Slow.drain = lambda self, finish_s: time.sleep(60)
if sys.argv[1] == "watched":
    async def drain(self, finish_s): pass
    Slow.drain = drain
    more = {"port": int(sys.argv[2]), "log_format": "json", "drain_finish_s": 0}
bootstrap.run(lambda metrics: Slow(), ServiceSettings(**{"port": 0, **more}), "slow")
"""


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert any(said.strip() == line for said in process.stdout), process.communicate()[1]


def test_a_signal_while_a_thread_loads_ends_the_process_at_once_and_well() -> None:
    with started("-c", PROCESS, "loading") as process:
        wait_for(process, "loading")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "told to stop while loading" in process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["patient", "stuck"])
def test_a_second_signal_ends_a_drain_at_once_by_an_exit_not_by_a_default_action(
    kind: str, number: signal.Signals
) -> None:
    with started("-c", PROCESS, kind) as process:
        wait_for(process, "ready")
        process.send_signal(signal.SIGTERM)
        wait_for(process, "draining")
        process.send_signal(number)
        # A default action would show as -15, and process 1 of a container has none.
        assert process.wait(10) == 128 + number


ABORTS = """
import atexit, os
atexit.register(os.abort)
"""
"""What happens where one of gRPC's threads meets the interpreter's own end, now and then."""


def test_a_drain_ends_with_0_whatever_goes_wrong_at_the_interpreters_end() -> None:
    with started("-c", ABORTS + PROCESS, "watched", "0") as process:
        wait_for(process, "ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_start_that_fails_ends_with_1_whatever_goes_wrong_at_the_interpreters_end() -> None:
    with started("-c", ABORTS + PROCESS, "failing") as process:
        assert process.wait(10) == 1
        assert process.stderr is not None
        assert process.stderr.read().splitlines()[-1] == "slow: no such model"


def test_a_loop_that_hangs_in_a_drain_is_ended_well_after_its_time() -> None:
    with started("-c", PROCESS, "short") as process:
        wait_for(process, "ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "told to end" in process.stderr.read()


@pytest.mark.parametrize(
    ("path", "request_bytes"),
    [
        (b"/grpc.health.v1.Health/Watch", b""),
        (b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b"\x3a\x00"),
    ],
)
def test_a_peer_that_reads_nothing_does_not_outlive_a_signal_and_all_lines_are_json(
    path: bytes, request_bytes: bytes
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started("-c", PROCESS, "watched", str(port)) as process:
        wait_for(process, "ready")
        still = RawConnection(f"127.0.0.1:{port}", window_bytes=0)
        still.headers(1, rpc_headers(path, (b"x-v", b"\xa3 my words")))
        still.data(1, message(request_bytes))
        still.headers(3, rpc_headers(b"/csm.v1.\xa3/X"))
        still.headers(5, rpc_headers(path, (b"grpc-timeout", b"my words")))
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 0
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
        still.close()
    assert not [line for line in lines if line["level"] != "INFO"]
    assert "my words" not in str(lines)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("module", ["gateway", "services.tokenizer", "services.generator"])
def test_a_service_hears_a_signal_before_it_has_imported_everything(module: str) -> None:
    with started("-m", module, "--port", "0", "--metrics-port", "0") as process:
        status = Path(f"/proc/{process.pid}/status")
        deadline = time.monotonic() + 30
        while True:
            caught = next(s for s in status.read_text().splitlines() if s.startswith("SigCgt"))
            if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
                break
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
