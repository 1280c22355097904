"""`csm tokens`: made once, never kept, listed, revoked."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

from csm.serving.auth.identity import Principal, Scope
from csm.serving.auth.token_file import TOKEN, parse_tokens
from tests.csm.cli.conftest import Csm


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CSM_GATEWAY_AUTH_TOKENS_FILE", raising=False)
    return tmp_path / "tokens"


def test_a_new_token_is_printed_once_and_its_hash_kept(csm: Csm, file: Path) -> None:
    made = csm("tokens", "new", "alice", "--file", file)
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert TOKEN.fullmatch(token)
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = parse_tokens(file.read_bytes()).get(token)
    assert entry is not None
    speaking = frozenset({Scope.SPEAK, Scope.CONVERSE})
    assert entry.principal == Principal("alice", "alice", speaking)
    assert entry.expires_unix_s is None
    assert token not in csm("tokens", "list", "-f", file).output


def test_a_token_may_go_to_a_file_that_is_its_owners_alone_whatever_the_umask(
    csm: Csm, file: Path
) -> None:
    output = file.with_name("alice.token")
    umask = os.umask(0)
    try:
        made = csm("tokens", "new", "alice", "--file", file, "--output", output)
    finally:
        os.umask(umask)
    assert made.exit_code == 0
    assert made.stdout == ""
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    token = output.read_text().strip()
    entry = parse_tokens(file.read_bytes()).get(token)
    assert entry is not None
    assert entry.principal.name == "alice"
    assert token not in made.stderr


def test_a_file_that_is_there_is_never_replaced_by_a_token_nor_is_a_link_followed(
    csm: Csm, file: Path
) -> None:
    there, link = file.with_name("there"), file.with_name("link")
    there.write_text("ours\n")
    link.symlink_to(file.with_name("nowhere"))
    for output in (there, link):
        made = csm("tokens", "new", "alice", "--file", file, "-o", output)
        assert made.exit_code == 1
        assert f"--output {output}: is there already" in made.stderr
    assert there.read_text() == "ours\n"
    assert sorted(one.name for one in file.parent.iterdir()) == ["link", "there"]
    missing = csm("tokens", "new", "alice", "--file", file, "-o", file.parent / "no" / "token")
    assert missing.exit_code == 1
    assert not file.exists()


def test_where_the_hash_cannot_be_kept_no_token_is_left(csm: Csm, file: Path) -> None:
    output = file.with_name("alice.token")
    nowhere = file.parent / "no" / "tokens"
    assert csm("tokens", "new", "alice", "--file", nowhere, "-o", output).exit_code == 1
    assert not output.exists()


def test_tenant_scopes_and_days_are_as_given(csm: Csm, file: Path) -> None:
    options = ("--tenant", "acme", "--scope", "speak", "--scope", "voices:write", "--expires", "2")
    token = csm("tokens", "new", "bob", *options, "-f", file).stdout.strip()
    entry = parse_tokens(file.read_bytes()).get(token)
    assert entry is not None
    assert entry.principal == Principal("bob", "acme", frozenset({Scope.SPEAK, Scope.VOICES_WRITE}))
    assert entry.expires_unix_s == pytest.approx(time.time() + 2 * 86_400, abs=60)
    csm("tokens", "new", "old", "--expires", "0", "-f", file)
    listed = csm("tokens", "list", "-f", file).stdout.splitlines()
    assert listed[0].split(", expires ")[0] == f"{'bob':<16} tenant acme, speak voices:write"
    assert ", expired " in listed[1]


def test_what_is_there_keeps_its_comments_its_mode_and_its_order(csm: Csm, file: Path) -> None:
    file.write_text("# ours\n")
    file.chmod(0o640)
    for name in ("a", "b", "c"):
        assert csm("tokens", "new", name, "-f", file).exit_code == 0
    assert csm("tokens", "revoke", "b", "-f", file).exit_code == 0
    lines = file.read_text().splitlines()
    assert lines[0] == "# ours"
    assert [json.loads(line)["name"] for line in lines[1:]] == ["a", "c"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["tokens"]


def test_a_link_stays_one(csm: Csm, file: Path) -> None:
    real = file.with_name("real")
    real.write_text("")
    file.symlink_to(real)
    assert csm("tokens", "new", "a", "-f", file).exit_code == 0
    assert file.is_symlink()
    assert real.read_text()


def test_the_environment_may_name_the_file(csm: Csm, file: Path) -> None:
    environment = {"CSM_GATEWAY_AUTH_TOKENS_FILE": str(file)}
    assert csm("tokens", "new", "a", env=environment).exit_code == 0
    assert "tenant a" in csm("tokens", "list", env=environment).stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("new", "a b"), "NAME: 'a b' is not allowed; 1..128"),
        (("new", "b", "--tenant", "x y"), "--tenant: 'x y' is not allowed"),
        (("new", "b", "--scope", "sing"), "'sing' is not known; allowed are speak, converse"),
        (("new", "a"), "has a token of the name a; csm tokens revoke a"),
        (("revoke", "b"), "there is no token of the name 'b'"),
    ],
)
def test_a_mistake_is_named_and_changes_nothing(
    csm: Csm, file: Path, arguments: tuple[str, ...], told: str
) -> None:
    csm("tokens", "new", "a", "-f", file)
    before = file.read_bytes()
    result = csm("tokens", *arguments, "-f", file)
    assert result.exit_code == 1
    assert told in result.stderr
    assert result.stdout == ""
    assert file.read_bytes() == before


@pytest.mark.parametrize("command", [("new", "a"), ("list",), ("revoke", "a")])
def test_a_file_of_something_else_is_left_alone(
    csm: Csm, file: Path, command: tuple[str, ...]
) -> None:
    file.write_text("password: hunter2\n")
    result = csm("tokens", *command, "-f", file)
    assert result.exit_code == 1
    assert "line 1 is no JSON object" in result.stderr
    assert "hunter2" not in result.output
    assert file.read_text() == "password: hunter2\n"
