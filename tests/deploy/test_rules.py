"""Recording rules and alerts: what they ask for is there, they fire when they are to, and only
then; each has its page."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.facts import DEPLOY, ROOT
from tests.deploy.promql import RULES, known, outcome, problems, rules
from tests.deploy.rule_cases import CASES, Case

PAGES = ROOT / "docs" / "runbooks"
ALERTS = [rule for rule in rules() if "alert" in rule]
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
each_rule = pytest.mark.parametrize(
    "rule", rules(), ids=lambda r: r.get("record") or f"{r['alert']}-{r['labels']['severity']}"
)
each_alert = pytest.mark.parametrize(
    "rule", ALERTS, ids=lambda r: f"{r['alert']}-{r['labels']['severity']}"
)


@each_rule
def test_every_metric_and_label_of_a_rule_is_there(rule: dict[str, Any]) -> None:
    assert not problems(rule["expr"])


@each_alert
def test_an_alert_says_what_why_and_where_to_read_on(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "threshold", "runbook_url"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    _, found, path = notes["runbook_url"].partition("/blob/main/")
    assert found
    assert path == f"docs/runbooks/{rule['alert']}.md"
    assert (ROOT / path).is_file()


@each_alert
def test_an_alert_tells_only_labels_that_it_has(rule: dict[str, Any]) -> None:
    told = {
        name
        for text in rule["annotations"].values()
        for name in re.findall(r"\$labels\.(\w+)", text)
    }
    absent = set(re.findall(r'(\w+)="', rule["expr"])) if "absent(" in rule["expr"] else set()
    assert told <= outcome(rule["expr"]) | absent


@each_alert
def test_a_page_tells_meaning_first_look_causes_and_remedies(rule: dict[str, Any]) -> None:
    text = (PAGES / f"{rule['alert']}.md").read_text()
    assert text.startswith(f"# {rule['alert']}\n")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Meaning", "First look", "Causes", "Remedies"]


def test_every_page_is_that_of_an_alert() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {rule["alert"] for rule in ALERTS}


def test_every_query_of_a_page_asks_for_what_is_there() -> None:
    wrong = {}
    for path in PAGES.glob("*.md"):
        for query in re.findall(r"^```promql\n(.*?)^```$", path.read_text(), re.DOTALL | re.M):
            for line in query.strip().splitlines():
                if found := problems(line):
                    wrong[f"{path.name}: {line}"] = found
    assert not wrong


def test_the_checks_see_what_is_wrong() -> None:
    assert problems("sum(rate(csm_gateway_request_total[5m]))")
    assert problems('sum(rate(csm_gateway_requests_total{outcom="failed"}[5m]))')
    assert problems('sum(rate(csm_gateway_requests_total{outcome="lost"}[5m]))')
    assert problems('sum(rate(csm_gateway_time_to_first_audio_seconds_bucket{le="0.45"}[5m]))')
    assert problems("sum by (pod) (rate(csm_gateway_requests_total[5m]))")
    assert not problems("sum by (rpc) (rate(csm_gateway_requests_total[5m]))")
    assert "csm:turns_failed:ratio_rate5m" in known()


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", *map(str, RULES.glob("*.yml"))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    wanted = {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS}
    assert {(c.alert, c.severity) for c in CASES if c.fires} == wanted
    assert {(c.alert, c.severity) for c in CASES if not c.fires} == wanted


def _unit_test(case: Case) -> dict[str, Any]:
    which = f'alertname="{case.alert}",severity="{case.severity}",alertstate="firing"'
    fired = [{"labels": "{}", "value": 1}] if case.fires else []
    return {
        "name": case.name,
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in case.series.items()],
        "promql_expr_test": [
            {"expr": f"count(ALERTS{{{which}}})", "eval_time": case.after, "exp_samples": fired}
        ],
    }


def _promtool(tmp_path: Path, tests: list[dict[str, Any]], interval: str) -> str:
    """What promtool finds wrong; empty: nothing."""
    # What is recorded comes before the alerts that ask for it.
    files = [RULES / "recording.yml", RULES / "alerts.yml"]
    assert set(files) == set(RULES.glob("*.yml"))
    content = {
        "rule_files": [str(path) for path in files],
        "evaluation_interval": interval,
        "group_eval_order": [
            group["name"] for path in files for group in yaml.safe_load(path.read_text())["groups"]
        ],
        "tests": tests,
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("interval", ["1m", "10m"])
def test_alerts_fire_when_they_are_to_and_only_then(tmp_path: Path, interval: str) -> None:
    """Cases of many hours are looked at every ten minutes, or they would take a minute."""
    tests = [_unit_test(case) for case in CASES if (interval == "10m") == ("h" in case.after)]
    assert tests
    assert not _promtool(tmp_path, tests, interval)


@needs_promtool
def test_promtool_sees_a_case_that_is_wrong(tmp_path: Path) -> None:
    wrong = _unit_test(next(case for case in CASES if case.fires))
    wrong["promql_expr_test"][0]["exp_samples"] = []
    assert "exp" in _promtool(tmp_path, [wrong], "10m")


def test_compose_and_its_prometheus_load_the_rules() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert config["rule_files"] == ["rules/*.yml"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    volumes = compose["services"]["prometheus"]["volumes"]
    assert "./prometheus/rules:/etc/prometheus/rules:ro" in volumes
