"""The manifests: rendered by kubectl, checked against the schemas and against the code."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.deploy.facts import SERVICES, VERSION, ServiceFacts
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    Manifest,
    Objects,
    check_schemas,
    composed,
    container_of,
    find,
    kustomized,
    pod_of,
    rendered,
    variables,
)

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def one(overlay: str, kind: str, name: str) -> Manifest:
    return find(rendered(overlay), kind, name)


def pod(overlay: str, name: str) -> Manifest:
    return pod_of(rendered(overlay), name)


def container(overlay: str, name: str) -> Manifest:
    return container_of(rendered(overlay), name)


def environment(overlay: str, name: str) -> dict[str, str]:
    """The variables of a container."""
    return variables(container(overlay, name))


@each_overlay
def test_every_object_follows_its_schema(overlay: str) -> None:
    objects = rendered(overlay)
    assert {each["kind"] for each in objects} >= {"Deployment", "Service", "NetworkPolicy"}
    check_schemas(objects)


@each_overlay
def test_names_are_unique_and_all_in_one_namespace(overlay: str) -> None:
    seen = [(each["kind"], each["metadata"]["name"]) for each in rendered(overlay)]
    assert len(seen) == len(set(seen))
    namespaces = {
        each["metadata"].get("namespace")
        for each in rendered(overlay)
        if each["kind"] != "Namespace"
    }
    assert namespaces == {"csm"}


@each_overlay
@each_service
def test_a_container_is_told_only_what_its_service_knows(
    service: ServiceFacts, overlay: str
) -> None:
    service.configured(environment(overlay, service.name))


@each_overlay
@each_service
def test_a_pod_may_finish_before_it_is_killed(service: ServiceFacts, overlay: str) -> None:
    grace_s = pod(overlay, service.name)["terminationGracePeriodSeconds"]
    assert grace_s > service.shutdown_s(environment(overlay, service.name))
    # Endpoints need some seconds to notice that a pod is going.
    if overlay != "overlays/dev":
        assert service.configured(environment(overlay, service.name)).drain_delay_s >= 5
    assert "lifecycle" not in container(overlay, service.name)


@each_service
def test_ports_are_those_of_the_service(service: ServiceFacts) -> None:
    ports = {
        each["name"]: each["containerPort"] for each in container("base", service.name)["ports"]
    }
    http = dict(zip(("http",), service.http_ports, strict=False))
    assert ports == {"grpc": service.port, **http, "metrics": service.metrics_port}
    port, *more = one("base", "Service", service.name)["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (service.port, "grpc")
    assert {each["targetPort"]: each["port"] for each in more} == http


@each_service
def test_probes_ask_liveness_without_and_readiness_with_the_full_name(
    service: ServiceFacts,
) -> None:
    it = container("base", service.name)
    assert it["livenessProbe"]["grpc"] == {"port": service.port}
    ready = {"port": service.port, "service": service.full_name}
    assert it["readinessProbe"]["grpc"] == ready
    assert it["startupProbe"]["grpc"] == ready


@each_service
def test_prometheus_finds_the_metrics_by_annotation(service: ServiceFacts) -> None:
    template = one("base", "Deployment", service.name)["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(service.metrics_port)


@each_overlay
@each_service
def test_a_pod_gets_no_more_rights_than_it_needs(service: ServiceFacts, overlay: str) -> None:
    it, its_container = pod(overlay, service.name), container(overlay, service.name)
    assert it["securityContext"]["runAsNonRoot"] is True
    assert it["securityContext"]["runAsUser"] == 1000
    assert it["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert it["automountServiceAccountToken"] is False
    assert its_container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= set(its_container["resources"])


@each_service
def test_service_links_do_not_reach_the_settings(service: ServiceFacts) -> None:
    # A link is a variable such as GATEWAY_PORT=tcp://10.0.0.1:50050.
    assert pod("base", service.name)["enableServiceLinks"] is False


@pytest.mark.parametrize("backend", ["tokenizer", "generator"])
def test_the_gateway_sees_every_pod_of_a_backend(backend: str) -> None:
    spec = one("base", "Service", backend)["spec"]
    assert spec["clusterIP"] == "None"
    target = environment("base", "gateway")[f"CSM_GATEWAY_{backend.upper()}_TARGET"]
    assert target == f"dns:///{backend}:{SERVICES[backend].port}"


@pytest.mark.parametrize("backend", ["tokenizer", "generator"])
def test_a_backend_has_the_gateway_look_for_new_pods_but_cuts_no_call(backend: str) -> None:
    told = environment("base", backend)
    prefix = f"CSM_{backend.upper()}_MAX_CONNECTION_AGE"
    assert 0 < float(told[f"{prefix}_S"]) <= 600
    assert f"{prefix}_GRACE_S" not in told


def test_calls_spread_over_tokenizers_and_a_conversation_keeps_its_generator() -> None:
    settings = SERVICES["gateway"].configured(environment("base", "gateway"))
    assert settings.model_dump()["tokenizer_load_balancing"] == "round_robin"
    assert settings.model_dump()["generator_load_balancing"] == "ring_hash"


@each_service
def test_selectors_meet_the_pods(service: ServiceFacts) -> None:
    labels = one("base", "Deployment", service.name)["spec"]["template"]["metadata"]["labels"]
    selectors = [
        one("base", "Service", service.name)["spec"]["selector"],
        one("base", "Deployment", service.name)["spec"]["selector"]["matchLabels"],
        one("base", "PodDisruptionBudget", service.name)["spec"]["selector"]["matchLabels"],
        one("base", "NetworkPolicy", service.name)["spec"]["podSelector"]["matchLabels"],
        one("base", "NetworkPolicy", "metrics")["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()
    assert pod("base", service.name)["serviceAccountName"] == service.name
    one("base", "ServiceAccount", service.name)


def policy_rule(name: str, direction: str, port: int) -> Manifest:
    rules = one("base", "NetworkPolicy", name)["spec"][direction]
    (found,) = (rule for rule in rules if port in {each["port"] for each in rule["ports"]})
    return dict(found)


@pytest.mark.parametrize("backend", ["tokenizer", "generator"])
def test_only_the_gateway_reaches_a_backend(backend: str) -> None:
    everyone = one("base", "NetworkPolicy", "default-deny")["spec"]
    assert everyone == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    port = SERVICES[backend].port
    gateway = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
    assert policy_rule(backend, "ingress", port)["from"] == [gateway]
    (to,) = policy_rule("gateway", "egress", port)["to"]
    assert to == {"podSelector": {"matchLabels": {"app.kubernetes.io/name": backend}}}
    assert "egress" not in one("base", "NetworkPolicy", backend)["spec"]


def test_prometheus_reaches_every_metrics_port() -> None:
    (rule,) = one("base", "NetworkPolicy", "metrics")["spec"]["ingress"]
    assert {each["port"] for each in rule["ports"]} == {
        service.metrics_port for service in SERVICES.values()
    }
    assert rule["from"]


def test_the_gpu_overlay_runs_the_generator_on_one_gpu() -> None:
    it = container("overlays/gpu", "generator")
    assert str(it["resources"]["limits"]["nvidia.com/gpu"]) == "1"
    assert environment("overlays/gpu", "generator")["CSM_GENERATOR_DEVICE"] == "cuda"
    strategy = one("overlays/gpu", "Deployment", "generator")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    for name in ("tokenizer", "gateway"):
        assert "nvidia.com/gpu" not in container("overlays/gpu", name)["resources"]["limits"]


def test_the_cpu_overlay_asks_for_no_gpu() -> None:
    assert "nvidia" not in yaml.safe_dump_all(rendered("overlays/cpu"))
    assert environment("overlays/cpu", "generator")["CSM_GENERATOR_DEVICE"] == "cpu"


@pytest.mark.parametrize("overlay", ["overlays/cpu", "overlays/gpu", "overlays/production"])
@each_service
def test_an_overlay_names_the_version_of_its_images(service: ServiceFacts, overlay: str) -> None:
    name, _, version = container(overlay, service.name)["image"].partition(":")
    assert re.fullmatch(r"csm-[a-z-]+", name)
    assert version == VERSION


def with_model_volume(folder: Path, overlay: str) -> Objects:
    """The objects of an overlay with the component of another model beside it."""
    return composed(f"overlays/{overlay}", "model-volume")


def with_model_volume_inside(folder: Path, overlay: str) -> Objects:
    """The same with the component named by the overlay itself, as the component's header says."""
    copy = folder / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    path = copy / "overlays" / overlay / "kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    content["components"] = [*content.get("components", []), "../../components/model-volume"]
    path.write_text(yaml.safe_dump(content))
    return kustomized(path.parent)


WAYS = [with_model_volume, with_model_volume_inside]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("overlay", "memory"), [("cpu", ("4Gi", "6Gi")), ("gpu", ("8Gi", "16Gi"))])
def test_the_model_volume_takes_no_memory_from_an_overlay_that_gives_more(
    tmp_path: Path,
    overlay: str,
    memory: tuple[str, str],
    way: Callable[[Path, str], Objects],
) -> None:
    given = container_of(way(tmp_path, overlay), "generator")["resources"]
    assert (given["requests"]["memory"], given["limits"]["memory"]) == memory


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_the_model_volume_gives_both_model_services_the_same_directory(overlay: str) -> None:
    objects = composed(f"overlays/{overlay}", "model-volume")
    check_schemas(objects)
    for name in ("tokenizer", "generator"):
        it = container_of(objects, name)
        mount = next(each for each in it["volumeMounts"] if each["name"] == "models")
        assert mount["readOnly"] is True
        assert "models" in {each["name"] for each in pod_of(objects, name)["volumes"]}
        model = variables(it)[f"{SERVICES[name].prefix}MODEL"]
        assert model == f"{mount['mountPath']}/model"
