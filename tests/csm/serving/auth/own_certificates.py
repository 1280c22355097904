"""A certificate authority of a test's own, and certificates of it."""

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates; `pem` is its own."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._signed(self._name, self._key.public_key(), [], ca=True)

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def pair(self, folder: Path, common_name: str, dns: str = "", uri: str = "") -> Any:
        """Paths of a certificate and its key, PEM."""
        alternative: list[Any] = [x509.DNSName(dns)] if dns else []
        if dns:
            alternative.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        if uri:
            alternative.append(x509.UniformResourceIdentifier(uri))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        return self.issue(name, alternative, folder / common_name)

    def issue(self, name: x509.Name, alternative: list[Any], stem: Path) -> Any:
        """Paths of a certificate of any names and its key, PEM: `stem` with their endings."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(name, key.public_key(), alternative, ca=False)
        paths = stem.with_name(f"{stem.name}.pem"), stem.with_name(f"{stem.name}.key")
        paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    def _signed(self, name: Any, public: Any, alternative: list[Any], *, ca: bool) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), False)
        return builder.sign(self._key, hashes.SHA256())
