"""Real gateways over simulated backends and a real Redis, each a process of its own.

What each of them costs is read from /proc: on few cores they take time from each other, and only
so is one's own part told from the rest.
"""

import contextlib
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.fleet.processes import MODULES, ROOT, free_ports

MAX_LIFE_S = 900
"""After which simulated backends end by themselves."""
START_TIMEOUT_S = 60.0
REDIS = shutil.which("redis-server")


@dataclass(frozen=True)
class StackOptions:
    """How many of each, and how the simulated ones behave."""

    gateways: int = 1
    generators: int = 4
    """Engines, all in one process."""
    tokenizers: int = 2
    """In one process."""
    slots: int = 512
    """Of each generator."""
    step_ms: float = 40.0
    fail_share: float = 0.0
    redis: bool = True
    streams: int = 2000
    """What the gateways let in, together and each."""


@dataclass(frozen=True)
class Used:
    """What processes of a kind have used."""

    cpu_s: float
    rss_bytes: int


class Stack:
    """The processes; started by `with`."""

    def __init__(self, folder: Path, options: StackOptions) -> None:
        """Logs and Redis' socket go to `folder`, whose path must be short."""
        self.folder, self.options = folder, options
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._ports = free_ports(options.gateways)

    @property
    def target(self) -> str:
        """All gateways, for a client that balances by itself."""
        return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def store_url(self) -> str:
        """Where Redis listens."""
        return f"unix://{self.folder}/redis.sock"

    def __enter__(self) -> "Stack":
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def used(self, kind: str) -> Used:
        """What all of a kind ("gateway", "generator", "tokenizer", "redis") have used."""
        used = [used_by(process.pid) for process in self._processes.get(kind, [])]
        return Used(sum(one.cpu_s for one in used), sum(one.rss_bytes for one in used))

    def kinds(self) -> Sequence[str]:
        """What runs."""
        return list(self._processes)

    def close(self) -> None:
        """Ends all."""
        started = [p for processes in self._processes.values() for p in processes]
        for process in started:
            process.terminate()
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
                continue
            process.kill()
            process.wait(5)
        self._processes.clear()

    def _start(self) -> None:
        options = self.options
        if options.redis:
            self._start_redis()
        targets = {}
        for kind, count in (("generator", options.generators), ("tokenizer", options.tokenizers)):
            ports = free_ports(count)
            targets[kind] = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
            self._start_backends(kind, ports)
        for port in self._ports:
            self._start_gateway(port, targets)
        for number, port in enumerate(self._ports):
            self._ready(port, self._processes["gateway"][number])

    def _start_redis(self) -> None:
        if REDIS is None:
            raise RuntimeError("redis-server is not installed; --no-redis goes without")
        socket = self.folder / "redis.sock"
        self._run(
            "redis",
            [
                REDIS, "--port", "0", "--unixsocket", str(socket), "--dir", str(self.folder),
                "--save", "", "--appendonly", "no",
            ],
        )  # fmt: skip
        until = time.monotonic() + START_TIMEOUT_S
        while not socket.exists():
            if time.monotonic() > until:
                raise RuntimeError("redis-server does not listen")
            time.sleep(0.02)

    def _start_backends(self, kind: str, ports: Sequence[int]) -> None:
        options = self.options
        command = [sys.executable, "-m", "benchmarks.fleet.backends", kind]
        command += ["--ports", ",".join(map(str, ports)), "--max-s", str(MAX_LIFE_S)]
        command += ["--step-ms", str(options.step_ms), "--slots", str(options.slots)]
        command += ["--fail-share", str(options.fail_share)]
        process = self._run(kind, command, stdout=subprocess.PIPE)
        self._listens(process, kind)

    def _listens(self, process: subprocess.Popen[bytes], kind: str) -> None:
        """Returns when it has said that it is ready."""
        out = process.stdout
        if out is None or not select.select([out], [], [], START_TIMEOUT_S)[0]:
            raise RuntimeError(f"the simulated {kind}s do not start")
        if out.readline().strip() != b"ready":
            raise RuntimeError(f"the simulated {kind}s did not start: {self.log(kind)}")

    def _start_gateway(self, port: int, targets: dict[str, str]) -> None:
        most = str(2 * self.options.streams + 16)
        command = [sys.executable, "-m", "gateway", "--port", str(port), "--http-port", "none"]
        command += ["--metrics-port", "none", "--log-level", "WARNING"]
        for name in ("streams", "streams-per-client", "converse-calls", "concurrent-rpcs"):
            command += [f"--max-{name}", most]
        command += ["--max-conversations", most, "--conversation-ttl-s", str(MAX_LIFE_S)]
        for kind, target in targets.items():
            command += [f"--{kind}-target", target]
        if self.options.redis:
            command += ["--store-url", self.store_url]
        self._run("gateway", command)

    def _run(self, kind: str, command: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
        running = self._processes.setdefault(kind, [])
        with (self.folder / f"{kind}-{len(running)}.log").open("ab") as log:
            streams: dict[str, Any] = {"stdout": log, "stderr": log} | more
            process = subprocess.Popen(command, cwd=ROOT, **streams)
        running.append(process)
        return process

    def _ready(self, port: int, process: subprocess.Popen[bytes]) -> None:
        request = health_pb2.HealthCheckRequest(service=MODULES["gateway"][1])
        until = time.monotonic() + START_TIMEOUT_S
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            while time.monotonic() < until and process.poll() is None:
                with contextlib.suppress(grpc.RpcError):
                    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                time.sleep(0.05)
        raise RuntimeError(f"a gateway did not become ready: {self.log('gateway')}")

    def log(self, kind: str) -> str:
        """The end of what the first of a kind wrote."""
        return (self.folder / f"{kind}-0.log").read_text()[-2000:]


def used_by(pid: int) -> Used:
    """CPU of all threads of a process so far, and the memory that it holds now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return Used(cpu_s, pages * os.sysconf("SC_PAGE_SIZE"))
