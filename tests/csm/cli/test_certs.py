"""`csm certs dev`: what it makes is what the services and their clients take."""

import ssl
import stat
from pathlib import Path

import pytest

from csm.client_tls import ClientTls
from csm.serving.settings import ServiceSettings
from csm.serving.tls.server import ServerTls
from tests.csm.cli.conftest import Csm


def test_what_it_makes_fits_together_and_the_keys_are_their_owners_alone(
    csm: Csm, tmp_path: Path
) -> None:
    at = tmp_path / "new" / "certs"
    result = csm("certs", "dev", at, "--host", "speech.example", "--client", "alice")
    assert result.exit_code == 0, result.output
    assert {one.name for one in at.iterdir()} == {
        "ca.pem", "ca-key.pem", "server.pem", "server-key.pem", "alice.pem", "alice-key.pem",
    }  # fmt: skip
    for path in at.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0 if path.stem.endswith("-key") else mode & 0o111 == 0
    settings = ServiceSettings(
        tls_certificate=at / "server.pem",
        tls_key=at / "server-key.pem",
        tls_client_ca=at / "ca.pem",
    )
    assert ServerTls.of(settings) is not None
    assert ClientTls.of(at / "ca.pem", at / "alice.pem", at / "alice-key.pem") is not None
    for line in ("CSM_GATEWAY_TLS_CERTIFICATE=", "CSM_CA=", "alice.pem"):
        assert line in result.output
    assert "PRIVATE KEY" not in result.output


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "::1", "gateway", "tokenizer", "generator", "speech.example"]
)
def test_the_server_is_known_by_its_names(csm: Csm, tmp_path: Path, name: str) -> None:
    assert csm("certs", "dev", tmp_path, "--host", "speech.example").exit_code == 0
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_verify_locations(tmp_path / "ca.pem")
    server.load_cert_chain(tmp_path / "server.pem", tmp_path / "server-key.pem")
    # A handshake in memory; one for another name fails.
    for asked, fits in ((name, True), ("other.example", False)):
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = client.wrap_bio(back, there, server_hostname=asked)
        theirs = server.wrap_bio(there, back, server_side=True)
        assert _shaken(ours, theirs) is fits


def _shaken(ours: ssl.SSLObject, theirs: ssl.SSLObject) -> bool:
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return ours.getpeercert() is not None


def test_nothing_is_overwritten_without_force_and_the_authority_never(
    csm: Csm, tmp_path: Path
) -> None:
    assert csm("certs", "dev", tmp_path).exit_code == 0
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    result = csm("certs", "dev", tmp_path)
    assert result.exit_code == 1
    assert "server.pem" in result.output
    assert "--force" in result.output
    assert before == {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert csm("certs", "dev", tmp_path, "--force").exit_code == 0
    after = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == set(before) - {"ca.pem", "ca-key.pem"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--client", "server"), "--client: 'server'"),
        (("--client", "../x"), "--client: '../x'"),
        (("--host", "a b"), "--host: 'a b'"),
    ],
)
def test_names_that_cannot_be_one_are_refused(
    csm: Csm, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    result = csm("certs", "dev", tmp_path, *arguments)
    assert result.exit_code == 1
    assert told in result.output
    assert not list(tmp_path.iterdir())
