"""Containers of our images on this machine, run as compose.yaml says."""

import os
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import compose_file
from tests.deploy.facts import DEPLOY, SERVICES

COMPOSE = compose_file.load()
TAG = os.environ.get("CSM_TAG", "test")
START_S = 120.0
STAND_INS = Path(__file__).parent / "stand_ins.Dockerfile"
DEBIAN = os.environ.get("CSM_BASE_IMAGE", "localhost/csm-debian:bookworm")


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

    def image(self, name: str, wanted: str) -> str | None:
        """The image of a service of compose.yaml, which asks for `wanted`; None: not to be had.

        Ours is under test. Another one is pulled; where that cannot be, one with the same program
        is made of Debian's package.
        """
        if name in SERVICES:
            return f"csm-{name}:{TAG}"
        if self.succeeds("image", "inspect", wanted) or self.succeeds("pull", wanted):
            return wanted
        if f" AS {name}\n" not in STAND_INS.read_text():
            return None
        made = f"localhost/csm-stand-in-{name}"
        self(
            *("build", "--quiet", "--file", str(STAND_INS), "--target", name, "--tag", made),
            *(*self.limits, "--build-arg", f"BASE={DEBIAN}", str(STAND_INS.parent)),
        )
        return made

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
    """A profile of compose.yaml in a network of its own; its files decide what runs and how.

    A service whose image cannot be had is left out: `missing`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        user: str = "",
        compose: dict[str, Any] = COMPOSE,
        profile: str = "cpu",
        only: tuple[str, ...] = (),
        environment: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """`user` (UID:GID) is one that no image of ours knows: it has no entry, and no HOME.

        `only`: these services of the profile. `environment`: by service, beside what the files say.
        """
        self.engine = engine
        self.user = user
        self.id = f"csm-test-{uuid.uuid4().hex[:8]}"
        self.environment = environment or {}
        self.services = compose["services"]
        names = [n for n in compose_file.in_profile(compose, profile) if not only or n in only]
        found = {name: engine.image(name, self.services[name]["image"]) for name in names}
        self.images = {name: image for name, image in found.items() if image is not None}
        self.missing = [name for name, image in found.items() if image is None]

    def container(self, name: str) -> str:
        return f"{self.id}-{name}"

    def start(self) -> None:
        """All of it, each service when those that it depends on are healthy."""
        self.engine("network", "create", self.id)
        for name in self.images:
            for other, how in self.services[name].get("depends_on", {}).items():
                if other in self.images and how["condition"] == "service_healthy":
                    self.wait_healthy(other)
            self.run(name)
        for name in self.images:
            self.wait_healthy(name)

    def run(self, name: str) -> None:
        service = self.services[name]
        if self.user and name in SERVICES:
            service = {**service, "user": self.user}
        environment = {**service.get("environment", {}), **self.environment.get(name, {})}
        self.engine(
            *("run", "--detach", "--name", self.container(name)),
            *("--network", self.id, "--network-alias", name, *self.engine.limits),
            *compose_file.run_arguments({**service, "environment": environment}, f"{self.id}-"),
            *self.command(name),
        )

    def command(self, name: str) -> list[str]:
        if self.user and name in SERVICES:
            # Engines set HOME where it is not.
            without_home = ["-u", "HOME", "python", "-m", SERVICES[name].module]
            return ["--entrypoint", "env", self.images[name], *without_home]
        return [self.images[name], *self.services[name].get("command", ())]

    def is_healthy(self, name: str) -> bool:
        test = self.services[name]["healthcheck"]["test"]
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
        return self.published("gateway", SERVICES["gateway"].port)

    def published(self, name: str, port: int) -> str:
        """Where a port of a service is reached from this machine."""
        return self.engine("port", self.container(name), f"{port}/tcp").split()[0]

    def replace(self, name: str) -> None:
        """Another container in place of one that is killed."""
        self.engine("rm", "--force", self.container(name))
        self.run(name)
        self.wait_healthy(name)

    def eventually(self, what: Callable[[], bool], within_s: float = 60.0) -> bool:
        """Whether something becomes true in time."""
        deadline = time.monotonic() + within_s
        while not (done := what()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return done

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
        for name in reversed(self.images):
            self.engine("rm", "--force", "--volumes", self.container(name), check=False)
        self.engine("network", "rm", self.id, check=False)
        volumes = self.engine("volume", "ls", "--quiet", check=False).split()
        for volume in (one for one in volumes if one.startswith(self.id)):
            self.engine("volume", "rm", "--force", volume, check=False)
