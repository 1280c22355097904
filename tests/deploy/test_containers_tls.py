"""compose.tls.yaml, really run: certificates and a token as its head says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from csm import errors
from csm.client import Client, RetryPolicy
from tests.deploy import compose_file
from tests.deploy.containers import Engine, Stack
from tests.deploy.facts import ROOT, SERVICES

pytestmark = pytest.mark.containers


def csm(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command line of this clone, with these variables of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CSM_")}
    return subprocess.run(
        [sys.executable, "-m", "csm.cli", *arguments],
        cwd=ROOT,
        env={**plain, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `csm certs dev` and `csm tokens new` write, and the token in `token`."""
    folder = tmp_path_factory.mktemp("certs")
    made = csm("certs", "dev", str(folder), "--client", "gateway", "--client", "stranger")
    assert made.returncode == 0, made.stderr
    token = csm("tokens", "new", "me", "--file", str(folder / "tokens"))
    assert token.returncode == 0, token.stderr
    (folder / "token").write_text(token.stdout)
    (folder / "token").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def stack(certificates: Path) -> Iterator[Stack]:
    variables = {
        "CSM_CERTIFICATES": str(certificates),
        # The keys are readable by who made them alone.
        "CSM_USER": f"{os.getuid()}:0",
        "CSM_GATEWAY_STORE_URL": "",
    }
    compose = compose_file.load(variables, compose_file.TLS)
    it = Stack(Engine(), compose=compose, only=tuple(SERVICES))
    try:
        it.start()
        yield it
    finally:
        it.remove()


def address(stack: Stack) -> str:
    """By a name that the certificate has."""
    return "localhost:" + stack.address.rpartition(":")[2]


def test_an_utterance_goes_over_tls_with_a_token(
    stack: Stack, certificates: Path, tmp_path: Path
) -> None:
    out = tmp_path / "hello.wav"
    files = ("--ca", str(certificates / "ca.pem"), "--token-file", str(certificates / "token"))
    done = csm("speak", "Hello there.", "-o", str(out), "--server", address(stack), *files)
    assert done.returncode == 0, done.stderr + stack.logs("gateway")
    assert soundfile.info(out).duration > 0.3
    by_environment = csm(
        *("speak", "Hello.", "-o", str(tmp_path / "again.wav")),
        CSM_SERVER=address(stack),
        CSM_CA=str(certificates / "ca.pem"),
        CSM_TOKEN_FILE=str(certificates / "token"),
    )
    assert by_environment.returncode == 0, by_environment.stderr


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_the_token_nothing_is_spoken(
    stack: Stack, certificates: Path, token: str | None
) -> None:
    ca = (certificates / "ca.pem").read_bytes()
    with (
        Client(address(stack), root_certificates=ca, token=token) as client,
        pytest.raises(errors.Unauthenticated),
    ):
        client.synthesize("Hello.").read_all()


def test_without_tls_nobody_is_answered(stack: Stack) -> None:
    once = RetryPolicy(max_attempts=1)
    with Client(address(stack), retry=once) as client, pytest.raises(errors.Unavailable):
        client.synthesize("Hello.", timeout_s=5).read_all()


@pytest.mark.parametrize("name", ["tokenizer", "generator"])
def test_a_backend_takes_only_who_has_a_certificate(stack: Stack, name: str) -> None:
    """Asked from inside the network, where alone it can be reached."""

    def asked(*files: str) -> bool:
        command = ("python", "-m", "csm.serving.probe", f"{name}:{SERVICES[name].port}", *files)
        return stack.engine.succeeds("exec", stack.container("gateway"), *command)

    ca = ("--ca", "/certs/ca.pem")
    pair = ("--cert", "/certs/gateway.pem", "--key", "/certs/gateway-key.pem")
    assert not asked()
    assert not asked(*ca)
    assert asked(*ca, *pair)


def test_no_service_warns_of_who_may_reach_it(stack: Stack) -> None:
    for name in SERVICES:
        assert "beyond this machine" not in stack.logs(name)
