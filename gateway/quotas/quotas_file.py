"""The operator's file of quotas: who may have how much, in TOML or JSON."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from csm.serving.metrics.tenants import QUOTAS
from gateway.quotas.quota_limits import MAX_AMOUNT, NO_LIMITS, OF_TENANTS, QuotaLimits

MAX_FILE_BYTES = 4 << 20
SECTIONS = ("default", "tenants", "principals")


class QuotasFileError(ValueError):
    """The file cannot be used; the message names it, the key, the value and what is allowed."""


@dataclass(frozen=True)
class QuotasFile:
    """What it says. What it leaves out of a tenant is that of `default`, and where that says
    nothing, that of the settings."""

    default: Mapping[str, int] = field(default_factory=dict)
    tenants: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    principals: Mapping[str, QuotaLimits] = field(default_factory=dict)
    """By name, in whichever tenant."""

    def of_tenant(self, tenant: str, settings: QuotaLimits) -> QuotaLimits:
        """A tenant's amounts."""
        return settings.with_({**self.default, **self.tenants.get(tenant, {})})

    def of_principal(self, principal: str) -> QuotaLimits:
        """A principal's own amounts, within its tenant's."""
        return self.principals.get(principal, NO_LIMITS)


def read_content(path: Path) -> bytes:
    """What is in the file. Raises `QuotasFileError`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise QuotasFileError(f"quotas_file: {path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise QuotasFileError(f"quotas_file: {path}: larger than {MAX_FILE_BYTES} bytes")
    return content


def parse(path: Path, content: bytes) -> QuotasFile:
    """What the content says; JSON where the file's name ends so, else TOML. Raises
    `QuotasFileError`."""
    where = f"quotas_file: {path}"
    try:
        text = content.decode()
        given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        told = "" if isinstance(error, UnicodeDecodeError) else f": {error}"
        raise QuotasFileError(f"{where}: is no {kind} in UTF-8{told[:200]}") from None
    given = _table(where, given)
    if unknown := sorted(set(given) - set(SECTIONS)):
        raise QuotasFileError(f"{where}: {unknown[0]!r}: allowed are {', '.join(SECTIONS)}")
    tenants, principals = (
        _table(f"{where}: {name}", given.get(name, {})) for name in ("tenants", "principals")
    )
    of_principals = tuple(quota for quota in QUOTAS if quota not in OF_TENANTS)
    return QuotasFile(
        _amounts(f"{where}: default", given.get("default", {}), QUOTAS),
        {n: _amounts(f"{where}: tenants.{n}", one, QUOTAS) for n, one in tenants.items()},
        {
            n: QuotaLimits(**_amounts(f"{where}: principals.{n}", one, of_principals))
            for n, one in principals.items()
        },
    )


def _table(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise QuotasFileError(f"{where}: allowed is a table, not {type(given).__name__}")
    return given


def _amounts(where: str, given: Any, allowed: tuple[str, ...]) -> dict[str, int]:
    amounts = _table(where, given)
    for name, amount in amounts.items():
        if name not in allowed:
            raise QuotasFileError(f"{where}.{name}: allowed are {', '.join(allowed)}")
        whole = isinstance(amount, int) and not isinstance(amount, bool)
        if not whole or not 0 <= amount <= MAX_AMOUNT:
            raise QuotasFileError(
                f"{where}.{name} is {amount!r}: allowed are whole numbers 0..{MAX_AMOUNT}, 0: none"
            )
    return amounts
