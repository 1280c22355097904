"""What a service's TLS files hold: a certificate, its key, whom it trusts; read and checked."""

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

from csm import pem
from csm.errors import invalid

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, as gRPC has them; TLS 1.3 has its own."""


@dataclass(frozen=True)
class TlsPaths:
    """Where the files of a service are."""

    certificate: Path
    """Its chain behind it."""
    key: Path
    client_ca: Path | None = None
    """Whom clients' certificates are to be of; None: clients show none."""


@dataclass(frozen=True)
class TlsFiles:
    """Their contents, all of one moment. Two are equal where the contents are."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None

    @classmethod
    def read(cls, paths: TlsPaths) -> "TlsFiles":
        """Raises `InvalidArgument` that names the setting and the file which cannot be read."""
        authorities = paths.client_ca
        return cls(
            pem.read("tls_certificate", paths.certificate),
            pem.read("tls_key", paths.key),
            None if authorities is None else pem.read("tls_client_ca", authorities),
        )

    def check(self, paths: TlsPaths) -> float:
        """When the certificate expires, in seconds of Unix time.

        Raises `InvalidArgument` that names the setting, the file and what is wrong: no PEM, a key
        of another certificate, a certificate that is valid no longer, or not yet.
        """
        fields = ("tls_certificate", "tls_key")
        pem.check_pair(fields, (paths.certificate, paths.key), self.certificate, self.key)
        if self.client_ca is not None and paths.client_ca is not None:
            pem.check_certificates("tls_client_ca", paths.client_ca, self.client_ca)
        return check_validity("tls_certificate", paths.certificate, self.certificate)

    def context(self) -> ssl.SSLContext:
        """For Python's own servers, of HTTP/1.1: TLS 1.2 or newer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        pem.load_chain(context, self.certificate, self.key)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.client_ca.decode("ascii", "ignore"))
        return context


def check_validity(field: str, given: Path, certificate: bytes) -> float:
    """When the first certificate of a chain expires, in seconds of Unix time.

    Raises `InvalidArgument` about `field` where one is valid no longer, or not yet.
    """
    try:
        from cryptography import x509
    except ImportError:
        raise invalid(
            field, "needs the package cryptography: install csm-server[identity]"
        ) from None

    now = datetime.datetime.now(datetime.UTC)
    first = None
    try:
        dates = [
            (one.not_valid_before_utc, one.not_valid_after_utc)
            for one in x509.load_pem_x509_certificates(certificate)
        ]
    # OpenSSL has taken it, which looks at less.
    except ValueError:
        raise pem.wrong(field, given, "has a certificate that cannot be read") from None
    for begins, ends in dates:
        if ends <= now:
            raise pem.wrong(field, given, f"has expired: it was valid until {_date(ends)}")
        if begins > now:
            raise pem.wrong(field, given, f"is not valid yet: from {_date(begins)}")
        first = ends if first is None else min(first, ends)
    if first is None:
        raise pem.wrong(field, given, "is no PEM file with a certificate")
    return first.timestamp()


def _date(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
