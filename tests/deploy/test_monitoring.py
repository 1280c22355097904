"""The component `monitoring`: rendered with an overlay, it finds the pods and brings the rules."""

from typing import Any

import pytest
import yaml

from deploy.prometheus.operator import document
from tests.deploy.facts import DEPLOY, SERVICES
from tests.deploy.manifests import KUBERNETES, Objects, check_schemas, composed, of_kind

COMPONENT = KUBERNETES / "components" / "monitoring"
OPERATOR = "monitoring.coreos.com/v1"


@pytest.fixture(params=["cpu", "gpu"])
def objects(request: pytest.FixtureRequest) -> Objects:
    """The objects of an overlay with the component."""
    return composed(f"overlays/{request.param}", "monitoring")


def test_the_rules_are_those_of_the_files() -> None:
    assert (COMPONENT / "rules.yaml").read_text() == document(), "run `make docs`"
    groups = yaml.safe_load(document())["spec"]["groups"]
    names = [group["name"] for group in groups]
    assert len(names) == len(set(names))
    for group in groups:
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert set(rule) <= {"alert", "record", "expr", "for", "labels", "annotations"}


def test_every_object_follows_its_schema(objects: Objects) -> None:
    check_schemas(objects)
    for each in objects:
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "csm"
    theirs = [each["kind"] for each in objects if each["apiVersion"] == OPERATOR]
    assert sorted(theirs) == ["PodMonitor", "PrometheusRule"]


def test_the_monitor_finds_every_pod_and_names_it_as_the_rules_do(
    objects: Objects,
) -> None:
    (monitor,) = of_kind(objects, "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = {}
    for deployment in of_kind(objects, "Deployment"):
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert wanted.items() <= labels.items()
        (container,) = template["spec"]["containers"]
        (port,) = (p for p in container["ports"] if p["name"] == endpoint["port"])
        found[labels["app.kubernetes.io/name"]] = port["containerPort"]
    assert found == {name: facts.metrics_port for name, facts in SERVICES.items()}
    names = {each["targetLabel"]: each["sourceLabels"] for each in endpoint["relabelings"]}
    assert names == {
        "job": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
        "instance": ["__meta_kubernetes_pod_name"],
    }


def test_no_pod_is_scraped_twice(objects: Objects) -> None:
    for deployment in of_kind(objects, "Deployment"):
        annotations: dict[str, Any] = deployment["spec"]["template"]["metadata"]["annotations"]
        assert "prometheus.io/scrape" not in annotations


def test_the_dashboard_comes_with_it(objects: Objects) -> None:
    (found,) = of_kind(objects, "ConfigMap")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["data"] == {"csm.json": (DEPLOY / "grafana" / "csm.json").read_text()}
