"""Containers of our images on this machine, run as compose.yaml says."""

import os
import subprocess
import time
import uuid

import pytest

from tests.deploy import compose_file
from tests.deploy.facts import DEPLOY, SERVICES

COMPOSE = compose_file.load()
TAG = os.environ.get("CSM_TAG", "test")
START_S = 120.0


class Engine:
    """docker or podman on this machine, and the images in it."""

    def __init__(self) -> None:
        found = subprocess.run(
            [DEPLOY / "docker" / "engine.sh"], capture_output=True, text=True, check=False
        )
        if found.returncode:
            pytest.fail(found.stderr.strip(), pytrace=False)
        self.name = found.stdout.strip()
        for name in SERVICES:
            if not self.succeeds("image", "inspect", f"csm-{name}:{TAG}"):
                pytest.fail(f"no image csm-{name}:{TAG}; build it: deploy/docker/build.sh {TAG}")

    def __call__(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run([self.name, *arguments], capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{self.name} {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def succeeds(self, *arguments: str) -> bool:
        return not subprocess.run([self.name, *arguments], capture_output=True).returncode

    @property
    def limits(self) -> list[str]:
        """A machine that is itself confined may not grant podman's own, higher limits."""
        if self.name != "podman":
            return []
        return ["--ulimit", "nofile=10000:10000", "--ulimit", "nproc=4096:4096"]

    def once(self, name: str, entrypoint: str, *arguments: str) -> str:
        """What one command prints in the image of a service; there is no network."""
        return self(
            *("run", "--rm", "--network", "none", *self.limits, "--entrypoint", entrypoint),
            *(f"csm-{name}:{TAG}", *arguments),
        )


class Stack:
    """The three services in a network of their own, named as in compose.yaml."""

    def __init__(self, engine: Engine, user: str = "") -> None:
        """`user` (UID:GID) is one that no image knows: there is no entry for it, and no HOME."""
        self.engine = engine
        self.user = user
        self.id = f"csm-test-{uuid.uuid4().hex[:8]}"

    def container(self, name: str) -> str:
        return f"{self.id}-{name}"

    def start(self) -> None:
        self.engine("network", "create", self.id)
        for name in ("tokenizer", "generator", "gateway"):
            self.run(name)
        for name in SERVICES:
            self.wait_healthy(name)

    def run(self, name: str) -> None:
        arguments = ["--network", self.id, "--network-alias", name, *self.engine.limits]
        if name == "gateway":
            arguments += ["--publish", f"127.0.0.1::{SERVICES[name].port}"]
        service = COMPOSE["services"][name]
        self.engine(
            *("run", "--detach", "--name", self.container(name)),
            *arguments,
            *compose_file.run_arguments(service),
            *self.command(name),
        )

    def command(self, name: str) -> list[str]:
        image = f"csm-{name}:{TAG}"
        if not self.user:
            return [image]
        # Engines set HOME where it is not.
        without_home = ["-u", "HOME", "python", "-m", SERVICES[name].module]
        return ["--user", self.user, "--entrypoint", "env", image, *without_home]

    def is_healthy(self, name: str) -> bool:
        test = COMPOSE["services"][name]["healthcheck"]["test"]
        if test[0] != "CMD":
            raise AssertionError(f"{name}: {test[0]} is not understood here")
        return self.engine.succeeds("exec", self.container(name), *test[1:])

    def wait_healthy(self, name: str) -> None:
        deadline = time.monotonic() + START_S
        while not self.is_healthy(name):
            running = self.engine("inspect", "-f", "{{.State.Running}}", self.container(name))
            if time.monotonic() > deadline or running.strip() != "true":
                raise AssertionError(f"{name} did not become healthy:\n{self.logs(name)}")
            time.sleep(0.5)

    def wait_unready(self, name: str) -> None:
        deadline = time.monotonic() + START_S
        while self.is_healthy(name):
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} stays ready:\n{self.logs(name)}")
            time.sleep(0.5)

    def probe(self, name: str, *arguments: str) -> bool:
        """Whether a service says yes inside its container; asked for all that it lists."""
        address = f"127.0.0.1:{SERVICES[name].port}"
        command = ("python", "-m", "csm.serving.probe", address, *arguments)
        return self.engine.succeeds("exec", self.container(name), *command)

    def logs(self, name: str) -> str:
        done = subprocess.run(
            [self.engine.name, "logs", self.container(name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout[-4000:]

    def python(self, name: str, code: str) -> str:
        """What a piece of Python prints inside the container."""
        return self.engine("exec", self.container(name), "python", "-c", code)

    @property
    def address(self) -> str:
        """Where the gateway is reached from this machine."""
        port = self.engine("port", self.container("gateway"), f"{SERVICES['gateway'].port}/tcp")
        return port.split()[0]

    def exit_code(self, name: str) -> int:
        return int(
            self.engine("inspect", "-f", "{{.State.ExitCode}}", self.container(name)).strip()
        )

    def wait_exit(self, name: str) -> int:
        deadline = time.monotonic() + 60
        while (
            self.engine("inspect", "-f", "{{.State.Running}}", self.container(name)).strip()
            == "true"
        ):
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} still runs:\n{self.logs(name)}")
            time.sleep(0.2)
        return self.exit_code(name)

    def remove(self) -> None:
        for name in ("prometheus", *SERVICES):
            self.engine("rm", "--force", self.container(name), check=False)
        self.engine("network", "rm", self.id, check=False)
