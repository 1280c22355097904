"""A real Prometheus over a running system: every panel, rule and runbook gets an answer."""

import math
import re
import shutil
from collections.abc import Iterator

import pytest

from deploy.grafana.panels import panels
from tests.deploy.promql import rules, selectors
from tests.deploy.test_rules import PAGES
from tests.gateway.conversations.redis.server import PROGRAM
from tests.system.monitored import Prometheus, filled, monitored, until, without_thresholds

pytestmark = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="needs Debian's prometheus package"
)


def queries() -> dict[str, str]:
    """Every query of ours, by where it stands."""
    found = {}
    for panel in panels():
        for index, (query, _) in enumerate(panel["queries"]):
            found[f"panel {panel['title']} {index}"] = filled(query)
    for rule in rules():
        name = rule.get("record") or f"{rule['alert']} {rule['labels']['severity']}"
        found[f"rule {name}"] = without_thresholds(rule["expr"])
    for page in sorted(PAGES.glob("*.md")):
        blocks = re.findall(r"^```promql\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
        for query in (line for block in blocks for line in block.splitlines()):
            found[f"page {page.stem}: {query}"] = without_thresholds(query)
    if PROGRAM is None:
        of_store = [n for n, q in found.items() if "store" in q]
        found = {name: query for name, query in found.items() if name not in of_store}
    return found


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with monitored(tmp_path_factory.mktemp("prometheus")) as (running, load):
        assert until(lambda: load.rounds >= 2, 60), "no caller came to an end"
        yield running


def unanswered(prometheus: Prometheus) -> list[str]:
    return [
        name for name, query in queries().items() if all(map(math.isnan, prometheus.values(query)))
    ]


def test_every_query_of_panels_rules_and_runbooks_is_answered(prometheus: Prometheus) -> None:
    # A rate needs two scrapes of what has happened, a quantile something that happened.
    until(lambda: not unanswered(prometheus), 25)
    assert not unanswered(prometheus)


def test_every_rule_is_loaded_and_evaluated(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]
    loaded = [rule for group in groups for rule in group["rules"]]
    assert len(loaded) == len(rules())
    assert {rule["health"] for rule in loaded} <= {"ok", "unknown"}
    assert not [rule["lastError"] for rule in loaded if rule.get("lastError")]


def test_what_a_healthy_system_says_of_itself_is_true(prometheus: Prometheus) -> None:
    (reused,) = prometheus.values('sum(csm_gateway_affinity_total{result="hit"})')
    (warned,) = prometheus.values('csm_gateway_warnings_total{kind="unspeakable"}')
    assert reused > 0
    assert warned > 0
    by_rpc = prometheus.values("csm_gateway_time_to_first_audible_seconds_count")
    assert all(count > 0 for count in by_rpc)
    (later,) = prometheus.values(
        "sum(csm_gateway_time_to_first_audible_seconds_sum)"
        " - sum(csm_gateway_time_to_first_audio_seconds_sum)"
    )
    # No turn is heard before it was sent.
    assert later >= 0


def test_an_alert_sees_what_it_is_for(prometheus: Prometheus) -> None:
    # More callers than places: refusals, by a status and in a terminal, and none of them a failure.
    alert = 'ALERTS{alertname="CsmCallsRefused",alertstate="pending"}'
    assert until(lambda: bool(prometheus.values(alert)), 20)
    (refused,) = prometheus.values('sum(csm_gateway_requests_total{outcome="rejected"})')
    assert refused > 0


def test_the_queries_that_are_looked_at_are_many() -> None:
    assert len(queries()) > 100
    assert all(selectors(query) for query in queries().values())
