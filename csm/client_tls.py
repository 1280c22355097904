"""TLS as a client has it: whom it trusts, and the certificate that it shows of itself."""

from dataclasses import dataclass

import grpc

from csm import pem
from csm.errors import invalid
from csm.pem import Pem


@dataclass(frozen=True)
class TlsNames:
    """What a user calls the three things, for errors."""

    ca: str = "root_certificates"
    certificate: str = "client_certificate"
    key: str = "client_certificate"


@dataclass(frozen=True)
class ClientTls:
    """The contents of the files of one client, checked. Two are equal where the contents are."""

    ca: bytes
    """Authorities to trust; empty: those that gRPC brings along."""
    certificate: bytes = b""
    """Shown where the server asks for one (mutual TLS), the chain behind it; empty: none."""
    key: bytes = b""

    @classmethod
    def of(
        cls,
        ca: Pem | None,
        certificate: Pem | None = None,
        key: Pem | None = None,
        names: TlsNames | None = None,
    ) -> "ClientTls | None":
        """From what is given; None, for plaintext, where nothing is.

        Raises `InvalidArgument` that says by `names` what is missing, cannot be read, is no PEM, or
        does not fit.
        """
        names = names or TlsNames()
        if (certificate is None) != (key is None):
            pair = (names.certificate, names.key)
            have, lack = pair if key is None else pair[::-1]
            raise invalid(lack, f"is needed with {have}: a certificate and its key, or neither")
        if ca is None:
            if certificate is not None:
                raise invalid(
                    names.ca, f"is needed with {names.certificate}: whom to trust turns TLS on"
                )
            return None
        authorities = pem.read(names.ca, ca)
        # Only bytes may be empty: a file that is, is one that somebody has yet to write.
        if authorities or not isinstance(ca, bytes):
            pem.check_certificates(names.ca, ca, authorities)
        if certificate is None or key is None:
            return cls(authorities)
        shown, secret = pem.read(names.certificate, certificate), pem.read(names.key, key)
        pem.check_pair((names.certificate, names.key), (certificate, key), shown, secret)
        return cls(authorities, shown, secret)

    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel of gRPC, which keeps them: other files need another channel."""
        return grpc.ssl_channel_credentials(
            self.ca or None, self.key or None, self.certificate or None
        )


def hint(details: str) -> str:
    """What to do about a connection that TLS, or its absence, kept from coming about.

    `details` are gRPC's of a status UNAVAILABLE; empty where they speak of nothing of the kind.
    """
    if "WRONG_VERSION_NUMBER" in details:
        return (
            "the server speaks plaintext, not TLS: leave root_certificates out (csm: --ca, CSM_CA)"
        )
    if "Hostname Verification Check failed" in details or "is not in peer certificate" in details:
        return (
            "the server's certificate is for other names: connect by one of them, or have one made "
            "with this name"
        )
    if "certificate has expired" in details:
        return "the server's certificate has expired"
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return (
            "the server's certificate is of an authority that is not trusted: pass the one that "
            "issued it as root_certificates (csm: --ca, CSM_CA)"
        )
    if "connect" in details and ("Socket closed" in details or "Connection reset" in details):
        return (
            "it closed the connection at once, as a server with TLS does where a client has no "
            "root_certificates (csm: --ca, CSM_CA), and one with mutual TLS where it shows no "
            "client_certificate (csm: --cert and --key) that the server trusts"
        )
    if "%5B::1%5D" in details and "Connection refused" in details:
        return (
            "this is about ::1, the last address of localhost that was tried; 127.0.0.1 in its "
            "place shows what the other said"
        )
    return ""
