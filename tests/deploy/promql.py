"""Which metrics and labels a query names, and which of them the three services have."""

import re
from dataclasses import dataclass, field
from functools import cache

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from csm.serving.metrics import (
    GatewayMetrics,
    GeneratorMetrics,
    Metrics,
    ServerMetrics,
    TenantMetrics,
    TokenizerMetrics,
)
from tests.deploy.facts import DEPLOY

RULES = DEPLOY / "prometheus" / "rules"
TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus gives everything it scrapes."""
FUNCTIONS = "sum rate increase count avg min max histogram_quantile time timestamp absent vector"
WORDS = frozenset([*FUNCTIONS.split(), "and", "or", "unless", "on", "ignoring", "by", "bool"])
SELECTOR = re.compile(r"([a-zA-Z_][\w:]*)\s*(?:\{([^}]*)\})?(?:\[[^\]]*\])?")
GROUPING = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True)
class Known:
    """A metric that may be asked for: its labels, and the values of each that it has at the start
    (empty: any)."""

    labels: frozenset[str]
    values: dict[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Selector:
    """One metric of a query, and its matchers as (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(query: str) -> list[Selector]:
    """The metrics that a query asks for."""
    found = []
    for name, matchers in SELECTOR.findall(GROUPING.sub(" ", query)):
        if name not in WORDS:
            found.append(Selector(name, tuple(MATCHER.findall(matchers))))
    return found


def grouped(query: str) -> set[str]:
    """The labels that a query groups or joins by."""
    return {
        label.strip() for names in GROUPING.findall(query) for label in names.split(",") if label
    }


def outcome(query: str) -> set[str]:
    """Labels that the answer may have: those it is grouped by, else those of its metrics."""
    by = grouped(query)
    if by or re.match(r"\s*(sum|histogram_quantile|1 - sum)\b", query):
        return by - {"le"}
    return {label for s in selectors(query) for label in (*TARGET, *known()[s.metric].labels)}


@cache
def known() -> dict[str, Known]:
    """Every metric of the three services, and every recording rule."""
    found = {"up": Known(frozenset()), "ALERTS": Known(frozenset({"alertname", "alertstate"}))}
    for name in ("cpu_seconds_total", "resident_memory_bytes"):
        found[f"process_{name}"] = Known(frozenset())
    metrics = Metrics()
    registry = metrics.registry
    for group in (GatewayMetrics, GeneratorMetrics, TokenizerMetrics):
        group(registry)
    values: dict[tuple[str, str], set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault((sample.name, label), set()).add(value)
    kinds = (ServerMetrics, GatewayMetrics, TenantMetrics, GeneratorMetrics, TokenizerMetrics)
    for kind in kinds:
        for metric in vars(kind(CollectorRegistry())).values():
            if not isinstance(metric, MetricWrapperBase):
                continue
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
            for suffix in suffixes.get(metric._type, [""]):
                name = metric._name + suffix
                labels = {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
                have = {k: frozenset(values.get((name, k), ())) for k in labels}
                found[name] = Known(frozenset(labels), have)
    for rule in rules():
        if "record" in rule:
            labels = frozenset(grouped(rule["expr"])) - {"le"}
            found[rule["record"]] = Known(labels)
    return found


def rules() -> list[dict]:
    """All rules of deploy/prometheus/rules, in order."""
    return [
        rule
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def problems(query: str) -> list[str]:
    """What a query names that is not there."""
    wrong = []
    asked = selectors(query)
    if not asked:
        wrong.append("asks for no metric")
    for one in asked:
        have = known().get(one.metric)
        if have is None:
            wrong.append(f"no metric {one.metric}")
            continue
        for label, operator, value in one.matchers:
            if label not in have.labels | TARGET:
                wrong.append(f"{one.metric} has no label {label}")
            there = have.values.get(label, frozenset())
            wanted = value.split("|") if "~" in operator else [value]
            lost = {plain(one) for one in wanted} - {plain(one) for one in there}
            # A pattern of signs and a variable of Grafana's are not looked up.
            if there and lost and re.fullmatch(r"[\w.|+]+", value):
                wrong.append(f"{one.metric} has no {label} of {sorted(lost)}")
    labels = {label for s in asked for label in known().get(s.metric, Known(TARGET)).labels}
    wrong += [f"nothing has the label {name}" for name in grouped(query) - labels - TARGET]
    return wrong


def plain(value: str) -> str:
    """0.50 and 0.5 are one bound of a bucket."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
