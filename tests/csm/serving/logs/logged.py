"""The fields of log lines, as tests look at them."""

from typing import Any

import pytest


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """The fields of each line with this message, the oldest first."""
    return [vars(r).get("fields", {}) for r in caplog.records if r.getMessage() == message]
