"""JWTs: what they must be, whose they are, and where the keys come from."""

import asyncio
import base64
import hmac
import http.server
import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csm import errors
from csm.serving.auth import key_set
from csm.serving.auth.authenticator import make_authenticator
from csm.serving.auth.entries import MAX_NAME_CHARS
from csm.serving.auth.identity import Principal, Scope
from csm.serving.auth.jwt_verifier import MAX_CACHED, JwtRules, JwtVerifier
from csm.serving.auth.key_set import KeyFile, KeyUrl, is_url, parse_keys
from csm.serving.auth.rules import one_of
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from tests.csm.serving.auth.cases import AUDIENCE, ISSUER, RULES, Issuer, refusal


async def test_subject_tenant_and_scopes_are_those_of_the_claims(
    verifier: JwtVerifier, issuer: Issuer
) -> None:
    principal = await verifier.principal(issuer.token())
    assert principal == Principal("bob", "acme", frozenset({Scope.SPEAK, Scope.CONVERSE}))
    listed = await verifier.principal(issuer.token(scope=["voices:write", "x", {"a": 1}]))
    assert listed.scopes == {Scope.VOICES_WRITE}
    assert (await verifier.principal(issuer.token(scope=None))).scopes == frozenset()
    assert (await verifier.principal(issuer.token(aud=["other", AUDIENCE]))).name == "bob"
    # A subject without a tenant is alone, and nobody's tenant by the choice of a name.
    alone = await verifier.principal(issuer.token(tenant=None, sub="acme"))
    assert alone.tenant == "sub:acme"
    longest = await verifier.principal(issuer.token(tenant=None, sub="s" * MAX_NAME_CHARS))
    assert longest.tenant == f"sub:{'s' * MAX_NAME_CHARS}"


async def test_claims_may_have_other_names(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "jwks").write_bytes(issuer.jwks)
    rules = JwtRules(ISSUER, AUDIENCE, 5.0, "https://example.org/tenant", "realm_access.roles")
    verifier = JwtVerifier(rules, KeyFile("auth_jwt_jwks", tmp_path / "jwks"))
    claims = {"https://example.org/tenant": "globex", "realm_access": {"roles": ["converse"]}}
    principal = await verifier.principal(issuer.token(tenant=None, scope=None, **claims))
    assert principal == Principal("bob", "globex", frozenset({Scope.CONVERSE}))


async def test_what_is_wrong_with_a_jwt_is_told_apart_for_the_operator(
    verifier: JwtVerifier, issuer: Issuer
) -> None:
    now = time.time()
    other = Issuer()
    good = issuer.token()
    head, body, signature = good.split(".")
    forged = base64.urlsafe_b64encode(
        json.dumps({**jwt.decode(good, options={"verify_signature": False}), "sub": "eve"}).encode()
    )
    cases = {
        issuer.token(exp=now - 60): "expired",
        issuer.token(exp=None): "invalid",
        issuer.token(sub=None): "invalid",
        issuer.token(nbf=now + 60): "invalid",
        issuer.token(iss="https://other.example"): "invalid",
        issuer.token(iss=None): "invalid",
        issuer.token(aud="other"): "invalid",
        issuer.token(aud=None): "invalid",
        issuer.token(sub="a b"): "invalid",
        issuer.token(tenant={"a": 1}): "invalid",
        issuer.token(tenant=""): "invalid",
        issuer.token(tenant="t" * (MAX_NAME_CHARS + 1)): "invalid",
        issuer.token(tenant=None, sub="s" * (MAX_NAME_CHARS + 1)): "invalid",
        issuer.token(headers={"kid": "none"}): "invalid",
        issuer.token(headers={"crit": ["x"], "x": 1}): "malformed",
        # A key of somebody else's under our key's name.
        other.token(): "invalid",
        f"{head}.{forged.decode().rstrip('=')}.{signature}": "invalid",
        f"{head}.{body}.": "invalid",
        f"{head}.{body}": "malformed",
        "abc": "malformed",
        "a.b.c": "malformed",
        "": "malformed",
    }
    for token, reason in cases.items():
        assert await refusal(verifier, token) == reason, token
    # Within the leeway it holds still.
    await verifier.principal(issuer.token(exp=now - 2))


async def test_only_asymmetric_algorithms_are_taken(verifier: JwtVerifier, issuer: Issuer) -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    for kid in ("one", None):
        header = {"alg": "none", "typ": "JWT", **({"kid": kid} if kid else {})}
        assert await refusal(verifier, f"{part(header)}.{part(claims)}.") == "invalid"
    # The public key, which everybody has, as the secret of an HMAC.
    pem = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{part(claims)}"
    for secret in (pem, issuer.jwks, json.dumps(issuer.public).encode()):
        code = hmac.digest(secret, signed.encode(), "sha256")
        forged = f"{signed}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"
        assert await refusal(verifier, forged) == "invalid"


def test_keys_that_cannot_verify_are_left_out(issuer: Issuer) -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
    useless = [
        secret,
        {**issuer.public, "kid": "e", "use": "enc"},
        {**issuer.public, "kid": "a", "alg": "HS256"},
        {**issuer.public, "kid": "d", "d": "AAAA"},
        {"kty": "EC", "kid": "broken"},
        "text",
    ]
    found = parse_keys(json.dumps({"keys": [*useless, issuer.public]}).encode())
    assert set(found) == {"one"}
    for wrong in ({"keys": useless}, {"keys": {}}, [], {"a": 1}):
        with pytest.raises(ValueError, match=r"has no public key|is no JWKS"):
            parse_keys(json.dumps(wrong).encode())
    rsa = Issuer("r", "RSA")
    assert "PS256" in parse_keys(rsa.jwks)["r"].algorithms
    bound = json.dumps({"keys": [{**rsa.public, "alg": "RS512"}]}).encode()
    assert parse_keys(bound)["r"].algorithms == ("RS512",)


async def test_a_token_that_was_good_is_checked_once_and_no_longer_than_it_holds(
    verifier: JwtVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token(exp=time.time() + 60)
    await verifier.principal(token)
    decodes: list[int] = []
    monkeypatch.setattr(verifier, "_claims", lambda *_: decodes.append(1))
    assert (await verifier.principal(token)).name == "bob"
    assert not decodes
    monkeypatch.undo()
    late = time.time() + 70
    monkeypatch.setattr(time, "time", lambda: late)
    assert await refusal(verifier, token) == "expired"


async def test_good_tokens_that_are_remembered_are_bounded(
    verifier: JwtVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csm.serving.auth.jwt_verifier.MAX_CACHED", 5)
    assert MAX_CACHED > 5
    for number in range(9):
        await verifier.principal(issuer.token(sub=f"n{number}"))
    assert len(verifier._good) == 5


async def test_a_key_that_is_gone_from_the_file_no_longer_holds(tmp_path: Path) -> None:
    old, new = Issuer("old"), Issuer("new")
    (tmp_path / "jwks").write_bytes(old.jwks)
    source = KeyFile("auth_jwt_jwks", tmp_path / "jwks")
    verifier = JwtVerifier(RULES, source)
    token = old.token()
    await verifier.principal(token)
    (tmp_path / "jwks").write_bytes(new.jwks)
    await source._file.look()
    assert await refusal(verifier, token) == "invalid"
    await verifier.principal(new.token())


class Place:
    """A URL's body, or what it fails with."""

    def __init__(self, body: bytes) -> None:
        self.answer: bytes | Exception = body
        self.fetches = 0

    def __call__(self, url: str) -> bytes:
        self.fetches += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_keys_behind_a_url_are_fetched_anew_for_an_unknown_one_but_not_at_will(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(issuer.jwks)
    source = KeyUrl("auth_jwt_jwks", "https://issuer.example/jwks", place)
    verifier = JwtVerifier(RULES, source)
    tokens = [issuer.token(sub=f"n{n}") for n in range(5)]
    # All at once: one fetch.
    await asyncio.gather(*(verifier.principal(token) for token in tokens))
    assert place.fetches == 1
    rotated = Issuer("two")
    place.answer = rotated.jwks
    assert await refusal(verifier, rotated.token()) == "invalid"
    assert place.fetches == 1  # too soon
    monkeypatch.setattr(key_set, "MIN_REFRESH_S", 0.0)
    await verifier.principal(rotated.token())
    assert place.fetches == 2
    assert await refusal(verifier, tokens[0]) == "invalid"


async def test_keys_are_kept_while_their_url_is_away(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_set, "MIN_REFRESH_S", 0.0)
    place = Place(b"")
    place.answer = OSError("refused")
    source = KeyUrl("auth_jwt_jwks", "https://issuer.example/jwks", place)
    verifier = JwtVerifier(RULES, source)
    token = issuer.token()
    # Not the caller's fault.
    with pytest.raises(errors.Unavailable, match="not there yet"):
        await verifier.principal(token)
    with caplog.at_level(logging.INFO, logger="csm"):
        place.answer = issuer.jwks
        await verifier.principal(token)
        for broken in (OSError("away"), b"<html>", json.dumps({"keys": []}).encode()):
            place.answer = broken
            await source.miss()
            await verifier.principal(token)
            await verifier.principal(issuer.token(sub="new"))
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO", "WARNING"]


@pytest.mark.parametrize(
    ("place", "fits"),
    [
        ("https://a.example/jwks", True),
        ("http://127.0.0.1:8000/jwks", True),
        ("http://localhost/jwks", True),
        ("http://a.example/jwks", False),
        ("http://127.0.0.1.a.example/jwks", False),
        ("file:///etc/passwd", False),
        ("/etc/jwks.json", False),
        ("https:///jwks", False),
    ],
)
def test_keys_come_encrypted_or_from_this_machine(place: str, fits: bool) -> None:
    assert is_url(place) == fits


class Handler(http.server.BaseHTTPRequestHandler):
    jwks = b""

    def do_GET(self) -> None:
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/jwks")
            self.end_headers()
            return
        if self.path == "/broken":
            self.wfile.write(b"SSH-2.0-OpenSSH\r\n")
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.jwks if self.path == "/jwks" else b"a" * (2 << 20))

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def web(issuer: Issuer, tmp_path: Path) -> Iterator[str]:
    """An https server of a certificate of its own."""
    from tests.csm.serving.auth.own_certificates import Authority

    authority = Authority("an authority")
    ca, pair = tmp_path / "ca.pem", authority.pair(tmp_path, "localhost", dns="localhost")
    ca.write_bytes(authority.pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Handler.jwks = issuer.jwks
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_keys_come_over_tls_that_is_verified_and_without_detours(
    web: str, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        key_set.fetch(f"{web}/jwks")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert key_set.fetch(f"{web}/jwks") == issuer.jwks
    with pytest.raises(OSError, match="302"):
        key_set.fetch(f"{web}/elsewhere")
    with pytest.raises(OSError, match="is no HTTP"):
        key_set.fetch(f"{web}/broken")
    with pytest.raises(ValueError, match="more than"):
        key_set.fetch(f"{web}/large")


async def test_settings_make_it(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "jwks").write_bytes(issuer.jwks)
    settings = ServiceSettings(
        auth_jwt_issuer=ISSUER, auth_jwt_audience=AUDIENCE, auth_jwt_jwks=str(tmp_path / "jwks")
    )
    authenticator = make_authenticator(settings, Metrics().server)
    assert authenticator is not None
    given = [f"Bearer {issuer.token()}"]
    assert (await authenticator.admit(one_of(Scope.SPEAK), given, tuple)).name == "bob"
    # A token of a file is none here.
    with pytest.raises(errors.Unauthenticated):
        await authenticator.admit(one_of(Scope.SPEAK), ["Bearer csm_" + "a" * 43], tuple)
