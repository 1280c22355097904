"""The Grafana dashboard: `python -m deploy.grafana.dashboard > deploy/grafana/csm.json`.

`make docs` does it, and a test keeps the file fresh. Variables name the instances of each service,
so that every panel shows all of them or one pod.
"""

import json
from typing import Any

from deploy.grafana.panels import ROWS, Panel

WIDTH, HEIGHT, COLUMNS = 8, 7, 3


def _panel(number: int, place: tuple[int, int], one: Panel) -> dict[str, Any]:
    column, top = place
    colours = ("red", "green") if one["floor"] else ("green", "red")
    line = one["floor"] or one["ceiling"]
    steps: list[dict[str, Any]] = [{"color": colours[0], "value": None}]
    if line:
        steps.append({"color": colours[1], "value": line})
    drawn = {
        "unit": one["unit"],
        "min": 0,
        "custom": {
            "lineWidth": 1,
            "fillOpacity": 5,
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if line else "off"},
        },
        "thresholds": {"mode": "absolute", "steps": steps},
        "links": [
            {
                "title": f"only this {name}",
                "url": f"/d/csm?var-{name}=${{__field.labels.instance}}&${{__url_time_range}}",
            }
            for name in VARIABLES
            if any(f"${name}" in q and "{{instance}}" in legend for q, legend in one["queries"])
        ],
    }
    return {
        "id": number,
        "type": "timeseries",
        "title": one["title"],
        "description": one["about"],
        "datasource": DATASOURCE,
        "gridPos": {"x": column * WIDTH, "y": top, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": drawn, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(65 + n), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for n, (expr, legend) in enumerate(one["queries"])
        ],
    }


DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
VARIABLES = {"gateway": "Speech", "generator": "Generator", "tokenizer": "Tokenizer"}


def _ready(service: str) -> str:
    return f'csm_ready{{grpc_service="csm.v1.{service}Service"}}'


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}
    return [
        source,
        *(
            {
                "name": name,
                "label": name.capitalize(),
                "type": "query",
                "datasource": DATASOURCE,
                "query": f"label_values({_ready(service)}, instance)",
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": "All", "value": "$__all"},
            }
            for name, service in VARIABLES.items()
        ),
    ]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    drawn: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        drawn.append(
            {"id": len(drawn) + 1, "type": "row", "title": title, "gridPos": place, "panels": []}
        )
        top += 1
        for index, one in enumerate(row):
            at = (index % COLUMNS, top + index // COLUMNS * HEIGHT)
            drawn.append(_panel(len(drawn) + 1, at, one))
        top += -(-len(row) // COLUMNS) * HEIGHT
    return {
        "uid": "csm",
        "title": "csm",
        "description": "Made by deploy/grafana/dashboard.py.",
        "schemaVersion": 39,
        "tags": ["csm"],
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": DATASOURCE,
                    "enable": True,
                    "iconColor": "red",
                    "expr": 'ALERTS{alertname=~"Csm.*",alertstate="firing"}',
                    "titleFormat": "{{alertname}} {{instance}}",
                }
            ]
        },
        "panels": drawn,
    }


def document() -> str:
    """The file, whole."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    print(document(), end="")
