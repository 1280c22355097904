"""Files of principals: a JSON object a line, empty lines and lines that begin with # apart."""

import json
import re
from collections.abc import Iterator
from typing import Any

from csm.serving.auth.identity import Principal, Scope

MAX_NAME_CHARS = 128
_NAME = re.compile(r"[\w.:@|/+=,-]{1,128}", re.ASCII)


def objects(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of the line, from 1, and its object. Raises ValueError that names the line."""
    for number, line in enumerate(content.decode().splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            value = json.loads(stripped)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ValueError(f"line {number} is no JSON object")
        yield number, value


def check_fields(number: int, entry: dict[str, Any], allowed: frozenset[str]) -> None:
    """Raises ValueError where a line has a field that it cannot have."""
    if unknown := sorted(set(entry) - allowed):
        raise ValueError(
            f"line {number}: {', '.join(unknown)[:64]}: not known; allowed are "
            f"{', '.join(sorted(allowed))}"
        )


def is_name(value: object) -> bool:
    """Whether that can name a principal or a tenant."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def name_of(number: int, entry: dict[str, Any], field: str) -> str:
    """A name in a line. Raises ValueError."""
    value = entry.get(field)
    if not is_name(value):
        raise ValueError(
            f"line {number}: {field}: 1..{MAX_NAME_CHARS} letters, digits and _.:@|/+=,- are "
            "allowed"
        )
    return str(value)


def principal_of(number: int, entry: dict[str, Any]) -> Principal:
    """`name`, `tenant` (else the name) and `scopes` of a line. Raises ValueError."""
    name = name_of(number, entry, "name")
    tenant = name_of(number, entry, "tenant") if "tenant" in entry else name
    scopes = entry.get("scopes")
    known = {str(scope) for scope in Scope}
    # As text: what a set cannot hold would be no ValueError.
    if not isinstance(scopes, list) or not all(str(scope) in known for scope in scopes):
        raise ValueError(f"line {number}: scopes: a list of {', '.join(sorted(known))} is allowed")
    return Principal(name, tenant, frozenset(Scope(scope) for scope in scopes))
