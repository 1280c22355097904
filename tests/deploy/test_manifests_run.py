"""Production's settings, really started: three processes and a Redis with the variables, Secrets
and files of the rendered manifests, and a caller with a token and nothing but TLS.

What differs from a cluster: addresses and ports are of this machine, and where a volume would be
mounted is a folder.
"""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.fleet.processes import free_ports
from csm import errors
from csm.client import Client
from tests.deploy.facts import ROOT, SERVICES
from tests.deploy.manifests import Objects, composed, container_of, find, pod_of
from tests.deploy.secrets import DOCUMENT, ConfigMapOrSecret, Made, run_the_docs
from tests.gateway.conversations.redis.server import needs_redis

READY_S = 120.0
pytestmark = [
    needs_redis,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl"),
]


def stack() -> Objects:
    return composed("base", "tls", "auth", "redis")


@dataclass
class Cluster:
    """The processes, and where they are."""

    folder: Path
    made: Made
    ports: dict[str, dict[str, int]] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def secret(self, name: str) -> dict[str, bytes]:
        return self.made[ConfigMapOrSecret("Secret", name)]

    def mounted(self, name: str) -> dict[str, Path]:
        """Where each Secret of a pod lies, by the path that it would be mounted at."""
        secrets = {
            volume["name"]: volume["secret"]["secretName"]
            for volume in pod_of(stack(), name)["volumes"]
            if "secret" in volume
        }
        found = {}
        for mount in container_of(stack(), name)["volumeMounts"]:
            if secret := secrets.get(mount["name"]):
                place = found[mount["mountPath"]] = self.folder / secret
                place.mkdir(exist_ok=True)
                for key, value in self.secret(secret).items():
                    (place / key).write_bytes(value)
        return found

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a pod, with this machine's addresses."""
        told = {}
        for each in container_of(stack(), name)["env"]:
            if "value" in each:
                told[each["name"]] = each["value"]
            else:
                source = each["valueFrom"]["secretKeyRef"]
                told[each["name"]] = self.secret(source["name"])[source["key"]].decode()
        for path, place in self.mounted(name).items():
            told = {k: v.replace(f"{path}/", f"{place}/") for k, v in told.items()}
        prefix = SERVICES[name].prefix
        for port, number in self.ports[name].items():
            told[f"{prefix}{port}"] = str(number)
        told[f"{prefix}DRAIN_DELAY_S"] = "0"
        if name == "gateway":
            for backend in ("tokenizer", "generator"):
                place = f"127.0.0.1:{self.ports[backend]['PORT']}"
                told[f"{prefix}{backend.upper()}_TARGET"] = place
            told[f"{prefix}STORE_URL"] = told[f"{prefix}STORE_URL"].replace(
                "@redis:6379", f"@127.0.0.1:{self.ports['redis']['PORT']}"
            )
        return told

    def start(self) -> None:
        names = ("PORT", "METRICS_PORT", "HEALTH_PORT")
        for name in SERVICES:
            self.ports[name] = dict(zip(names, free_ports(3), strict=True))
        self.ports["gateway"]["HTTP_PORT"], redis_port = free_ports(2)
        self.ports["redis"] = {"PORT": redis_port}
        template = find(stack(), "StatefulSet", "redis")["spec"]["template"]
        (container,) = template["spec"]["containers"]
        conf = self.folder / "redis.conf"
        conf.write_bytes(self.secret("csm-store")["redis.conf"])
        moved = {"/etc/redis/redis.conf": str(conf), "/data": str(self.folder)}
        arguments = [moved.get(each, each) for each in container["args"]]
        self.run("redis", [*arguments, "--bind", "127.0.0.1", "--port", str(redis_port)], {})
        for name, service in SERVICES.items():
            command = [sys.executable, "-m", service.module]
            self.run(name, command, self.environment(name))
        for name in SERVICES:
            self.wait_ready(name)

    def run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CSM_")}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command, env={**kept, **environment}, cwd=ROOT, stdout=log, stderr=log
            )

    def is_ready(self, name: str) -> bool:
        """What the kubelet's probe would hear: it speaks no TLS and shows nothing."""
        asked = container_of(stack(), name)["readinessProbe"]["grpc"]
        request = health_pb2.HealthCheckRequest(service=asked["service"])
        with grpc.insecure_channel(f"127.0.0.1:{self.ports[name]['HEALTH_PORT']}") as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + READY_S
        while not self.is_ready(name):
            ended = self.running[name].poll() is not None
            log = (self.folder / f"{name}.log").read_text()[-3000:]
            assert not ended, f"{name} ended:\n{log}"
            assert time.monotonic() < deadline, f"{name} is not ready:\n{log}"
            time.sleep(0.1)

    def close(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    docs = folder / "docs"
    docs.mkdir()
    for name in ("ingress.pem", "ingress-key.pem"):
        source = "server.pem" if name == "ingress.pem" else "server-key.pem"
        (docs / name).symlink_to(docs / "certs" / source)
    made = run_the_docs(docs, "TLS by hand", "Tokens", "The store")
    one = Cluster(folder, made)
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture
def token(cluster: Cluster) -> str:
    """What `csm tokens new alice` printed."""
    return (cluster.folder / "docs" / "alice.token").read_text().strip()


@pytest.fixture
def authority(cluster: Cluster) -> bytes:
    return cluster.secret("tokenizer-tls")["ca.crt"]


def gateway_of(cluster: Cluster) -> str:
    return f"127.0.0.1:{cluster.ports['gateway']['PORT']}"


def test_a_caller_with_a_token_is_heard_and_kept(
    cluster: Cluster, token: str, authority: bytes
) -> None:
    with Client(gateway_of(cluster), token=token, root_certificates=authority) as client:
        spoken = client.synthesize("Hello there.", conversation_id="kept", max_audio_ms=1000)
        assert len(spoken.read_all()) > 4000
        assert [turn.text for turn in client.get_conversation("kept").turns] == ["Hello there."]


def test_the_command_of_the_docs_speaks(cluster: Cluster, tmp_path: Path) -> None:
    docs = cluster.folder / "docs"
    (command,) = (
        line
        for line in DOCUMENT.read_text().splitlines()
        if "--ca certs/ca.pem --token-file" in line
    )
    program, *arguments = shlex.split(command)
    assert program == "csm"
    arguments[arguments.index("127.0.0.1:50050")] = gateway_of(cluster)
    arguments[arguments.index("hello.wav")] = str(tmp_path / "hello.wav")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "csm.cli.main", *arguments],
        cwd=docs,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hello.wav").stat().st_size > 10_000


def test_one_without_a_token_is_not(cluster: Cluster, authority: bytes) -> None:
    with (
        Client(gateway_of(cluster), root_certificates=authority) as client,
        pytest.raises(errors.Unauthenticated),
    ):
        client.synthesize("Hello there.").read_all()


@pytest.mark.parametrize("name", SERVICES)
def test_no_port_of_a_service_answers_in_plain_text(cluster: Cluster, name: str) -> None:
    ports = {cluster.ports[name]["PORT"]}
    if name == "gateway":
        ports.add(cluster.ports[name]["HTTP_PORT"])
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                answer = plain.recv(64)
            except ConnectionResetError:
                answer = b""
        assert not answer.startswith(b"HTTP/")


@pytest.mark.parametrize("name", ["tokenizer", "generator"])
def test_a_model_service_answers_nobody_without_a_certificate(
    cluster: Cluster, authority: bytes, name: str
) -> None:
    credentials = grpc.ssl_channel_credentials(authority)
    request = health_pb2.HealthCheckRequest()
    target = f"127.0.0.1:{cluster.ports[name]['PORT']}"
    with grpc.secure_channel(target, credentials) as channel, pytest.raises(grpc.RpcError):
        health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    shown = cluster.secret("gateway-client-tls")
    credentials = grpc.ssl_channel_credentials(authority, shown["tls.key"], shown["tls.crt"])
    with grpc.secure_channel(target, credentials) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
