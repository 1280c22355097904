"""Certificates for development: an authority of one's own, and pairs that it signs."""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA_DAYS = 3650
_BEFORE = datetime.timedelta(minutes=5)
"""Clocks differ."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: "x509.Certificate"
    key: "EllipticCurvePrivateKey"

    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self) -> bytes:
        """The key as PEM, without a passphrase."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, certificate: Path, key: Path) -> None:
        """Both files, each whole at once; the key readable by its owner alone."""
        # First the key: who takes the two between the writes finds a pair that does not fit, and
        # looks again.
        _write(key, self.key_pem(), 0o600)
        _write(certificate, self.certificate_pem(), 0o644)

    @classmethod
    def read(cls, certificate: Path, key: Path) -> "Pair":
        """From files that `write` wrote. Raises `ValueError`."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        loaded = load_pem_private_key(key.read_bytes(), None)
        if not isinstance(loaded, EllipticCurvePrivateKey):
            raise ValueError(f"{key}: is no key on an elliptic curve")
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), loaded)


def make_authority(name: str) -> Pair:
    """A certificate that signs others, for ten years."""
    return _make(name, CA_DAYS, None, ())


def make_server(authority: Pair, name: str, hosts: Sequence[str], days: float) -> Pair:
    """A pair for a server that is reached by these names and addresses."""
    return _make(name, days, authority, hosts)


def make_client(authority: Pair, name: str, days: float) -> Pair:
    """A pair for a client, whose subject is `name`."""
    return _make(name, days, authority, None)


def _make(name: str, days: float, authority: Pair | None, hosts: Sequence[str] | None) -> Pair:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if authority is None else authority.certificate.subject
    signer = key if authority is None else authority.key
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
        .add_extension(x509.BasicConstraints(authority is None, None), True)
        .add_extension(_key_usage(signs=authority is None), True)
    )
    if authority is not None:
        use = ExtendedKeyUsageOID.CLIENT_AUTH if hosts is None else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), False)
        if hosts is not None:
            names = [_alternative(host) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return Pair(builder.sign(signer, hashes.SHA256()), key)


def _alternative(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(signs: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(number, "wb") as file:
        file.write(data)
    os.replace(part, path)
