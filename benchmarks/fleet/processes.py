"""Processes of the three services on this machine, several of each, to be stopped and killed."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
PICO = ROOT / "models" / "pico"
MODULES = {
    "tokenizer": ("services.tokenizer", "csm.v1.TokenizerService"),
    "generator": ("services.generator", "csm.v1.GeneratorService"),
    "gateway": ("gateway", "csm.v1.SpeechService"),
}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for one in sockets:
        one.close()
    return ports


class Fleet:
    """So many of each service; a process is named by its service and its number."""

    def __init__(
        self,
        folder: Path,
        *,
        tokenizers: int = 2,
        generators: int = 3,
        gateways: int = 1,
        flags: dict[str, list[str]] | None = None,
    ) -> None:
        """Logs go to `folder`; `flags` of a service are added to those that connect it."""
        counts = {"tokenizer": tokenizers, "generator": generators, "gateway": gateways}
        self.folder, self._flags = folder, flags or {}
        self.names = [(kind, n) for kind, count in counts.items() for n in range(count)]
        self._ports = dict(zip(self.names, free_ports(len(self.names)), strict=True))
        self.running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts all; returns when they are ready."""
        for kind, number in self.names:
            self.begin(kind, number)
        for kind, number in self.names:
            self.ready(kind, number)

    def address(self, kind: str, number: int) -> str:
        """Where the process listens."""
        return f"127.0.0.1:{self._ports[kind, number]}"

    def begin(self, kind: str, number: int) -> None:
        """Starts one, on the port that it had before."""
        flags = ["--port", str(self._ports[kind, number]), "--metrics-port", "none"]
        if kind == "gateway":
            for backend in ("tokenizer", "generator"):
                places = [self.address(k, n) for k, n in self.names if k == backend]
                flags += [f"--{backend}-target", f"ipv4:{','.join(places)}"]
            flags += ["--http-port", "none"]  # several would want the same one
        else:
            flags += ["--model", str(PICO), "--threads", "1"]
        flags += self._flags.get(kind, [])
        with (self.folder / f"{kind}-{number}.log").open("ab") as log:
            self.running[kind, number] = subprocess.Popen(
                [sys.executable, "-m", MODULES[kind][0], *flags], cwd=ROOT, stdout=log, stderr=log
            )

    def ready(self, kind: str, number: int, timeout_s: float = 120) -> None:
        """Returns when it is; raises RuntimeError where it ends or takes longer."""
        deadline = time.monotonic() + timeout_s
        request = health_pb2.HealthCheckRequest(service=MODULES[kind][1])
        with grpc.insecure_channel(self.address(kind, number)) as channel:
            while time.monotonic() < deadline:
                if self.running[kind, number].poll() is not None:
                    break
                try:
                    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                except grpc.RpcError:
                    pass
                time.sleep(0.1)
        log = (self.folder / f"{kind}-{number}.log").read_text()[-2000:]
        raise RuntimeError(f"{kind} {number} did not become ready:\n{log}")

    def send(self, kind: str, number: int, signal_number: signal.Signals) -> None:
        """Sends a signal to one."""
        self.running[kind, number].send_signal(signal_number)

    def replace(self, kind: str, number: int) -> None:
        """Kills one, whatever it does, and starts it anew; returns when it is ready."""
        self._kill(kind, number)
        self.begin(kind, number)
        self.ready(kind, number)

    def close(self) -> None:
        """Kills all."""
        for kind, number in list(self.running):
            self._kill(kind, number)

    def _kill(self, kind: str, number: int) -> None:
        process = self.running.pop((kind, number))
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(30)
