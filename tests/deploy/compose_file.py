"""Reads deploy/compose.yaml, and files that override it, as compose would."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.facts import DEPLOY

PATH = DEPLOY / "compose.yaml"
TLS = DEPLOY / "compose.tls.yaml"

# Lists that a further file adds to; any other one replaces what was there.
_ADDED = ("ports", "volumes")


def load(variables: dict[str, str] | None = None, *overrides: Path) -> dict[str, Any]:
    """The file with `${NAME:-default}` and `${NAME-default}` replaced, under the overrides."""
    whole: dict[str, Any] = {}
    for path in (PATH, *overrides):
        whole = _merged(whole, dict(yaml.safe_load(_filled_in(path.read_text(), variables or {}))))
    return whole


def _filled_in(text: str, variables: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, colon, default = match.groups()
        found = variables.get(name)
        return default if found is None or (colon and not found) else found

    return re.sub(r"\$\{([A-Z_]+)(:?)-([^}]*)\}", value, text)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merged(old, value)
        elif isinstance(old, list) and isinstance(value, list) and key in _ADDED:
            result[key] = [*old, *value]
        else:
            result[key] = value
    return result


def seconds(duration: str) -> float:
    """`45s` -> 45.0; only seconds are used in the file."""
    match = re.fullmatch(r"(\d+)s", duration)
    if not match:
        raise ValueError(f"not a duration in seconds: {duration!r}")
    return float(match[1])


def in_profile(compose: dict[str, Any], profile: str) -> list[str]:
    """The services of a profile, each behind those of the profile that it depends on."""
    wanted = {n: s for n, s in compose["services"].items() if profile in s["profiles"]}
    ordered: list[str] = []
    while len(ordered) < len(wanted):
        waiting = set(wanted) - set(ordered)
        ready = [
            name for name in wanted
            if name in waiting and not waiting & set(wanted[name].get("depends_on", ()))
        ]  # fmt: skip
        if not ready:
            raise ValueError(f"services wait for each other: {waiting}")
        ordered += ready
    return ordered


def run_arguments(service: dict[str, Any], volume_prefix: str) -> list[str]:
    """The arguments of `docker run` and `podman run` that say what the file says of a service.

    Volumes with a name get `volume_prefix` before it; ports are published to free ones.
    """
    limits = service["deploy"]["resources"]["limits"]
    arguments = ["--cpus", limits["cpus"], "--memory", limits["memory"]]
    arguments += ["--pids-limit", str(service["pids_limit"]), "--user", service["user"]]
    if service["read_only"]:
        arguments.append("--read-only")
    for flag, key in (
        ("--tmpfs", "tmpfs"),
        ("--cap-drop", "cap_drop"),
        ("--security-opt", "security_opt"),
    ):
        for value in service[key]:
            arguments += [flag, value]
    for name, value in service.get("environment", {}).items():
        arguments += ["--env", f"{name}={value}"]
    for volume in service.get("volumes", ()):
        source, rest = volume.split(":", 1)
        is_path = source.startswith((".", "/"))
        place = (PATH.parent / source).resolve() if is_path else volume_prefix + source
        arguments += ["--volume", f"{place}:{rest}"]
    for port in service.get("ports", ()):
        arguments += ["--publish", f"127.0.0.1::{port.rpartition(':')[2]}"]
    return arguments
