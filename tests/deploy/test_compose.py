"""compose.yaml against the settings of the services and against Prometheus's own file."""

import json
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from csm.serving.tls.exposure import exposure
from tests.deploy import compose_file, dockerfile
from tests.deploy.facts import DEPLOY, ROOT, SERVICES, VERSION, ServiceFacts

COMPOSE = compose_file.load()
OURS = {
    "tokenizer": SERVICES["tokenizer"],
    "generator": SERVICES["generator"],
    "generator-gpu": SERVICES["generator"],
    "gateway": SERVICES["gateway"],
}
each_service = pytest.mark.parametrize(("name", "facts"), OURS.items(), ids=OURS)


def known_names(profile: str) -> dict[str, str]:
    """Host names on the network of a profile -> the service behind each."""
    names = {}
    for name, service in COMPOSE["services"].items():
        if profile in service["profiles"]:
            names[name] = name
            if isinstance(service["networks"], dict):
                names |= dict.fromkeys(service["networks"]["csm"].get("aliases", ()), name)
    return names


@each_service
def test_a_service_is_told_only_what_it_knows(name: str, facts: ServiceFacts) -> None:
    facts.configured(COMPOSE["services"][name]["environment"])


@each_service
def test_a_service_may_finish_before_it_is_killed(name: str, facts: ServiceFacts) -> None:
    service = COMPOSE["services"][name]
    grace_s = compose_file.seconds(service["stop_grace_period"])
    assert grace_s > facts.shutdown_s(service["environment"])


@each_service
def test_a_service_is_asked_by_its_own_name(name: str, facts: ServiceFacts) -> None:
    service = COMPOSE["services"][name]
    settings = facts.configured(service["environment"])
    assert service["healthcheck"]["test"][-2:] == [
        f"127.0.0.1:{settings.health_port}",
        facts.full_name,
    ]
    others = {facts.port, facts.metrics_port, *facts.http_ports}
    assert settings.health_port not in others
    # podman-compose would add to the list of another file.
    override = yaml.safe_load(compose_file.TLS.read_text())["services"]
    assert "healthcheck" not in override[name]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_gets_no_more_rights_than_it_needs(name: str) -> None:
    service = COMPOSE["services"][name]
    assert not service["user"].startswith(("0", "root"))
    assert service["networks"] in (["csm"], {"csm": {"aliases": ["generator"]}})
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "network_mode"} & set(service)


@each_service
def test_a_service_is_built_from_its_stage(name: str, facts: ServiceFacts) -> None:
    build = COMPOSE["services"][name]["build"]
    assert (compose_file.PATH.parent / build["context"] / build["dockerfile"]).samefile(
        dockerfile.PATH
    )
    assert build["target"] == facts.name
    arguments = {
        rest.split("=")[0]
        for stage in dockerfile.stages().values()
        for keyword, rest in stage
        if keyword == "ARG"
    } | {"BASE"}
    assert set(build["args"]) <= arguments
    assert build["args"]["VERSION"] == VERSION


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_a_profile_has_all_three_services_and_the_gateway_finds_them(profile: str) -> None:
    names = known_names(profile)
    assert {OURS[name].name for name in names.values() if name in OURS} == set(SERVICES)
    environment = COMPOSE["services"]["gateway"]["environment"]
    for backend in ("tokenizer", "generator"):
        target = environment[f"CSM_GATEWAY_{backend.upper()}_TARGET"]
        host, port = target.removeprefix("dns:///").split(":")
        assert OURS[names[host]].name == backend
        assert int(port) == SERVICES[backend].port


def test_the_gateway_waits_until_its_backends_are_ready() -> None:
    waits = COMPOSE["services"]["gateway"]["depends_on"]
    assert set(waits) == set(OURS) - {"gateway"} | {"redis"}
    assert {one["condition"] for one in waits.values()} == {"service_healthy"}
    # The generators belong to one profile each: neither may be demanded.
    demanded = {name for name, one in waits.items() if one.get("required", True)}
    assert demanded == {"tokenizer", "redis"}


def test_what_people_look_at_is_published_and_to_this_machine_alone() -> None:
    published = {
        name: service["ports"]
        for name, service in COMPOSE["services"].items()
        if "ports" in service
    }
    assert set(published) == {"gateway", "prometheus", "grafana", "jaeger"}
    for ports in published.values():
        assert all(port.startswith("127.0.0.1:") for port in ports)
    inside = [int(port.rpartition(":")[2]) for port in published["gateway"]]
    assert inside == [SERVICES["gateway"].port, *SERVICES["gateway"].http_ports]


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_conversations_are_kept_in_redis_unless_that_is_not_wanted(profile: str) -> None:
    def store(variables: dict[str, str]) -> str:
        environment = compose_file.load(variables)["services"]["gateway"]["environment"]
        return str(environment["CSM_GATEWAY_STORE_URL"])

    host = store({}).removeprefix("redis://").split(":")[0]
    assert known_names(profile)[host] == "redis"
    assert store({"CSM_GATEWAY_STORE_URL": ""}) == ""


def test_volumes_with_a_name_are_declared_and_folders_are_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), (name, source)
            else:
                assert source in COMPOSE["volumes"], (name, source)


def test_voices_of_clients_are_in_a_volume_that_the_image_makes_for_them() -> None:
    gateway = COMPOSE["services"]["gateway"]
    folder = gateway["environment"]["CSM_GATEWAY_CREATED_VOICES_DIRECTORY"]
    mounts = dict(volume.split(":")[:2][::-1] for volume in gateway["volumes"])
    assert mounts[folder] == "voices"
    made = f"install -d -o 1000 -g 0 -m 2770 {folder}"
    assert any(made in rest for keyword, rest in dockerfile.stages()["gateway"])
    assert gateway["environment"]["CSM_GATEWAY_VOICES_DIRECTORY"] in mounts


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    grafana = COMPOSE["services"]["grafana"]
    mounts = dict(volume.split(":")[:2][::-1] for volume in grafana["volumes"])
    provisioning = DEPLOY / mounts["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    host, port = source["url"].removeprefix("http://").split(":")
    assert known_names("cpu")[host] == "prometheus"
    assert COMPOSE["services"]["prometheus"]["ports"][0].endswith(f":{port}")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "csm.yaml").read_text())[
        "providers"
    ]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(provider["options"]["path"] + "/")
    dashboard = json.loads((DEPLOY / mounts[home]).read_text())
    (chosen,) = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    assert (chosen["query"], source["isDefault"]) == (source["type"], True)


def test_the_gpu_profile_gets_a_gpu_and_a_torch_that_uses_it() -> None:
    service = COMPOSE["services"]["generator-gpu"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert service["environment"]["CSM_GENERATOR_DEVICE"] == "cuda"
    assert service["build"]["args"]["TORCH_BACKEND"].startswith("cu")


def scrape_targets() -> dict[str, dict[str, Any]]:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    return {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}


SECURE = compose_file.load(None, compose_file.TLS)


@each_service
def test_under_tls_a_service_knows_its_settings_and_is_not_warned_of(
    name: str, facts: ServiceFacts
) -> None:
    service = SECURE["services"][name]
    settings = facts.configured(service["environment"])
    on_all_addresses = settings.model_copy(update={"host": "0.0.0.0"})
    assert not settings.allow_insecure
    assert exposure(on_all_addresses) == ""


def test_under_tls_all_services_have_their_files_from_one_folder_that_git_ignores() -> None:
    for name in OURS:
        service = SECURE["services"][name]
        mounts = dict(volume.split(":")[:2][::-1] for volume in service["volumes"])
        files = {v for v in service["environment"].values() if v.startswith("/certs/")}
        assert files
        assert mounts["/certs"] == "./certs"
        # What the plain file mounts is still there.
        plain = COMPOSE["services"][name]["volumes"]
        assert set(plain) < set(service["volumes"])
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/deploy/certs/" in ignored


def test_under_tls_the_gateway_shows_the_backends_who_it_is() -> None:
    gateway = SECURE["services"]["gateway"]["environment"]
    for name in ("TOKENIZER", "GENERATOR"):
        backend = SECURE["services"][name.lower()]["environment"]
        assert gateway["CSM_GATEWAY_BACKEND_CA"] == backend[f"CSM_{name}_TLS_CLIENT_CA"]
    assert gateway["CSM_GATEWAY_BACKEND_CERTIFICATE"] == "/certs/gateway.pem"
    head = compose_file.TLS.read_text()
    assert "csm certs dev deploy/certs --client gateway" in head


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_prometheus_scrapes_all_three_services(profile: str) -> None:
    targets = scrape_targets()
    assert set(targets) == set(SERVICES)
    for name, facts in SERVICES.items():
        assert targets[name]["port"] == facts.metrics_port
        for host in targets[name]["names"]:
            assert OURS[known_names(profile)[host]] is facts


def test_prometheus_accepts_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed (package prometheus)")
    path = DEPLOY / "prometheus" / "prometheus.yml"
    done = subprocess.run([promtool, "check", "config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
