"""The pods of the overlay `dev`, started from the rendered manifests by podman: each with its own
variables, user, rights, volumes and memory. `make test-containers` builds the images first.

Podman has no gRPC probes, no Services and no network policies: the probes are asked here, and the
names of the Services are given to the pods.
"""

import io
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from tests.deploy.containers import START_S, TAG
from tests.deploy.facts import SERVICES, ServiceFacts
from tests.deploy.manifests import Manifest, container_of, find, rendered

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(not shutil.which("podman"), reason="needs podman, which plays manifests"),
]
OVERLAY = "overlays/dev"
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


class Pods:
    """The pods, in a network of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = f"csm-pods-{uuid.uuid4().hex[:8]}"
        self.environment = dict(os.environ)
        self.pause = "" if shutil.which("catatonit") else f"localhost/{self.id}-pause"
        if self.pause:
            self.environment["CONTAINERS_CONF"] = str(self._with_a_pause_of_ours())

    def _with_a_pause_of_ours(self) -> Path:
        """What holds a pod together is a program that not every podman brings: `sleep` does."""
        recipe = self.folder / "Containerfile"
        recipe.write_text(
            f'FROM csm-gateway:{TAG}\nENTRYPOINT ["sleep", "inf"]\nSTOPSIGNAL SIGKILL\n'
        )
        self.podman("build", "--tag", self.pause, "--file", str(recipe), str(self.folder))
        used = Path(os.environ.get("CONTAINERS_CONF", "/etc/containers/containers.conf"))
        at, _, rest = (used.read_text() if used.exists() else "").partition("[engine]")
        path = self.folder / "containers.conf"
        path.write_text(f'{at}\n[engine]\ninfra_image = "{self.pause}"\n{rest}')
        return path

    def podman(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["podman", *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def start(self) -> None:
        self.podman("network", "create", self.id)
        for name in SERVICES:
            path = self.folder / f"{name}.yaml"
            path.write_text(yaml.safe_dump(self.manifest(name)))
            self.podman("kube", "play", "--network", f"{self.id}:alias={name}", str(path))
        for name, service in SERVICES.items():
            self.wait_ready(name, service)

    def manifest(self, name: str) -> Manifest:
        """The Deployment as it is rendered, under a name of this test's, with the images' tag."""
        deployment: Manifest = json.loads(
            json.dumps(find(rendered(OVERLAY), "Deployment", name))  # a copy
        )
        deployment["metadata"]["name"] = f"{self.id}-{name}"
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container["image"] = f"csm-{name}:{TAG}"
        # Podman publishes them on this machine, where somebody may have them.
        del container["ports"]
        return deployment

    def container(self, name: str) -> str:
        return f"{self.id}-{name}-pod-0-{name}"

    def probe(self, name: str, kind: str) -> bool:
        """What the kubelet would ask, asked inside the pod."""
        asked = container_of(rendered(OVERLAY), name)[kind]["grpc"]
        command = ["python", "-m", "csm.serving.probe", f"127.0.0.1:{asked['port']}"]
        command += [asked["service"]] if "service" in asked else ["--live"]
        done = subprocess.run(
            ["podman", "exec", self.container(name), *command],
            capture_output=True,
            env=self.environment,
            check=False,
        )
        return done.returncode == 0

    def wait_ready(self, name: str, service: ServiceFacts) -> None:
        deadline = time.monotonic() + START_S
        while not self.probe(name, "readinessProbe"):
            assert time.monotonic() < deadline, self.logs(name)
            time.sleep(0.5)

    def logs(self, name: str) -> str:
        done = subprocess.run(
            ["podman", "logs", self.container(name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout[-4000:]

    def remove(self) -> None:
        for name in SERVICES:
            self.podman("pod", "rm", "--force", f"{self.id}-{name}-pod-0", check=False)
        self.podman("network", "rm", self.id, check=False)
        if self.pause:
            self.podman("rmi", self.pause, check=False)


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    it = Pods(tmp_path_factory.mktemp("pods"))
    for name in SERVICES:
        if not it.podman("images", "--quiet", f"csm-{name}:{TAG}"):
            pytest.fail(f"no image csm-{name}:{TAG}; build it: deploy/docker/build.sh {TAG}")
    try:
        it.start()
        yield it
    finally:
        it.remove()


@each_service
def test_every_probe_is_answered(pods: Pods, service: ServiceFacts) -> None:
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert pods.probe(service.name, kind), pods.logs(service.name)


@each_service
def test_a_pod_has_the_rights_that_its_manifest_says(pods: Pods, service: ServiceFacts) -> None:
    (found,) = json.loads(pods.podman("inspect", pods.container(service.name)))
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert not found["EffectiveCaps"]
    assert found["Config"]["User"].split(":")[0] == "1000"
    limit = container_of(rendered(OVERLAY), service.name)["resources"]["limits"]["memory"]
    number, unit = int(limit[:-2]), limit[-2:]
    assert found["HostConfig"]["Memory"] == number * {"Mi": 1 << 20, "Gi": 1 << 30}[unit]


def test_an_utterance_goes_through_the_three_pods(pods: Pods, tmp_path: Path) -> None:
    address = f"127.0.0.1:{SERVICES['gateway'].port}"
    text = "Hello from three pods."
    command = ["csm", "speak", text, "-o", "/tmp/hello.wav", "--server", address]
    pods.podman("exec", pods.container("gateway"), *command)
    done = subprocess.run(
        ["podman", "exec", pods.container("gateway"), "cat", "/tmp/hello.wav"],
        capture_output=True,
        check=True,
    )
    audio, rate_hz = soundfile.read(io.BytesIO(done.stdout))
    assert rate_hz == 24_000
    assert 0.5 < len(audio) / rate_hz < 20
    assert np.abs(audio).max() > 0.02, "silence"


@each_service
def test_logs_are_as_the_overlay_says_and_without_the_text(
    pods: Pods, service: ServiceFacts
) -> None:
    logs = pods.logs(service.name)
    assert "ready" in logs
    assert not logs.startswith("{")
    assert "three pods" not in logs


@each_service
def test_a_pod_ends_within_its_grace(pods: Pods, service: ServiceFacts) -> None:
    """Last of the file: it ends them."""
    spec = find(rendered(OVERLAY), "Deployment", service.name)["spec"]["template"]["spec"]
    began = time.monotonic()
    name = pods.container(service.name)
    pods.podman("stop", "--time", str(spec["terminationGracePeriodSeconds"]), name)
    assert time.monotonic() - began < spec["terminationGracePeriodSeconds"] + 5
    (found,) = json.loads(pods.podman("inspect", name))
    assert found["State"]["ExitCode"] == 0, pods.logs(service.name)
