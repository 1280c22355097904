"""An issuer of JWTs, and who checks what it signs."""

from pathlib import Path

import pytest

from csm.serving.auth.jwt_verifier import JwtVerifier
from csm.serving.auth.key_set import KeyFile
from tests.csm.serving.auth.cases import RULES, Issuer


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def verifier(issuer: Issuer, tmp_path: Path) -> JwtVerifier:
    (tmp_path / "jwks").write_bytes(issuer.jwks)
    return JwtVerifier(RULES, KeyFile("auth_jwt_jwks", tmp_path / "jwks"))
