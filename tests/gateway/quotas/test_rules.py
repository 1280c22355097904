"""Who may have how much: settings, the file, and the file as it changes."""

import json
import logging
from pathlib import Path

import pytest

from gateway.quotas.caller import Caller
from gateway.quotas.quota_limits import NO_LIMITS, QuotaLimits
from gateway.quotas.quotas_file import QuotasFileError
from gateway.quotas.rules import QuotaRules

SETTINGS = QuotaLimits(streams=9, voices=3)
TOML = """
[default]
streams = 4
requests_per_minute = 60

[tenants.acme]
streams = 40
voices = 0

[principals."robot 7"]
requests_per_minute = 5
"""


def rules(tmp_path: Path, content: str, name: str = "quotas.toml") -> QuotaRules:
    path = tmp_path / name
    path.write_text(content)
    return QuotaRules(SETTINGS, path)


def test_a_tenant_has_its_own_then_the_default_then_the_settings(tmp_path: Path) -> None:
    told = rules(tmp_path, TOML)
    assert told.of_tenant(Caller("acme", "joe")) == QuotaLimits(40, 60, voices=0)
    assert told.of_tenant(Caller("other", "joe")) == QuotaLimits(4, 60, voices=3)
    assert told.of_principal(Caller("acme", "robot 7")) == QuotaLimits(requests_per_minute=5)
    assert told.of_principal(Caller("acme", "joe")) == NO_LIMITS
    assert not told.of_principal(Caller("", ""))
    same = {
        "default": {"streams": 4, "requests_per_minute": 60},
        "tenants": {"acme": {"streams": 40, "voices": 0}},
    }
    by_json = rules(tmp_path, json.dumps(same), "quotas.json")
    assert by_json.of_tenant(Caller("acme", "")) == told.of_tenant(Caller("acme", ""))


def test_without_a_file_the_settings_hold_for_everybody() -> None:
    assert QuotaRules(SETTINGS, None).of_tenant(Caller("", "")) == SETTINGS


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("tenant = {}", "'tenant': allowed are default, tenants, principals"),
        ("[tenants.acme]\nstream = 1", "tenants.acme.stream: allowed are streams, requests_per"),
        ("[default]\nstreams = -1", "default.streams is -1: allowed are whole numbers 0.."),
        ("[default]\nstreams = true", "default.streams is True: allowed are whole numbers"),
        ("[default]\nstreams = 1.5", "default.streams is 1.5: allowed are whole numbers"),
        ("[principals.joe]\nvoices = 1", "principals.joe.voices: allowed are streams, requests"),
        ("tenants = 3", "tenants: allowed is a table, not int"),
        ("[tenants]\nacme = 3", "tenants.acme: allowed is a table, not int"),
        ("streams =", "is no TOML in UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(QuotasFileError) as caught:
        rules(tmp_path, content)
    assert told in str(caught.value)
    assert "quotas.toml" in str(caught.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuotasFileError, match="No such file"):
        QuotaRules(SETTINGS, tmp_path / "none.toml")
    with pytest.raises(QuotasFileError, match="larger than"):
        rules(tmp_path, "#" * (5 << 20))


async def test_the_file_is_read_again_when_its_content_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told = rules(tmp_path, TOML)
    path, acme = tmp_path / "quotas.toml", Caller("acme", "")
    await told.look()
    assert not caplog.records
    path.write_text("[tenants.acme]\nstreams = 41\n")
    await told.look()
    assert told.of_tenant(acme) == QuotaLimits(41, voices=3)
    path.write_text("[tenants.acme]\nstreams = none\n")
    for _ in range(3):
        await told.look()
    assert told.of_tenant(acme).streams == 41
    assert [r.levelname for r in caplog.records] == ["INFO", "WARNING"]
    assert "stay as they were" in caplog.records[1].getMessage()
    path.unlink()
    await told.look()
    path.write_text("[tenants.acme]\nstreams = 42\n")
    await told.look()
    assert told.of_tenant(acme).streams == 42
    assert [r.levelname for r in caplog.records] == ["INFO", "WARNING", "WARNING", "INFO"]


def test_the_example_is_right() -> None:
    told = QuotaRules(SETTINGS, Path(__file__).parents[3] / "examples" / "quotas.toml")
    assert told.of_tenant(Caller("acme", "")).bytes == 100_000_000
    assert told.of_tenant(Caller("other", "")) == QuotaLimits(4, 60, 100_000, voices=3)
    assert told.of_principal(Caller("acme", "acme-batch")).streams == 10
