"""Each component of the manifests: alone on the base, and all together, against the code and each
other."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.facts import SERVICES, ServiceFacts
from tests.deploy.manifests import (
    COMPONENTS,
    KUBERNETES,
    OVERLAYS,
    Manifest,
    Objects,
    check_schemas,
    composed,
    container_of,
    find,
    names,
    of_kind,
    pod_of,
    pod_templates,
    rendered,
    variables,
)
from tests.deploy.secrets import ConfigMapOrSecret, made_by_the_docs, run_the_docs, wanted

PRODUCTION = "overlays/production"
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
each_component = pytest.mark.parametrize("component", COMPONENTS)


def both(overlay: str) -> Objects:
    """An overlay and, of production, what its comments offer instead."""
    if overlay != "production with the other choices":
        return rendered(overlay)
    return composed(
        "base",
        *("gpu", "tls", "auth", "redis-external", "model-volume", "voices-volume", "monitoring"),
        *("autoscaling-keda", "ingress"),
    )


each_stack = pytest.mark.parametrize("stack", [*OVERLAYS, "production with the other choices"])


@each_component
def test_a_component_alone_makes_objects_that_follow_their_schemas(component: str) -> None:
    objects = composed("base", component)
    check_schemas(objects)
    assert objects != rendered("base")
    for each in objects:
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "csm"


@each_component
@each_service
def test_a_component_tells_a_service_only_what_it_knows(
    service: ServiceFacts, component: str
) -> None:
    service.configured(variables(container_of(composed("base", component), service.name)))


def test_production_is_the_same_in_whatever_order_components_stand() -> None:
    """Each patches what the base has, and none what another one made."""

    def sorted_lists(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: sorted_lists(each) for key, each in value.items()}
        if isinstance(value, list):
            return sorted((sorted_lists(each) for each in value), key=json.dumps)
        return value

    these = ["tls", "auth", "redis", "gpu", "model-volume", "voices-volume", "autoscaling"]
    forth, back = composed("base", *these), composed("base", *reversed(these))
    assert sorted_lists(list(forth)) == sorted_lists(list(back))


@each_stack
def test_every_pod_is_as_confined_as_its_namespace_demands(stack: str) -> None:
    for name, template in pod_templates(both(stack)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(each["resources"]["requests"])
            assert {"cpu", "memory"} <= set(each["resources"]["limits"])


@each_stack
def test_probes_ask_a_port_that_serves_health_without_tls(stack: str) -> None:
    for service in SERVICES.values():
        it = container_of(both(stack), service.name)
        told = variables(it)
        plain = int(told.get(f"{service.prefix}HEALTH_PORT", service.port))
        assert (plain != service.port) == (f"{service.prefix}TLS_CERTIFICATE" in told)
        assert plain in {each["containerPort"] for each in it["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert it[probe]["grpc"]["port"] == plain
        assert it["readinessProbe"]["grpc"]["service"] == service.full_name
        assert "service" not in it["livenessProbe"]["grpc"]


@each_stack
def test_ports_of_a_pod_differ_and_meet_those_of_its_service(stack: str) -> None:
    objects = both(stack)
    for service in of_kind(objects, "Service"):
        wanted_labels = service["spec"]["selector"].items()
        pods = [t for _, t in pod_templates(objects) if wanted_labels <= labels(t).items()]
        (template,) = pods
        (it,) = template["spec"]["containers"]
        numbers = [each["containerPort"] for each in it["ports"]]
        assert len(numbers) == len(set(numbers))
        by_name = {each["name"]: each["containerPort"] for each in it["ports"]}
        for port in service["spec"]["ports"]:
            assert by_name[port["targetPort"]] == port["port"]


def labels(template: Manifest) -> dict[str, str]:
    return dict(template["metadata"]["labels"])


@each_stack
def test_volumes_and_mounts_of_a_pod_belong_together(stack: str) -> None:
    for name, template in pod_templates(both(stack)):
        spec = template["spec"]
        kinds = [each["name"] for each in spec.get("volumes", [])]
        if name == "redis":
            kinds.append("data")
        assert len(kinds) == len(set(kinds))
        (it,) = spec["containers"]
        assert sorted(each["name"] for each in it["volumeMounts"]) == sorted(kinds), name
        paths = [each["mountPath"] for each in it["volumeMounts"]]
        assert len(paths) == len(set(paths))


@each_stack
def test_every_path_that_a_service_is_told_is_one_that_is_mounted(stack: str) -> None:
    for service in SERVICES.values():
        it = container_of(both(stack), service.name)
        mounts = [each["mountPath"] for each in it["volumeMounts"]]
        for variable, value in variables(it).items():
            if value.startswith("/"):
                assert any(value == m or value.startswith(f"{m}/") for m in mounts), variable


@each_stack
def test_whatever_a_pod_takes_from_a_secret_somebody_puts_there(stack: str) -> None:
    """cert-manager, by a Certificate; or the reader of docs/kubernetes.md, by its commands."""
    objects = both(stack)
    by_hand = made_by_the_docs()
    certificates = of_kind(objects, "Certificate")
    made = {
        ConfigMapOrSecret("Secret", each["spec"]["secretName"]): {"tls.crt", "tls.key", "ca.crt"}
        for each in certificates
    }
    for what, keys in wanted(objects).items():
        assert keys <= made.get(what, set()) | by_hand.get(what, set()), what


HAND = ("TLS by hand", "Tokens", "The store", "Another model")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
def test_the_commands_of_the_docs_make_every_secret_that_production_takes(tmp_path: Path) -> None:
    for name in ("ingress.pem", "ingress-key.pem"):
        source = "server.pem" if name == "ingress.pem" else "server-key.pem"
        (tmp_path / name).symlink_to(tmp_path / "certs" / source)
    made = run_the_docs(tmp_path, *HAND)
    for what, keys in wanted(rendered(PRODUCTION)).items():
        assert keys <= set(made[what]), what
    assert all(value for values in made.values() for value in values.values())
    assert made[ConfigMapOrSecret("Secret", "csm-store")]["url"].startswith(b"redis://:")


def test_the_docs_make_no_secret_that_nothing_takes() -> None:
    taken: dict[ConfigMapOrSecret, set[str]] = {}
    for component in COMPONENTS:
        for what, keys in wanted(composed("base", component)).items():
            taken.setdefault(what, set()).update(keys)
    for what, keys in made_by_the_docs().items():
        assert keys <= taken[what], what


def test_every_claim_of_production_is_made_by_it() -> None:
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for _, template in pod_templates(rendered(PRODUCTION))
        for volume in template["spec"].get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    assert claims == names(of_kind(rendered(PRODUCTION), "PersistentVolumeClaim"))
    assert claims == {"csm-models", "csm-voices"}


@each_stack
@each_service
def test_pods_are_spread_and_go_one_by_one(service: ServiceFacts, stack: str) -> None:
    template = find(both(stack), "Deployment", service.name)["spec"]["template"]
    spread = template["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    for each in spread:
        assert each["labelSelector"]["matchLabels"].items() <= labels(template).items()
        # One replica on one machine is scheduled too.
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"
    budget = find(both(stack), "PodDisruptionBudget", service.name)["spec"]
    assert budget["maxUnavailable"] == 1


def test_gpus_are_asked_for_by_the_generator_alone() -> None:
    objects = composed("base", "gpu")
    spec = pod_of(objects, "generator")
    assert spec["nodeSelector"]
    assert {each["key"] for each in spec["tolerations"]} == {"nvidia.com/gpu"}
    assert {each["nodeTaintsPolicy"] for each in spec["topologySpreadConstraints"]} == {"Honor"}
    for name in ("gateway", "tokenizer"):
        assert not {"nodeSelector", "tolerations"} & set(pod_of(objects, name))


def test_every_pod_is_under_a_policy_of_its_own() -> None:
    """The first one lets nothing through, in or out."""
    objects = rendered(PRODUCTION)
    policies = of_kind(objects, "NetworkPolicy")
    for name, template in pod_templates(objects):
        assert any(
            selector and selector.items() <= labels(template).items()
            for policy in policies
            for selector in [policy["spec"]["podSelector"].get("matchLabels", {})]
            if selector != {"app.kubernetes.io/part-of": "csm"}
        ), name


def test_every_component_is_in_production_or_stands_beside_one_that_is() -> None:
    text = (KUBERNETES / PRODUCTION / "kustomization.yaml").read_text()
    assert all(component in text for component in COMPONENTS)
    words = [shlex.split(line, comments=True) for line in text.splitlines()]
    taken = {w[1].rsplit("/", 1)[1] for w in words if w and w[-1].startswith("../../components/")}
    assert set(COMPONENTS) - taken == {"gpu", "redis-external", "autoscaling-keda"}
