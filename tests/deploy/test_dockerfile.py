"""The images, as far as a reader can tell: ports, users, settings, what is in them."""

import json
import re

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
