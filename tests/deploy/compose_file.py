"""Reads deploy/compose.yaml as compose would: defaults in place of variables."""

import re
from typing import Any

import yaml

from tests.deploy.facts import DEPLOY

PATH = DEPLOY / "compose.yaml"


def load(variables: dict[str, str] | None = None) -> dict[str, Any]:
    """The file with `${NAME:-default}` replaced from `variables`, else by the default."""

    def value(match: re.Match[str]) -> str:
        return (variables or {}).get(match[1], match[2])

    text = re.sub(r"\$\{([A-Z_]+):-([^}]*)\}", value, PATH.read_text())
    return dict(yaml.safe_load(text))


def seconds(duration: str) -> float:
    """`45s` -> 45.0; only seconds are used in the file."""
    match = re.fullmatch(r"(\d+)s", duration)
    if not match:
        raise ValueError(f"not a duration in seconds: {duration!r}")
    return float(match[1])


def run_arguments(service: dict[str, Any]) -> list[str]:
    """The arguments of `docker run` and `podman run` that say what the file says of a service."""
    limits = service["deploy"]["resources"]["limits"]
    arguments = ["--cpus", limits["cpus"], "--memory", limits["memory"]]
    arguments += ["--pids-limit", str(service["pids_limit"])]
    if service["read_only"]:
        arguments.append("--read-only")
    for flag, key in (
        ("--tmpfs", "tmpfs"),
        ("--cap-drop", "cap_drop"),
        ("--security-opt", "security_opt"),
    ):
        for value in service[key]:
            arguments += [flag, value]
    for name, value in service["environment"].items():
        arguments += ["--env", f"{name}={value}"]
    for volume in service.get("volumes", ()):
        source, rest = volume.split(":", 1)
        arguments += ["--volume", f"{(PATH.parent / source).resolve()}:{rest}"]
    return arguments
