"""PEM files: certificates and keys as they are given, read and looked at before gRPC has them.

gRPC takes whatever it is given and fails at the first connection, without a word about why.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from csm.errors import InvalidArgument, invalid

Pem = bytes | Path
"""The bytes of a PEM file, or where it is."""

MAX_PEM_BYTES = 1 << 20
"""More than all authorities that an operating system trusts."""
_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def read(field: str, given: Pem) -> bytes:
    """The bytes of `given`. Raises `InvalidArgument` about `field` that names the file."""
    if isinstance(given, bytes):
        return given
    try:
        with Path(given).open("rb") as file:
            found = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise wrong(field, given, f"cannot be read: {error.strerror or error}") from None
    if len(found) > MAX_PEM_BYTES:
        raise wrong(field, given, f"has more than {MAX_PEM_BYTES} bytes")
    return found


def wrong(field: str, given: Pem, problem: str) -> InvalidArgument:
    """The error about what was given for `field`; bytes are never shown."""
    told = f"{given} " if isinstance(given, Path) else ""
    return invalid(field, f"{told}{problem}")


def check_certificates(field: str, given: Pem, pem: bytes) -> None:
    """Raises `InvalidArgument` where `pem`, read of `given`, holds no certificate, or a broken
    one."""
    if _BEGIN_CERTIFICATE not in pem:
        if b"PRIVATE KEY-----" in pem:
            raise wrong(field, given, "holds a private key, no certificate")
        raise wrong(field, given, "is no PEM file with a certificate")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=pem.decode("ascii", "ignore")
        )
    except ssl.SSLError:
        raise wrong(field, given, "holds a certificate that is broken or cut off") from None


def check_pair(
    fields: tuple[str, str], given: tuple[Pem, Pem], certificate: bytes, key: bytes
) -> None:
    """Raises `InvalidArgument` where the certificate or its key is none, or one does not fit the
    other. `fields` and `given` are those of the certificate and of the key."""
    check_certificates(fields[0], given[0], certificate)
    if b"PRIVATE KEY-----" not in key:
        raise wrong(fields[1], given[1], "is no PEM file with a private key")
    try:
        load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    except _EncryptedKey:
        raise wrong(
            fields[1], given[1], "is encrypted; a key without a passphrase is needed"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            of = f" in {given[0]}" if isinstance(given[0], Path) else ""
            problem = f"is not the key of the certificate{of} ({fields[0]})"
        elif error.reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
            problem = f"is too weak: {error.reason}"
        else:
            problem = "is broken or cut off"
        raise wrong(fields[1], given[1], problem) from None


def load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """`context.load_cert_chain` for what is in memory. Raises `ssl.SSLError`."""
    with _as_file(certificate) as one, _as_file(key) as other:
        context.load_cert_chain(one, other, password=_refuse_passphrase)


class _EncryptedKey(Exception):
    pass


def _refuse_passphrase() -> NoReturn:
    # Without this OpenSSL asks at the terminal.
    raise _EncryptedKey


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path to read the bytes from; a key lands on no disk where the system is Linux."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="csm-") as directory:
        path = Path(directory) / "pem"
        path.write_bytes(data)
        yield str(path)
