"""Pods by load: what the two components ask Prometheus for is there, and they agree."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from services.generator.settings import GeneratorSettings
from services.tokenizer.settings import TokenizerSettings
from tests.deploy.facts import SERVICES
from tests.deploy.manifests import (
    KUBERNETES,
    Objects,
    composed,
    container_of,
    find,
    of_kind,
    rendered,
)
from tests.deploy.promql import problems, selectors

ADAPTER = KUBERNETES / "components" / "autoscaling" / "adapter-values.yaml"
SCALED_OBJECTS = KUBERNETES / "components" / "autoscaling-keda" / "scaled-objects.yaml"


@pytest.fixture
def hpa() -> Objects:
    return composed("base", "autoscaling")


@pytest.fixture
def keda() -> Objects:
    return composed("base", "autoscaling-keda")


def adapter_rules() -> dict[str, dict[str, Any]]:
    rules = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    return {rule["name"]["as"]: rule for rule in rules}


def as_asked(rule: dict[str, Any]) -> str:
    """The query of a rule as prometheus-adapter asks it."""
    query = str(rule["metricsQuery"]).replace("<<.GroupBy>>", "pod")
    return query.replace("<<.LabelMatchers>>", 'namespace="csm",pod=~"generator-1|generator-2"')


def queries() -> dict[str, str]:
    found = {name: as_asked(rule) for name, rule in adapter_rules().items()}
    found |= {f"series of {name}": rule["seriesQuery"] for name, rule in adapter_rules().items()}
    for each in yaml.safe_load_all(SCALED_OBJECTS.read_text()):
        for trigger in each["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                found[each["metadata"]["name"]] = trigger["metadata"]["query"]
    return found


@pytest.mark.parametrize("name", queries())
def test_a_query_asks_for_metrics_and_labels_that_there_are(name: str) -> None:
    # Namespace and pod are the Prometheus operator's, by the PodMonitor; the rest is the code's.
    ours = re.sub(r'(?:namespace|pod)(?:!=|=~|=)"[^"]*",?', "", queries()[name])
    ours = re.sub(r"by \(pod\)", "by (instance)", ours)
    assert not problems(ours)
    assert selectors(queries()[name])


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
@pytest.mark.parametrize("name", queries())
def test_prometheus_understands_a_query(name: str, tmp_path: Any) -> None:
    rule = {"record": "csm:asked", "expr": queries()[name]}
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": [rule]}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def series(metric: str, values: dict[str, float], **more: str) -> list[dict[str, str]]:
    found = []
    for pod, value in values.items():
        labels = {"namespace": "csm", "pod": pod, **more}
        text = ",".join(f'{key}="{each}"' for key, each in labels.items())
        found.append({"series": f"{metric}{{{text}}}", "values": f"{value}x10"})
    return found


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_queries_give_the_load_by_pod_and_of_all(tmp_path: Any) -> None:
    """One pod runs 8 of 8 with 4 waiting, one runs 3: 1.5 and 0.375, together 1.875."""
    first, second = "generator-1", "generator-2"
    given = [
        *series("csm_generator_requests_running", {first: 8, second: 3}),
        *series("csm_generator_requests_waiting", {first: 4, second: 0}),
        *series("csm_generator_slots", {first: 8, second: 8}),
        *series("csm_tokenizer_sessions_active", {first: 5, second: 2}, operation="encode"),
        *series("csm_tokenizer_sessions_active", {first: 6, second: 9}, operation="decode"),
    ]
    expected = {
        "csm_generator_load_ratio": {first: 1.5, second: 0.375},
        "csm_tokenizer_streams": {first: 6, second: 9},
        "generator": {"": 1.875},
        "tokenizer": {"": 15},
    }
    asked = [
        {
            "expr": queries()[name],
            "eval_time": "1m",
            "exp_samples": [
                {"labels": f'{{pod="{pod}"}}' if pod else "{}", "value": value}
                for pod, value in answers.items()
            ],
        }
        for name, answers in expected.items()
    ]
    path = tmp_path / "test.yml"
    test = {"interval": "1m", "input_series": given, "promql_expr_test": asked}
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_autoscaler_asks_for_what_the_adapter_serves(hpa: Objects) -> None:
    asked = {
        metric["pods"]["metric"]["name"]
        for each in of_kind(hpa, "HorizontalPodAutoscaler")
        for metric in each["spec"]["metrics"]
        if metric["type"] == "Pods"
    }
    assert asked == set(adapter_rules())


@pytest.mark.parametrize("name", SERVICES)
def test_both_ways_scale_alike(hpa: Objects, keda: Objects, name: str) -> None:
    one = find(hpa, "HorizontalPodAutoscaler", name)["spec"]
    other = find(keda, "ScaledObject", name)["spec"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert one["scaleTargetRef"] == other["scaleTargetRef"] == target
    assert one["minReplicas"] == other["minReplicaCount"] >= 2
    assert one["maxReplicas"] == other["maxReplicaCount"] > one["minReplicas"]
    behavior = other["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert one["behavior"] == behavior
    (metric,), (trigger,) = one["metrics"], other["triggers"]
    assert trigger["metricType"] == "AverageValue"
    if metric["type"] == "Resource":
        assert (metric["resource"]["name"], trigger["type"]) == ("cpu", "cpu")
        wanted = metric["resource"]["target"]["averageValue"]
        assert trigger["metadata"] == {"value": wanted}
        return
    threshold = trigger["metadata"]["threshold"]
    assert amount(metric["pods"]["target"]["averageValue"]) == float(threshold)
    assert other["fallback"]["replicas"] == one["minReplicas"]
    # Where nothing is scraped, pods are not taken away.
    assert trigger["metadata"]["ignoreNullValues"] == "false"


def amount(quantity: str) -> float:
    """`700m` is 0.7."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def test_a_pod_is_added_before_turns_have_to_wait(hpa: Objects) -> None:
    spec = find(hpa, "HorizontalPodAutoscaler", "generator")["spec"]
    load = amount(spec["metrics"][0]["pods"]["target"]["averageValue"])
    slots = GeneratorSettings.model_fields["slots"].default
    assert 1 <= slots * (1 - load) <= slots / 2
    spec = find(hpa, "HorizontalPodAutoscaler", "tokenizer")["spec"]
    streams = amount(spec["metrics"][0]["pods"]["target"]["averageValue"])
    assert streams < TokenizerSettings.model_fields["max_streams"].default
    spec = find(hpa, "HorizontalPodAutoscaler", "gateway")["spec"]
    cpu = amount(spec["metrics"][0]["resource"]["target"]["averageValue"])
    assert cpu < float(container_of(hpa, "gateway")["resources"]["limits"]["cpu"])


def test_pods_go_one_by_one_and_late(hpa: Objects) -> None:
    for each in of_kind(hpa, "HorizontalPodAutoscaler"):
        down = each["spec"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 300
        assert [policy["value"] for policy in down["policies"]] == [1]
        assert each["spec"]["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0


@pytest.mark.parametrize("component", ["autoscaling", "autoscaling-keda"])
def test_applying_the_manifests_again_leaves_the_number_of_pods(component: str) -> None:
    for each in of_kind(composed("base", component), "Deployment"):
        assert "replicas" not in each["spec"]
    for each in of_kind(rendered("base"), "Deployment"):
        assert each["spec"]["replicas"] == 1


def test_both_ask_the_prometheus_that_policies_let_in() -> None:
    values = yaml.safe_load(ADAPTER.read_text())["prometheus"]
    asked = {f"{values['url']}:{values['port']}"}
    for each in of_kind(composed("base", "autoscaling-keda"), "ScaledObject"):
        asked |= {t["metadata"].get("serverAddress") for t in each["spec"]["triggers"]} - {None}
    assert asked == {"http://prometheus-operated.monitoring.svc:9090"}
    (rule,) = find(rendered("base"), "NetworkPolicy", "metrics")["spec"]["ingress"]
    (source,) = rule["from"]
    assert "monitoring" in source["namespaceSelector"]["matchLabels"].values()
