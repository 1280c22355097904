"""Bearer tokens of a file: looked up, expired, revoked, and the file read again."""

import asyncio
import hashlib
import json
import logging
import time
from pathlib import Path

import pytest

from csm import errors
from csm.serving.auth.authenticator import Authenticator, make_authenticator
from csm.serving.auth.identity import ANYBODY, Principal, Scope, current
from csm.serving.auth.rules import ADMIN, ANY_SCOPE, PUBLIC, one_of
from csm.serving.auth.token_file import TOKEN, new_token, parse_tokens, without_name
from csm.serving.auth.watched_file import WatchedFile
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from tests.csm.serving.auth.cases import Tokens

SPEAKING = one_of(Scope.SPEAK)


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens")


class Asked:
    """An authenticator over a file, and its metrics."""

    def __init__(self, path: Path) -> None:
        self.metrics = Metrics()
        self.file = WatchedFile("auth_tokens_file", path, parse_tokens)
        self.authenticator = Authenticator(self.metrics.server, self.file)

    async def admit(self, *authorization: object, rule: object = SPEAKING) -> Principal:
        return await self.authenticator.admit(rule, authorization, tuple)  # type: ignore[arg-type]

    def refusals(self, reason: str) -> float | None:
        labels = {"reason": reason}
        return self.metrics.registry.get_sample_value("csm_auth_refusals_total", labels)


async def test_a_token_of_the_file_is_its_principal(tokens: Tokens) -> None:
    token = tokens.of([Scope.SPEAK, Scope.CONVERSE], name="alice", tenant="acme")
    asked = Asked(tokens.path)
    principal = await asked.admit(f"Bearer {token}")
    assert principal == Principal("alice", "acme", frozenset({Scope.SPEAK, Scope.CONVERSE}))
    assert current.get() == principal
    # The scheme is of any case (RFC 9110).
    assert await asked.admit(f"bearer  {token}") == principal


async def test_what_is_no_valid_token_is_refused_and_counted(tokens: Tokens) -> None:
    token = tokens.of([Scope.SPEAK])
    old = tokens.of([Scope.SPEAK], expires_unix_s=time.time() - 1)
    asked = Asked(tokens.path)
    cases = {
        (): "missing",
        ("Bearer " + new_token(),): "unknown",
        ("Bearer " + token[:-1],): "unknown",
        ("Bearer",): "malformed",
        ("Bearer ",): "unknown",
        ("Basic dXNlcjpwYXNz",): "malformed",
        (token,): "malformed",
        (f"Bearer {token}", f"Bearer {token}"): "malformed",
        (f"Bearer {token}\u00e9",): "malformed",
        (b"\xff",): "malformed",
        ("Bearer " + "a" * 9000,): "malformed",
        (f"Bearer {old}",): "expired",
    }
    for given, reason in cases.items():
        before = asked.refusals(reason)
        with pytest.raises(errors.Unauthenticated) as caught:
            await asked.admit(*given)
        assert caught.value.why == reason, given
        assert asked.refusals(reason) == (before or 0) + 1
        assert caught.value.summary() == f"reason UNAUTHENTICATED ({reason})"
        # Never what was given, nor which part of it is wrong.
        assert token not in caught.value.message
        assert "expired" not in caught.value.message
    assert current.get() is ANYBODY


async def test_scopes_decide(tokens: Tokens) -> None:
    speaking, operator = tokens.of([Scope.SPEAK]), tokens.of([Scope.ADMIN])
    nothing = tokens.of([])
    asked = Asked(tokens.path)
    await asked.admit(f"Bearer {speaking}", rule=ANY_SCOPE)
    await asked.admit(f"Bearer {operator}", rule=one_of(Scope.VOICES_WRITE))
    with pytest.raises(errors.PermissionDenied, match="the scope admin") as caught:
        await asked.admit(f"Bearer {speaking}", rule=ADMIN)
    assert caught.value.scopes == ("admin",)
    with pytest.raises(errors.PermissionDenied, match="one of"):
        await asked.admit(f"Bearer {nothing}", rule=ANY_SCOPE)
    assert asked.refusals("scope") == 2
    assert await asked.admit(rule=PUBLIC) is ANYBODY


async def test_the_file_is_read_again_and_a_broken_one_changes_nothing(
    tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    token, other = tokens.of([Scope.SPEAK]), tokens.of([Scope.SPEAK])
    asked = Asked(tokens.path)
    tokens.path.write_text('{"name": "x", "password": "secret"}\n')
    with caplog.at_level(logging.INFO, logger="csm"):
        assert not await asked.file.look()
        assert not await asked.file.look()
    (told,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "line 1: password: not known" in told.getMessage()
    assert "secret" not in told.getMessage()
    await asked.admit(f"Bearer {token}")
    tokens.path.unlink()
    assert not await asked.file.look()
    await asked.admit(f"Bearer {token}")
    tokens.revoke(token)
    assert await asked.file.look()
    await asked.admit(f"Bearer {other}")
    with pytest.raises(errors.Unauthenticated):
        await asked.admit(f"Bearer {token}")


async def test_a_link_that_leads_elsewhere_is_followed(tmp_path: Path) -> None:
    # As Kubernetes changes a Secret: the name is a link into ..data, which is a link that is moved.
    (tmp_path / "..2026_1").mkdir()
    (tmp_path / "..2026_2").mkdir()
    old = Tokens(tmp_path / "..2026_1" / "tokens").of([Scope.SPEAK])
    new = Tokens(tmp_path / "..2026_2" / "tokens").of([Scope.SPEAK])
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "tokens").symlink_to("..data/tokens")
    asked = Asked(tmp_path / "tokens")
    following = asyncio.create_task(asked.authenticator.follow())
    await asked.admit(f"Bearer {old}")
    (tmp_path / "..data_tmp").symlink_to("..2026_2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    for _ in range(100):
        await asyncio.sleep(0.05)
        if asked.file.value.get(new):
            break
    await asked.admit(f"Bearer {new}")
    following.cancel()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[1]", "line 1 is no JSON object"),
        ("{", "line 1 is no JSON object"),
        ('{"name": "a b", "scopes": [], "sha256": ""}', "line 1: name: "),
        ('{"name": "a", "scopes": ["sing"], "sha256": ""}', "line 1: scopes: a list of admin"),
        ('{"name": "a", "scopes": "speak", "sha256": ""}', "line 1: scopes: "),
        ('{"name": "a", "tenant": "", "scopes": [], "sha256": ""}', "line 1: tenant: "),
        ('{"name": "a", "scopes": [], "sha256": "csm_abc"}', "line 1: sha256: 64 hexadecimal"),
        (
            json.dumps({"name": "a", "scopes": [], "sha256": "0" * 64, "expires": "2027-01-01"}),
            "line 1: expires: a time with its zone",
        ),
        (
            "\n".join(json.dumps({"name": "a", "scopes": [], "sha256": d * 64}) for d in "01"),
            "line 2: name: line 1 has the same",
        ),
        (
            "\n".join(json.dumps({"name": n, "scopes": [], "sha256": "0" * 64}) for n in "ab"),
            "line 2: sha256: line 1 has the same",
        ),
    ],
)
def test_a_wrong_line_is_named_with_its_field(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(line)
    with pytest.raises(ValueError, match="auth_tokens_file") as caught:
        WatchedFile("auth_tokens_file", tmp_path / "tokens", parse_tokens)
    assert told in str(caught.value)
    assert "csm_abc" not in str(caught.value)


def test_a_tenant_that_is_not_named_is_the_name() -> None:
    (entry,) = parse_tokens(
        b'\n# a comment\n{"name": "a", "scopes": ["speak"], "sha256": "' + b"0" * 64 + b'"}\n'
    ).entries
    assert entry.principal.tenant == "a"


def test_a_new_token_is_256_random_bits_with_a_prefix_to_be_found_by() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(TOKEN.fullmatch(token) for token in tokens)


def test_the_file_never_has_the_token_itself(tokens: Tokens) -> None:
    token = tokens.of([Scope.SPEAK])
    text = tokens.path.read_text()
    assert token not in text
    assert token[4:] not in text
    assert hashlib.sha256(token.encode()).hexdigest() in text


def test_a_line_goes_and_all_else_stays(tokens: Tokens) -> None:
    tokens.of([Scope.SPEAK], name="alice")
    tokens.of([Scope.SPEAK], name="bob")
    left = without_name(tokens.path.read_bytes(), "alice")
    assert left.decode() == f"# of a test\n{json.dumps(list(tokens.lines.values())[1])}\n"
    with pytest.raises(ValueError, match="no token of the name"):
        without_name(left, "alice")


def test_settings_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    def made(**settings: object) -> Authenticator | None:
        return make_authenticator(ServiceSettings(**settings), Metrics().server)

    assert made() is None
    with pytest.raises(ValueError, match=r"auth_tokens_file: .*none: No such file"):
        made(auth_tokens_file=tmp_path / "none")
    with pytest.raises(ValueError, match="auth_jwt_audience, auth_jwt_jwks: needed where"):
        made(auth_jwt_issuer="https://a.example")
    with pytest.raises(ValueError, match="auth_jwt_issuer: needed where"):
        made(auth_jwt_audience="a", auth_jwt_jwks="b")
    for url in ("http://issuer.example/keys", "ftp://a/b"):
        with pytest.raises(ValueError, match="an https URL is due"):
            made(auth_jwt_issuer="a", auth_jwt_audience="a", auth_jwt_jwks=url)
