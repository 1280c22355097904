"""An authority and its pairs in a folder, as `csm certs dev` makes them, for tests of TLS."""

import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from csm.cli.certificates import Pair, make_authority, make_client, make_server

HOSTS = ("localhost", "127.0.0.1")
NEEDS_SSLSCAN = pytest.mark.skipif(not shutil.which("sslscan"), reason="sslscan is not installed")


@dataclass
class Certificates:
    """Files of a server and of a client, of one authority."""

    folder: Path
    authority: Pair = field(default_factory=lambda: make_authority("authority"))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority.write(self.ca, self.folder / "ca-key.pem")
        self.renew("first")
        make_client(self.authority, "client", 1).write(self.client, self.client_key)

    def renew(self, name: str, days: float = 1.0) -> None:
        """Another pair for the server, whose subject is `name`."""
        make_server(self.authority, name, HOSTS, days).write(self.certificate, self.key)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server-key.pem"

    @property
    def client(self) -> Path:
        return self.folder / "client.pem"

    @property
    def client_key(self) -> Path:
        return self.folder / "client-key.pem"

    def settings(self, *, mutual: bool = False) -> dict[str, Path]:
        """Of a service with TLS."""
        more = {"tls_client_ca": self.ca} if mutual else {}
        return {"tls_certificate": self.certificate, "tls_key": self.key, **more}

    def context(self, *, shows: bool = True) -> ssl.SSLContext:
        """Of a client that trusts the authority, and shows its certificate if it `shows`."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if shows:
            context.load_cert_chain(self.client, self.client_key)
        return context

    def seen(self, port: int, alpn: str = "h2") -> str:
        """The subject of the server's certificate at a port of this machine, whom a client trusts.

        Raises `OSError` where the handshake fails, the server's refusal after it included.
        """
        context = self.context()
        context.set_alpn_protocols([alpn])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            assert wrapped.selected_alpn_protocol() == alpn
            subject = wrapped.getpeercert()["subject"]  # type: ignore[index]
            return str(dict(one[0] for one in subject)["commonName"])  # type: ignore[misc,index]


def scan(port: int, certificates: Certificates) -> set[str]:
    """The versions of SSL and TLS that a scanner finds enabled at a port of this machine.

    It looks for weak ciphers, compression, renegotiation and Heartbleed too, and fails on them.
    """
    said = subprocess.run(
        ["sslscan", "--no-colour", f"--certs={certificates.client}",
         f"--pk={certificates.client_key}", f"127.0.0.1:{port}"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    versions = {
        line.split()[0]
        for line in said.splitlines()
        if line.startswith(("SSLv", "TLSv")) and line.split()[-1] == "enabled"
    }
    ciphers = [
        line.split() for line in said.splitlines() if line.startswith(("Accepted", "Preferred"))
    ]
    assert ciphers
    for words in ciphers:
        assert int(words[2]) >= 128
        assert any(one in words[4] for one in ("GCM", "CHACHA20")), words
    assert "Session renegotiation not supported" in said or "Secure session" in said
    assert "not vulnerable to heartbleed" in said
    return versions
