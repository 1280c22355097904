"""docs/logs.md is fresh, and its examples are lines that can be written."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from csm.serving.logs.access import CALL_ENDED, CALL_FIELDS, TURN_ENDED, TURN_FIELDS

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def page() -> Any:
    spec = importlib.util.spec_from_file_location("logs_page", ROOT / "docs" / "logs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_fresh(page: Any) -> None:
    assert (ROOT / "docs" / "logs.md").read_text() == page.document(), "run `make docs`"


def test_the_examples_have_fields_that_there_are(page: Any) -> None:
    common = {"time", "level", "logger", "message", "request_id"}
    known = {CALL_ENDED: CALL_FIELDS, TURN_ENDED: TURN_FIELDS}
    for name in ("call", "turn", "http"):
        told = json.loads(page.EXAMPLES[name])
        assert set(told) - common <= set(known[told["message"]])
    assert json.loads(page.EXAMPLES["drain"])["message"] == "drain waits"
