"""Credentials made to hurt, and files that change at the worst moment."""

import asyncio
import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from csm import errors
from csm.serving.auth import jwt_verifier, key_set, watched_file
from csm.serving.auth.authenticator import Authenticator
from csm.serving.auth.entries import principal_of
from csm.serving.auth.identity import ANYBODY, Scope, current
from csm.serving.auth.jwt_verifier import JwtRules, JwtVerifier
from csm.serving.auth.key_set import KeyUrl, parse_keys
from csm.serving.auth.rules import PUBLIC, one_of
from csm.serving.auth.token_file import parse_tokens
from csm.serving.auth.watched_file import WatchedFile
from csm.serving.metrics import Metrics
from tests.csm.serving.auth.cases import AUDIENCE, ISSUER, Issuer, Tokens, refusal

SPEAKING = one_of(Scope.SPEAK)


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def test_no_tenant_claim_reaches_what_a_subject_without_one_has(
    verifier: JwtVerifier, issuer: Issuer
) -> None:
    assert (await verifier.principal(issuer.token(tenant=None, sub="bob"))).tenant == "sub:bob"
    assert await refusal(verifier, issuer.token(tenant="sub:bob", sub="eve")) == "invalid"


@pytest.mark.parametrize("tenant", ["", "a\x00b", "a\nb", "é", "a" * 129, ["acme"], 5, False, {}])
async def test_a_tenant_claim_that_is_no_name_is_no_tenant(
    verifier: JwtVerifier, issuer: Issuer, tenant: Any
) -> None:
    assert await refusal(verifier, issuer.token(tenant=tenant)) == "invalid"


async def test_whatever_is_in_a_jwt_the_answer_is_a_refusal(
    verifier: JwtVerifier, issuer: Issuer
) -> None:
    head, body, signature = issuer.token().split(".")
    header = {"alg": "ES256", "kid": "one"}
    heads: list[Any] = [
        b"[" * 5900, b'{"a":' * 1100 + b"1" + b"}" * 1100, b"9" * 4400, b"\xff\xfe",
        b'{"alg":"ES256","kid":"\\ud800"}', [1], {**header, "kid": ["one"]},
        {**header, "kid": "../../etc/passwd"}, {**header, "kid": "' or 1=1"},
        {**header, "alg": 5}, {**header, "alg": ["none"]}, {**header, "b64": False},
    ]  # fmt: skip
    for one in heads:
        assert await refusal(verifier, f"{part(one)}.{body}.{signature}") in (
            "malformed",
            "invalid",
        )
    for wrong in (b"[" * 5900, b"9" * 4400, [1]):
        assert await refusal(verifier, f"{head}.{part(wrong)}.{signature}") == "invalid"
    for exp in (10**400, 1e400, "soon", {}):
        assert await refusal(verifier, issuer.token(exp=exp)) == "invalid"


async def test_a_library_that_stumbles_refuses(
    verifier: JwtVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_: str) -> Any:
        raise RecursionError

    monkeypatch.setattr(verifier._jwt, "get_unverified_header", stumble)
    assert await refusal(verifier, issuer.token()) == "malformed"


async def test_a_forged_token_costs_one_check_and_what_is_kept_of_them_is_bounded(
    verifier: JwtVerifier, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt_verifier, "MAX_CACHED", 5)
    other = Issuer()
    forged = [other.token(sub=f"n{number}") for number in range(9)]
    for token in forged:
        assert await refusal(verifier, token) == "invalid"
    assert len(verifier._forged) == 5
    with monkeypatch.context() as patch:
        patch.setattr(verifier, "_claims", lambda *_: pytest.fail("it was checked again"))
        assert await refusal(verifier, forged[-1]) == "invalid"
    # One that is only early is good later; with the issuer's keys all is asked anew.
    early = issuer.token(nbf=time.time() + 30)
    assert await refusal(verifier, early) == "invalid"
    later = time.time() + 60
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        patch.setattr("jwt.api_jwt.datetime", _Later)
        assert (await verifier.principal(early)).name == "bob"
    (tmp_path / "jwks").write_bytes(other.jwks)
    assert await verifier.source._file.look()  # type: ignore[attr-defined]
    assert (await verifier.principal(forged[-1])).name == "n8"


class _Later:
    """The clock of pyjwt, a minute ahead."""

    @staticmethod
    def now(tz: Any = None) -> Any:
        import datetime

        return datetime.datetime.now(tz) + datetime.timedelta(seconds=60)


# --- keys behind a URL ---


class Drip(http.server.BaseHTTPRequestHandler):
    """A body that never ends, a byte at a time: no single wait is long."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            return

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def drip() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/jwks"
    server.shutdown()
    server.server_close()


def test_an_answer_that_does_not_end_is_given_up(
    drip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "FETCH_S", 0.2)
    began = time.monotonic()
    with pytest.raises(OSError, match="did not end within"):
        key_set.fetch(drip)
    assert time.monotonic() - began < 2


async def test_calls_that_wait_for_keys_are_bounded(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "MAX_WAITING", 3)
    go_on = threading.Event()

    def fetch(_: str) -> bytes:
        go_on.wait(10)
        return issuer.jwks

    source = KeyUrl("auth_jwt_jwks", "https://issuer.example/jwks", fetch)
    verifier = JwtVerifier(JwtRules(ISSUER, AUDIENCE, 5.0, "tenant", "scope"), source)
    waiting = [asyncio.create_task(verifier.principal(issuer.token())) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(errors.Unavailable, match="being fetched"):
        await verifier.principal(issuer.token())
    go_on.set()
    assert [p.name for p in await asyncio.gather(*waiting)] == ["bob"] * 3
    assert (await verifier.principal(issuer.token())).name == "bob"


def test_a_set_of_thousands_of_keys_is_cut(issuer: Issuer) -> None:
    many = [{**issuer.public, "kid": f"k{number}"} for number in range(3000)]
    assert len(parse_keys(json.dumps({"keys": many}).encode())) == key_set.MAX_KEYS


# --- files ---


@pytest.mark.parametrize("scopes", [[{}], [["speak"]], [None], "speak", {"speak": 1}])
def test_scopes_that_are_none_are_named(scopes: Any) -> None:
    with pytest.raises(ValueError, match="line 3: scopes"):
        principal_of(3, {"name": "a", "scopes": scopes})


async def test_a_file_that_is_being_written_in_place_revokes_nobody(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens")
    held = [tokens.of([Scope.SPEAK]) for _ in range(20)]
    whole = tokens.path.read_bytes()
    file = WatchedFile("auth_tokens_file", tokens.path, parse_tokens)
    for half in (b"", whole[: whole.index(b"\n", len(whole) // 2) + 1]):
        tokens.path.write_bytes(half)
        looking = asyncio.create_task(file.look())
        await asyncio.sleep(watched_file.SETTLE_S / 2)
        tokens.path.write_bytes(whole)
        assert not await looking
        assert all(file.value.get(token) for token in held)
    # And one that stays empty is empty: the last token was revoked.
    tokens.path.write_bytes(b"")
    assert await file.look()
    assert not any(file.value.get(token) for token in held)


async def test_a_file_that_goes_away_between_two_looks_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    tokens = Tokens(folder / "tokens")
    token = tokens.of([Scope.SPEAK])
    file = WatchedFile("auth_tokens_file", tokens.path, parse_tokens)
    folder.rename(tmp_path / "elsewhere")
    assert not await file.look()
    folder.mkdir()
    tokens.path.mkdir()  # a folder of its name
    assert not await file.look()
    tokens.path.rmdir()
    folder.rmdir()
    assert file.value.get(token)
    (tmp_path / "elsewhere").rename(folder)
    tokens.revoke(token)
    assert await file.look()
    assert not file.value.get(token)


@pytest.mark.parametrize("jump_s", [-7200, 7200])
async def test_the_clock_alone_says_what_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    tokens = Tokens(tmp_path / "tokens")
    now = time.time()
    soon = tokens.of([Scope.SPEAK], expires_unix_s=now + 3600)
    over = tokens.of([Scope.SPEAK], expires_unix_s=now - 3600)
    file = WatchedFile("auth_tokens_file", tokens.path, parse_tokens)
    authenticator = Authenticator(Metrics().server, file)

    async def known(token: str) -> bool:
        try:
            await authenticator.admit(SPEAKING, [f"Bearer {token}"], tuple)
        except errors.Unauthenticated:
            return False
        return True

    assert (await known(soon), await known(over)) == (True, False)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + jump_s)
        both = jump_s < 0
        assert (await known(soon), await known(over)) == (both, both)
    # What is decided once is not remembered.
    assert (await known(soon), await known(over)) == (True, False)


async def test_five_thousand_wrong_tokens_leave_nothing_behind(tmp_path: Path) -> None:
    import tracemalloc

    tokens = Tokens(tmp_path / "tokens")
    tokens.of([Scope.SPEAK])
    file = WatchedFile("auth_tokens_file", tokens.path, parse_tokens)
    authenticator = Authenticator(Metrics().server, file)

    async def wrong(first: int, last: int) -> None:
        for number in range(first, last):
            with pytest.raises(errors.Unauthenticated):
                await authenticator.admit(SPEAKING, [f"Bearer csm_{number:043d}"], tuple)

    await wrong(0, 100)
    tracemalloc.start()
    try:
        await wrong(100, 5100)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


async def test_what_needs_no_credential_is_nobodys(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens")
    token = tokens.of([Scope.SPEAK])
    file = WatchedFile("auth_tokens_file", tokens.path, parse_tokens)
    authenticator = Authenticator(Metrics().server, file)
    assert (await authenticator.admit(SPEAKING, [f"Bearer {token}"], tuple)).tenant == "acme"
    assert await authenticator.admit(PUBLIC, [f"Bearer {token}"], tuple) == ANYBODY
    assert current.get() == ANYBODY


@pytest.mark.parametrize(
    "wrong",
    [
        ("Bearer {0}", "Bearer {0}"),
        ("Bearer {0}, Bearer {0}",),
        ("Bearer {0},",),
        ("Bearer\t{0}",),
        ("Bearer{0}",),
        ("{0}",),
        ("Basic {0}",),
        ("Bearer {0}\u00e9",),
        ("Bearer \u00a0{0}",),
        ("Bearer {0} {0}",),
        (b"Bearer {0}",),
        ("Bearer " + " " * 9000 + "{0}",),
        ("Bearer " + "a" * (1 << 20),),
        ("",),
    ],
)
async def test_a_header_that_is_not_one_token_is_none(tmp_path: Path, wrong: Any) -> None:
    tokens = Tokens(tmp_path / "tokens")
    token = tokens.of([Scope.SPEAK])
    file = WatchedFile("auth_tokens_file", tokens.path, parse_tokens)
    authenticator = Authenticator(Metrics().server, file)
    given = [w.format(token) if isinstance(w, str) else w for w in wrong]
    with pytest.raises(errors.Unauthenticated):
        await authenticator.admit(SPEAKING, given, tuple)
    await authenticator.admit(SPEAKING, [f"bEARER  {token}  "], tuple)
