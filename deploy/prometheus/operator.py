"""The rules as an object of the Prometheus operator.

`python -m deploy.prometheus.operator > deploy/kubernetes/components/monitoring/rules.yaml`, by
`make docs`; a test keeps the file fresh.
"""

from pathlib import Path

import yaml

RULES = Path(__file__).parent / "rules"
HEAD = "# Made by deploy/prometheus/operator.py from the files in deploy/prometheus/rules.\n"


def document() -> str:
    """The file, whole."""
    groups = [
        group
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    rules = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "csm", "namespace": "csm"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(rules, sort_keys=False, width=100, allow_unicode=True)


if __name__ == "__main__":
    print(document(), end="")
