"""The images, as far as a reader can tell: ports, users, settings, what is in them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import dockerfile
from tests.deploy.facts import DEPLOY, ROOT, SERVICES, ServiceFacts

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@each_service
def test_an_image_starts_the_service_with_settings_that_it_knows(service: ServiceFacts) -> None:
    settings = service.configured(dockerfile.environment(service.name))
    assert settings.host == "0.0.0.0"
    assert (settings.port, settings.metrics_port) == (service.port, service.metrics_port)
    entry = json.loads(dockerfile.last(service.name, "ENTRYPOINT"))
    assert entry == ["python", "-m", service.module]
    assert (ROOT / service.module.replace(".", "/") / "__main__.py").is_file()


@each_service
def test_an_image_exposes_the_ports_of_its_service(service: ServiceFacts) -> None:
    exposed = {int(port) for port in dockerfile.last(service.name, "EXPOSE").split()}
    assert exposed == {service.port, service.metrics_port}


@each_service
def test_an_image_asks_its_own_service_whether_it_is_ready(service: ServiceFacts) -> None:
    check = dockerfile.last(service.name, "HEALTHCHECK")
    assert f"127.0.0.1:${{{service.prefix}PORT}}" in check
    assert check.endswith(service.full_name)


@each_service
def test_an_image_runs_as_an_ordinary_user(service: ServiceFacts) -> None:
    assert dockerfile.last(service.name, "USER") == "1000:1000"


def test_the_gateway_image_takes_nothing_from_the_stage_with_torch() -> None:
    sources = {
        rest.split()[0]
        for keyword, rest in dockerfile.stages()["gateway"]
        if keyword == "COPY" and rest.startswith("--from=")
    }
    assert sources == {"--from=clients"}
    assert not any("torch" in rest for _, rest in dockerfile.stages()["clients"])


def test_no_address_of_a_registry_is_written_into_the_build() -> None:
    for path in (DEPLOY / "docker").iterdir():
        assert not re.search(r"https?://|index-url", path.read_text()), path


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    for instructions in dockerfile.stages().values():
        for keyword, rest in instructions:
            if keyword != "COPY" or rest.startswith("--from="):
                continue
            for source in rest.split()[:-1]:
                source = source.rstrip("*")
                assert any(source == one or source.startswith(one + "/") for one in allowed), (
                    f"{source} is not let into the build"
                )
                assert (ROOT / source).exists(), source


def test_images_bring_native_libraries_which_need_nothing_else_to_be_built(tmp_path: Path) -> None:
    copied = [rest.split() for keyword, rest in dockerfile.stages()["native"] if keyword == "COPY"]
    for source, target in copied:
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / target)
        else:
            shutil.copy(ROOT / source, tmp_path / target)
    compiler = tmp_path / "c++"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] || while [ "$1" != -o ]; do shift; done\n'
        '[ "$1" = --version ] || echo library > "$2"\n'
    )
    compiler.chmod(0o700)
    for service in ("generator", "tokenizer"):
        brought = ("COPY", f"--from=native /built/{service} services/{service}/native/built")
        assert brought in dockerfile.stages()[service]
        module = f"services.{service}.native.build"
        assert any("-m services.$service.native.build all" in rest and service in rest
                   for _, rest in dockerfile.stages()["native"])  # fmt: skip
        # As in the build stage there is no other package than Python's own.
        done = subprocess.run(
            [sys.executable, "-S", "-m", module, "all"],
            cwd=tmp_path,
            env={"CXX": str(compiler), "CSM_NATIVE_DIR": str(tmp_path / "built"), "PATH": "/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"csm-{service}-" in done.stdout
