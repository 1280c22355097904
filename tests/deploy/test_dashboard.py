"""The dashboard: fresh, whole, and its queries ask for what is there."""

import json
import re
from typing import Any

import pytest

from deploy.grafana.dashboard import VARIABLES, dashboard, document
from deploy.grafana.panels import ROWS, panels
from tests.deploy.facts import DEPLOY, SERVICES
from tests.deploy.promql import outcome, problems, selectors

DASHBOARD = dashboard()
DRAWN = [one for one in DASHBOARD["panels"] if one["type"] != "row"]
each_panel = pytest.mark.parametrize("panel", list(panels()), ids=lambda p: p["title"])


def test_the_file_is_what_the_source_says() -> None:
    path = DEPLOY / "grafana" / "csm.json"
    assert path.read_text() == document(), "run `make docs`"


@each_panel
def test_every_metric_and_label_of_a_panel_is_there(panel: dict[str, Any]) -> None:
    assert panel["queries"]
    for query, legend in panel["queries"]:
        # Where a rate's window and an instance stand is Grafana's to say.
        assert not problems(query)
        assert set(re.findall(r"{{(\w+)}}", legend)) <= outcome(query)


@each_panel
def test_every_query_is_asked_of_the_instances_that_are_chosen(panel: dict[str, Any]) -> None:
    for query, _ in panel["queries"]:
        for one in selectors(query):
            (chosen,) = (value for label, _, value in one.matchers if label == "instance")
            service = re.match(r"csm_(gateway|generator|tokenizer)_", one.metric)
            everyone = "$gateway|$generator|$tokenizer"
            assert chosen == (f"${service[1]}" if service else everyone)


def test_titles_and_numbers_are_unique() -> None:
    for key in ("id", "title"):
        values = [one[key] for one in DASHBOARD["panels"]]
        assert len(values) == len(set(values))


def test_no_panel_covers_another() -> None:
    taken = set()
    for one in DASHBOARD["panels"]:
        at = one["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        taken |= cells


def test_the_rows_are_those_that_one_looks_for() -> None:
    rows = ["Latency", "Continuity", "Capacity", "Errors", "Conversations", "Tenants"]
    assert list(ROWS) == rows
    assert len(DRAWN) == sum(map(len, ROWS.values()))


def test_a_variable_lists_the_instances_of_each_service() -> None:
    _, *variables = DASHBOARD["templating"]["list"]
    for variable, (name, facts) in zip(
        variables, sorted(SERVICES.items(), key=lambda s: list(VARIABLES).index(s[0])), strict=True
    ):
        assert variable["name"] == name
        query = variable["query"].removeprefix("label_values(").removesuffix(", instance)")
        assert not problems(query)
        assert f'"{facts.full_name}"' in query


def test_lines_of_one_pod_lead_to_that_pod_alone() -> None:
    (between,) = (one for one in DRAWN if one["title"] == "Between frames")
    (link,) = between["fieldConfig"]["defaults"]["links"]
    assert "var-generator=${__field.labels.instance}" in link["url"]


def test_a_line_that_must_be_kept_above_is_green_above_it() -> None:
    for title, colours in (
        ("Turns without an audible gap", ["red", "green"]),
        ("Real-time factor", ["green", "red"]),
    ):
        (one,) = (each for each in DRAWN if each["title"] == title)
        steps = one["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [step["color"] for step in steps] == colours
    assert json.loads(document())["uid"] == "csm"
