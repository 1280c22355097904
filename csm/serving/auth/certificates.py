"""Client certificates: which principal their subject stands for.

The file has a JSON object a line, with the subject as one of `common_name` and `alternative_name`
(a DNS name, a URI such as SPIFFE's, an address), whole and exact:

    {"alternative_name": "spiffe://acme/bot", "name": "bot", "tenant": "acme", "scopes": ["speak"]}

Only names of certificates that TLS has verified are asked for here.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from csm.serving.auth.entries import check_fields, objects, principal_of
from csm.serving.auth.identity import Principal

if TYPE_CHECKING:
    from cryptography import x509

COMMON_NAME, ALTERNATIVE_NAME = "common_name", "alternative_name"
_FIELDS = frozenset({COMMON_NAME, ALTERNATIVE_NAME, "name", "tenant", "scopes"})
MAX_SUBJECT_CHARS = 512

CertificateName = tuple[str, str]
"""Of a certificate: `common_name` or `alternative_name`, and the name."""

_CALL_KEY = "x509_pem_cert"
MAX_CACHED = 256
"""Certificates whose names are remembered: reading one costs more than looking a name up."""


class CertificateTable:
    """The subjects of a file, to be looked up."""

    def __init__(self, principals: Mapping[CertificateName, Principal]) -> None:
        self._principals = dict(principals)

    def get(self, names: Sequence[CertificateName]) -> Principal | None:
        """Whom a certificate of these names stands for; its first name that is known decides."""
        for name in names:
            if (found := self._principals.get(name)) is not None:
                return found
        return None


def parse_certificates(content: bytes) -> CertificateTable:
    """The subjects of a file's content. Raises ValueError that names the line and its field."""
    principals: dict[CertificateName, Principal] = {}
    for number, entry in objects(content):
        check_fields(number, entry, _FIELDS)
        given = [field for field in (COMMON_NAME, ALTERNATIVE_NAME) if field in entry]
        subject = entry.get(given[0]) if len(given) == 1 else None
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
            raise ValueError(
                f"line {number}: one of common_name and alternative_name is due, 1.."
                f"{MAX_SUBJECT_CHARS} characters"
            )
        name = (given[0], subject)
        if name in principals:
            raise ValueError(f"line {number}: {given[0]}: another line has the same")
        principals[name] = principal_of(number, entry)
    return CertificateTable(principals)


def names_of_call(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[CertificateName, ...]:
    """Names of the client certificate of a gRPC call (`context.auth_context()`), alternative names
    first; none where it has shown none.

    Of the certificate itself: what gRPC gives for its common name ends at the first zero byte.
    """
    for shown in auth_context.get(_CALL_KEY, ()):
        return _names(shown)
    return ()


def names_of_ssl(ssl_object: Any) -> tuple[CertificateName, ...]:
    """As `names_of_call`, of the TLS of an HTTP connection; None: it has none.

    What was not verified Python does not show (`getpeercert` gives nothing of it).
    """
    if ssl_object is None or not ssl_object.getpeercert():
        return ()
    return _names(ssl_object.getpeercert(binary_form=True))


@lru_cache(MAX_CACHED)
def _names(certificate: bytes) -> tuple[CertificateName, ...]:
    """Of a certificate, PEM or DER. Of one with several common names none counts: which of them an
    authority has looked at, it does not say."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    pem = certificate.startswith(b"-----")
    try:
        read = x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate
        shown = read(certificate)
        common = [
            str(one.value) for one in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
        alternative = _alternative(shown)
    # Of what an authority has signed and nobody can read nothing is believed.
    except Exception:
        return ()
    return (
        *((ALTERNATIVE_NAME, name) for name in alternative),
        *((COMMON_NAME, name) for name in common if len(common) == 1),
    )


def _alternative(shown: "x509.Certificate") -> list[str]:
    from cryptography import x509

    kinds = (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name, x509.IPAddress)
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in names if isinstance(one, kinds)]
