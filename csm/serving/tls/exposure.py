"""Whether a service may be reached by others without its knowing who they are, or in plain text."""

import ipaddress

from csm.serving.auth.authenticator import has_identity
from csm.serving.settings import ServiceSettings

_LACKS_TLS = "without TLS (tls_certificate): what is sent can be read on the way"
_LACKS_IDENTITY = "without identity (auth_tokens_file): whoever reaches it may use it"
_LACKS_BOTH = (
    "without identity (auth_tokens_file) and TLS (tls_certificate): whoever reaches it may use it, "
    "and what is sent can be read on the way"
)


def exposure(settings: ServiceSettings) -> str:
    """The line that warns of it; empty where there is nothing to warn of, or it is meant."""
    if settings.allow_insecure or is_loopback(settings.host):
        return ""
    has_tls = settings.tls_certificate is not None
    # Who has no certificate of that authority does not get as far as a call.
    known = has_identity(settings) or settings.tls_client_ca is not None
    if has_tls and known:
        return ""
    lacking = _LACKS_IDENTITY if has_tls else _LACKS_TLS if known else _LACKS_BOTH
    return (
        f"listens on {settings.host}, beyond this machine, {lacking}; see docs/security.md, or say "
        "that it is meant with allow_insecure"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
