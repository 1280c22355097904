"""Where models are, and what is said where there is none."""

from pathlib import Path

import pytest

from services.model_directory import ENVIRONMENT, default_model_directory, missing

ROOT = Path(__file__).resolve().parents[1]


def test_the_voice_that_ships_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert default_model_directory() == ROOT / "models" / "pico"
    monkeypatch.setenv(ENVIRONMENT, "/data/other")
    assert default_model_directory() == Path("/data/other")


def test_a_name_of_the_hub_is_told_how_to_be_fetched() -> None:
    assert "`csm models pull acme/voice-2b`" in missing(Path("acme/voice-2b"))
    for path in ("/no/such", "no/such/model", "model", "models/csm-1b"):
        assert missing(Path(path)) == f"model: {path} does not exist; it must be a model directory"


def test_the_docs_say_how_to_get_csm_1b() -> None:
    for page in ("README.md", "docs/deployment.md"):
        assert "csm models pull sesame/csm-1b" in (ROOT / page).read_text(), page
