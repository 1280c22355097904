"""Certificates of a test's own, looked at again at every handshake."""

from pathlib import Path

import pytest

from csm.serving.tls import server as tls
from tests.certificates import Certificates


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LOOK_S", 0.0)
