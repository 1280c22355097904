"""Files of tokens, keys of an issuer, and JWTs, as tests need them."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from csm import errors
from csm.serving.auth.identity import Principal, Scope
from csm.serving.auth.jwt_verifier import JwtRules, JwtVerifier
from csm.serving.auth.token_file import new_token, token_line

ISSUER, AUDIENCE = "https://issuer.example", "csm"
RULES = JwtRules(ISSUER, AUDIENCE, 5.0, "tenant", "scope")


class Tokens:
    """A file of tokens; `of` gives one with these scopes, and writes it there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Mapping[str, object]] = {}
        self._made = 0
        self.write()

    def of(
        self,
        scopes: Iterable[Scope],
        name: str = "",
        tenant: str = "acme",
        expires_unix_s: float | None = None,
    ) -> str:
        token = new_token()
        self._made += 1
        name = name or f"name-{self._made}"
        principal = Principal(name, tenant, frozenset(scopes))
        self.lines[token] = token_line(token, principal, expires_unix_s)
        self.write()
        return token

    def revoke(self, token: str) -> None:
        del self.lines[token]
        self.write()

    def write(self) -> None:
        text = "".join(f"{json.dumps(line)}\n" for line in self.lines.values())
        self.path.write_text(f"# of a test\n{text}")


class Issuer:
    """Signs JWTs; `jwks` is what it publishes."""

    def __init__(self, kid: str = "one", kind: str = "EC") -> None:
        self.kid = kid
        self.key: Any
        if kind == "EC":
            self.key, self.algorithm = ec.generate_private_key(ec.SECP256R1()), "ES256"
            public = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        else:
            self.key, self.algorithm = rsa.generate_private_key(65537, 2048), "RS256"
            public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        self.public: dict[str, Any] = {**public, "kid": kid}

    @property
    def jwks(self) -> bytes:
        return json.dumps({"keys": [self.public]}).encode()

    def token(
        self, key: Any = None, algorithm: str = "", headers: Any = None, **claims: Any
    ) -> str:
        now = int(time.time())
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "bob",
            "tenant": "acme",
            "scope": "speak converse openid",
            "exp": now + 300,
            "iat": now,
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(
            payload,
            key or self.key,
            algorithm or self.algorithm,
            {"kid": self.kid, **(headers or {})},
        )


async def refusal(verifier: JwtVerifier, token: str) -> str:
    """Why the token is not taken."""
    with pytest.raises(errors.Unauthenticated) as caught:
        await verifier.principal(token)
    return caught.value.why
