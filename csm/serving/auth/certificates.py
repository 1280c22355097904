"""Client certificates: which principal their subject stands for.

The file has a JSON object a line, with the subject as one of `common_name` and `alternative_name`
(a DNS name, a URI such as SPIFFE's, an address), whole and exact:

    {"alternative_name": "spiffe://acme/bot", "name": "bot", "tenant": "acme", "scopes": ["speak"]}

Only names of certificates that TLS has verified are asked for here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from csm.serving.auth.entries import check_fields, objects, principal_of
from csm.serving.identity import Principal

COMMON_NAME, ALTERNATIVE_NAME = "common_name", "alternative_name"
_FIELDS = frozenset({COMMON_NAME, ALTERNATIVE_NAME, "name", "tenant", "scopes"})
MAX_SUBJECT_CHARS = 512

CertificateName = tuple[str, str]
"""Of a certificate: `common_name` or `alternative_name`, and the name."""

_CALL_KEYS = (
    ("x509_subject_alternative_name", ALTERNATIVE_NAME),
    ("x509_common_name", COMMON_NAME),
)


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
    first; none where it has shown none."""
    return tuple(
        (kind, value.decode(errors="replace"))
        for key, kind in _CALL_KEYS
        for value in auth_context.get(key, ())
    )


def names_of_ssl(ssl_object: Any) -> tuple[CertificateName, ...]:
    """As `names_of_call`, of the TLS of an HTTP connection; None: it has none.

    What was not verified Python does not show (`getpeercert` gives nothing of it).
    """
    shown = ssl_object.getpeercert() if ssl_object is not None else None
    if not shown:
        return ()
    alternative = [(ALTERNATIVE_NAME, value) for _, value in shown.get("subjectAltName", ())]
    common = [
        (COMMON_NAME, value)
        for part in shown.get("subject", ())
        for key, value in part
        if key == "commonName"
    ]
    return (*alternative, *common)
