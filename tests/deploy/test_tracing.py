"""Where spans go: the component `tracing` of the manifests, and compose's variables."""

import re

import pytest

from tests.deploy import compose_file
from tests.deploy.facts import ROOT, SERVICES, ServiceFacts
from tests.deploy.manifests import composed, container_of, find, of_kind

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@each_service
def test_a_pod_is_told_the_collector_that_the_component_names(service: ServiceFacts) -> None:
    objects = composed("base", "tracing")
    named = find(objects, "ConfigMap", "csm-tracing")["data"]
    told = {}
    for each in container_of(objects, service.name)["env"]:
        if source := each.get("valueFrom", {}).get("configMapKeyRef"):
            assert source["name"] == "csm-tracing"
            told[each["name"]] = named[source["key"]]
    settings = service.configured(told)
    assert settings.tracing_endpoint == named["tracing-endpoint"]
    assert settings.tracing_sample_ratio == float(named["tracing-sample-ratio"])
    assert len(told) == len(named)


def test_the_policy_lets_spans_out_of_the_three_services_to_the_port_of_the_collector() -> None:
    objects = composed("base", "tracing")
    endpoint = find(objects, "ConfigMap", "csm-tracing")["data"]["tracing-endpoint"]
    spec = find(objects, "NetworkPolicy", "tracing")["spec"]
    (who,) = spec["podSelector"]["matchExpressions"]
    assert set(who["values"]) == set(SERVICES)
    for service in SERVICES:
        labels = find(objects, "Deployment", service)["spec"]["template"]["metadata"]["labels"]
        assert labels[who["key"]] == service
    assert spec["policyTypes"] == ["Egress"]
    ports = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
    assert ports == {53, int(endpoint.rpartition(":")[2])}


def test_without_the_component_nothing_is_traced() -> None:
    assert not of_kind(composed("base"), "ConfigMap")


@pytest.mark.parametrize("name", ["tokenizer", "generator", "generator-gpu", "gateway"])
def test_compose_traces_only_where_it_is_told_to(name: str) -> None:
    facts = SERVICES[name.removesuffix("-gpu")]

    def endpoint(variables: dict[str, str]) -> str:
        environment = compose_file.load(variables)["services"][name]["environment"]
        settings = facts.configured(environment)
        assert settings.tracing_sample_ratio == float(variables.get("CSM_TRACING_SAMPLE_RATIO", 1))
        return settings.tracing_endpoint

    assert endpoint({}) == ""
    variables = {
        "CSM_TRACING_ENDPOINT": "http://jaeger:4317",
        "CSM_TRACING_SAMPLE_RATIO": "0.25",
    }
    assert endpoint(variables) == "http://jaeger:4317"


def test_the_profile_with_jaeger_is_told_where_it_takes_spans() -> None:
    (jaeger,) = compose_file.in_profile(compose_file.load(), "tracing")
    for path in ("deploy/compose.yaml", "docs/deployment.md"):
        said = re.findall(r"CSM_TRACING_ENDPOINT=(\S+)", (ROOT / path).read_text())
        assert f"http://{jaeger}:4317" in [each.rstrip("`;,") for each in said], path
