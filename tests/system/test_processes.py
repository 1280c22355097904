"""The three services as processes of their own: speak, be measured, be killed, drain."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import errors
from csm.client import Client, FinishReason
from tests.system.conftest import PICO, ROOT

SERVICES = {
    "tokenizer": ("services.tokenizer", "csm.v1.TokenizerService"),
    "generator": ("services.generator", "csm.v1.GeneratorService"),
    "gateway": ("gateway", "csm.v1.SpeechService"),
}


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for one in sockets:
        one.close()
    return ports


class Processes:
    """The three services, each with its ports, logging into a file."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(6)
        self.ports = dict(zip(SERVICES, ports[:3], strict=True))
        self.metrics = dict(zip(SERVICES, ports[3:], strict=True))
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for name in SERVICES:
            self.start(name)
        for name in SERVICES:
            self.wait_ready(name)

    def start(self, name: str) -> None:
        flags = ["--port", str(self.ports[name]), "--metrics-port", str(self.metrics[name])]
        if name == "gateway":
            for backend in ("tokenizer", "generator"):
                flags += [f"--{backend}-target", f"127.0.0.1:{self.ports[backend]}"]
        else:
            flags += ["--model", str(PICO), "--threads", "1"]
        log = (self.folder / f"{name}.log").open("ab")
        self.running[name] = subprocess.Popen(
            [sys.executable, "-m", SERVICES[name][0], *flags], cwd=ROOT, stdout=log, stderr=log
        )
        log.close()

    def wait_ready(self, name: str, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.running[name].poll() is None, self.log(name)
            if self.status(name) == health_pb2.HealthCheckResponse.SERVING:
                return
            time.sleep(0.1)
        pytest.fail(f"{name} did not become ready:\n{self.log(name)}")

    def status(self, name: str) -> int:
        with grpc.insecure_channel(self.address(name)) as wire:
            request = health_pb2.HealthCheckRequest(service=SERVICES[name][1])
            try:
                return health_pb2_grpc.HealthStub(wire).Check(request, timeout=2).status
            except grpc.RpcError:
                return 0

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def end(self, name: str, number: signal.Signals) -> int:
        self.running[name].send_signal(number)
        return self.running[name].wait(60)

    def close(self) -> None:
        """Ends what still runs."""
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    one = Processes(tmp_path_factory.mktemp("logs"))
    yield one
    one.close()


def test_an_utterance_goes_through_three_processes(processes: Processes) -> None:
    with Client(processes.address("gateway")) as client:
        speech = client.synthesize("Hello there.", seed=1)
        assert len(speech.read_all()) > 6000
        assert speech.completed
        assert speech.completed.finish_reason is FinishReason.EOS


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs Debian's prometheus package")
@pytest.mark.parametrize("name", SERVICES)
def test_promtool_accepts_what_a_service_exports(processes: Processes, name: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{processes.metrics[name]}/metrics") as page:
        text = page.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert checked.returncode == 0, checked.stderr.decode()
    assert f'csm_ready{{grpc_service="{SERVICES[name][1]}"}} 1.0' in text.decode()


def test_a_killed_generator_is_an_honest_error_and_its_return_heals(processes: Processes) -> None:
    with Client(processes.address("gateway")) as client:
        speech = client.synthesize(
            "This is a long sentence that goes on for a while, so that it can be cut.",
            max_lead_ms=100,
        )
        iterator = iter(speech)
        next(iterator)
        processes.end("generator", signal.SIGKILL)
        with pytest.raises(errors.ServiceError) as caught:
            list(iterator)
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        deadline = time.monotonic() + 20
        while processes.status("gateway") == health_pb2.HealthCheckResponse.SERVING:
            assert time.monotonic() < deadline, "the gateway stayed ready without a generator"
            time.sleep(0.1)
        processes.start("generator")
        processes.wait_ready("generator")
        processes.wait_ready("gateway", 30)
        assert client.synthesize("Hello there.", seed=1).read_pcm()


def test_sigterm_lets_an_accepted_utterance_finish(processes: Processes) -> None:
    with Client(processes.address("gateway")) as client:
        speech = client.synthesize("Could you tell me where the station is?", max_lead_ms=100)
        iterator = iter(speech)
        next(iterator)
        codes: dict[str, int] = {}

        def end_all() -> None:
            for name in ("gateway", "generator", "tokenizer"):
                codes[name] = processes.end(name, signal.SIGTERM)

        ending = threading.Thread(target=end_all)
        ending.start()
        chunks = list(iterator)
        ending.join(90)
        assert len(chunks) > 5
        assert speech.completed
        assert speech.completed.finish_reason is FinishReason.EOS
        assert codes == {"gateway": 0, "generator": 0, "tokenizer": 0}


@pytest.mark.parametrize("name", SERVICES)
def test_a_wrong_setting_is_named_and_exits_with_2(name: str) -> None:
    prefix = {"tokenizer": "TOKENIZER", "generator": "GENERATOR", "gateway": "GATEWAY"}[name]
    done = subprocess.run(
        [sys.executable, "-m", SERVICES[name][0]],
        cwd=ROOT,
        env={**os.environ, f"CSM_{prefix}_PORT": "70000"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert f"CSM_{prefix}_PORT (--port) is '70000'" in done.stderr
    assert "Traceback" not in done.stderr
