"""How a command chooses its server: options, the environment, and what runs here."""

import asyncio
from pathlib import Path

import pytest

from csm.cli.connecting import HERE, PUBLIC, ServerChoice
from csm.cli.reporting import CommandError
from csm.errors import InvalidArgument
from tests.certificates import Certificates
from tests.csm.cli.conftest import Csm
from tests.csm.test_client_tls import serve

FILES = {"ca": None, "cert": None, "key": None, "token_file": None}
COMMANDS = [
    ("speak",), ("chat",), ("text",), ("encode",), ("decode",), ("bench", "serve"),
    *(("voices", name) for name in ("list", "show", "add", "test", "remove")),
]  # fmt: skip


def chosen(
    server: str | None = None,
    variable: str | None = "CSM_SERVER",
    default: str | None = None,
    **files: Path | None,
) -> ServerChoice:
    return ServerChoice.of(variable, default, server, **{**FILES, **files})


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER", "CA", "CERT", "KEY", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"CSM_{name}", raising=False)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_that_takes_a_server_takes_what_tls_needs(
    csm: Csm, command: tuple[str, ...]
) -> None:
    told = csm(*command, "--help").output
    for option in ("--server", "--ca", "--cert", "--key", "--token-file"):
        assert f"{option} " in told


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() == HERE
    monkeypatch.setenv("CSM_SERVER", "env:1")
    monkeypatch.setenv("CSM_CA", "env.pem")
    assert chosen() == ServerChoice("env:1", Path("env.pem"))
    told = chosen("said:2", ca=Path("said.pem"))
    assert told == ServerChoice("said:2", Path("said.pem"), said=True)
    # Another kind of server, which CSM_SERVER does not name.
    assert chosen(variable=None) == HERE
    assert chosen(default="default:3").target == "env:1"
    monkeypatch.setenv("CSM_SERVER", "")
    assert chosen() == HERE
    assert chosen(default="default:3") == ServerChoice("default:3", Path("env.pem"))


def test_the_environment_gives_way_to_a_model_that_is_to_run_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CSM_SERVER", "env:1")
    assert chosen().or_here(model=None).target == "env:1"
    assert chosen().or_here(model=Path("m")) == HERE
    with pytest.raises(CommandError, match="--server runs elsewhere: --model and --dtype are its"):
        chosen("said:1").or_here(model=Path("m"), dtype=None)


def test_a_wrong_server_is_named_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSM_SERVER", "https://speech.example")
    with pytest.raises(InvalidArgument, match=r"CSM_SERVER: .* is a URL"):
        chosen()
    with pytest.raises(InvalidArgument, match="--server: '' is empty"):
        chosen("")


def test_half_of_what_tls_needs_is_named() -> None:
    ca, cert, key = Path("ca.pem"), Path("cert.pem"), Path("key.pem")
    with pytest.raises(CommandError, match="--ca: is for a server"):
        chosen(ca=ca)
    with pytest.raises(CommandError, match="--key is needed with --cert"):
        chosen("h:1", ca=ca, cert=cert).arguments()
    with pytest.raises(CommandError, match="--ca is needed with --cert"):
        chosen("h:1", cert=cert, key=key).arguments()
    assert chosen("h:1", ca=ca, cert=cert, key=key).arguments() == {
        "root_certificates": ca,
        "client_certificate": (cert, key),
    }
    assert chosen("h:1", ca=Path(PUBLIC)).arguments() == {"root_certificates": b""}
    assert chosen("h:1").arguments() == {}


def test_the_token_is_that_of_the_file_else_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def token(choice: ServerChoice) -> object:
        return choice.arguments().get("token")

    assert token(chosen("h:1")) is None
    monkeypatch.setenv("CSM_TOKEN", "csm_environment")
    assert token(chosen("h:1")) == "csm_environment"
    file = tmp_path / "token"
    file.write_text("csm_file\n")
    monkeypatch.setenv("CSM_TOKEN_FILE", str(file))
    assert token(chosen("h:1")) == "csm_file"
    other = tmp_path / "other"
    other.write_text(" \n")
    with pytest.raises(CommandError, match="is empty; a token is due"):
        chosen("h:1", token_file=other).arguments()
    with pytest.raises(CommandError, match="--token-file: is for a server"):
        chosen(token_file=file)


def test_a_token_does_not_travel_in_plain_text_by_chance(
    csm: Csm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_TOKEN", "csm_secret")
    refused = csm("voices", "list", "--server", "speech.invalid:50050")
    assert refused.exit_code == 1
    assert "in plain text" in refused.output
    assert "csm_secret" not in refused.output
    allowed = csm("voices", "list", "--server", "speech.invalid:50050", "--allow-plaintext-token")
    assert "in plain text" not in allowed.output
    assert "cannot be reached" in allowed.output


async def test_a_command_speaks_over_mutual_tls_by_options_and_by_the_environment(
    csm: Csm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Certificates(tmp_path / "certificates")
    server, mutual = await serve(files, True)
    output = tmp_path / "x.wav"
    given = {"ca": files.ca, "cert": files.client, "key": files.client_key}
    options = [word for name, path in given.items() for word in (f"--{name}", path)]
    spoken = ("speak", "Hi.", "-o", output)
    result = await asyncio.to_thread(csm, *spoken, "--server", mutual, *options)
    assert result.exit_code == 0, result.output
    assert output.stat().st_size > 44
    output.unlink()
    monkeypatch.setenv("CSM_SERVER", mutual)
    result = await asyncio.to_thread(csm, *spoken)
    assert result.exit_code == 1
    assert "--ca, CSM_CA" in result.output
    for name, path in given.items():
        monkeypatch.setenv(f"CSM_{name.upper()}", str(path))
    result = await asyncio.to_thread(csm, *spoken)
    assert result.exit_code == 0, result.output
    assert output.stat().st_size > 44
    await server.stop(0)
