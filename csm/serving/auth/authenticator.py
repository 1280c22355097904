"""Who calls, and may they: asked by every edge, gRPC and HTTP, before it reads anything."""

import asyncio
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from csm import errors
from csm.serving.auth.certificates import CertificateName, CertificateTable, parse_certificates
from csm.serving.auth.identity import ANYBODY, Principal, current
from csm.serving.auth.jwt_verifier import JwtRules, JwtVerifier, KeySource
from csm.serving.auth.key_set import KeyFile, KeyUrl, is_url
from csm.serving.auth.refusals import Refusal, denied, refused
from csm.serving.auth.rules import Rule, satisfies
from csm.serving.auth.token_file import PREFIX, TokenTable, parse_tokens
from csm.serving.auth.watched_file import WatchedFile
from csm.serving.metrics.server import ServerMetrics
from csm.serving.settings import ServiceSettings

MAX_CREDENTIAL_CHARS = 8192
_SCHEME = "bearer "

Followed = WatchedFile[TokenTable] | WatchedFile[CertificateTable] | KeySource
CertificateNames = Callable[[], Sequence[CertificateName]]


class Authenticator:
    """Principals of the calls of one service.

    A bearer token that comes decides, also beside a certificate: one that is wrong is refused.
    """

    def __init__(
        self,
        metrics: ServerMetrics,
        tokens: "WatchedFile[TokenTable] | None" = None,
        jwts: JwtVerifier | None = None,
        certificates: "WatchedFile[CertificateTable] | None" = None,
    ) -> None:
        """Each way in is closed where it is None."""
        self._tokens, self._jwts, self._certificates = tokens, jwts, certificates
        self._refusals = {one: metrics.auth_refusals.labels(str(one)) for one in Refusal}

    async def admit(
        self, rule: Rule, authorization: Sequence[object], names: CertificateNames
    ) -> Principal:
        """Whoever calls what `rule` is about; `identity.current` is theirs from here on.

        `authorization` has the values of all headers of that name, `names` gives those of the
        client certificate. Raises `Unauthenticated`, `PermissionDenied`, and `Unavailable` while a
        JWT cannot be checked.
        """
        if rule is None:
            current.set(ANYBODY)
            return ANYBODY
        try:
            principal = await self._principal(authorization, names)
            if not satisfies(principal, rule):
                raise denied(rule)
        except (errors.Unauthenticated, errors.PermissionDenied) as error:
            self._refusals[Refusal(error.why)].inc()
            raise
        current.set(principal)
        return principal

    async def follow(self) -> None:
        """Keeps files and keys up to date, for ever."""
        keys = self._jwts.source if self._jwts is not None else None
        files: list[Followed | None] = [self._tokens, keys, self._certificates]
        async with asyncio.TaskGroup() as group:
            for source in files:
                if source is not None:
                    group.create_task(source.follow())

    async def _principal(
        self, authorization: Sequence[object], names: CertificateNames
    ) -> Principal:
        if authorization:
            return await self._bearer(authorization)
        if self._certificates is not None and (shown := names()):
            if (found := self._certificates.value.get(shown)) is None:
                raise refused(Refusal.CERTIFICATE)
            return found
        raise refused(Refusal.MISSING)

    async def _bearer(self, authorization: Sequence[object]) -> Principal:
        header = authorization[0]
        if (
            len(authorization) > 1
            or not isinstance(header, str)
            or len(header) > MAX_CREDENTIAL_CHARS
            or not header.isascii()
            or header[: len(_SCHEME)].lower() != _SCHEME
        ):
            raise refused(Refusal.MALFORMED)
        token = header[len(_SCHEME) :].strip()
        if self._tokens is not None and (token.startswith(PREFIX) or self._jwts is None):
            entry = self._tokens.value.get(token)
            if entry is None:
                raise refused(Refusal.UNKNOWN)
            if entry.expired():
                raise refused(Refusal.EXPIRED)
            return entry.principal
        if self._jwts is None:
            raise refused(Refusal.MALFORMED)
        return await self._jwts.principal(token)


def make_authenticator(settings: ServiceSettings, metrics: ServerMetrics) -> Authenticator | None:
    """As the settings say; None: identity is off. Raises ValueError that names the setting."""
    if not has_identity(settings):
        return None
    tokens = certificates = None
    if settings.auth_tokens_file is not None:
        tokens = WatchedFile("auth_tokens_file", settings.auth_tokens_file, parse_tokens)
    if settings.auth_certificates is not None:
        if settings.tls_client_ca is None:
            raise ValueError(
                "auth_certificates: needs tls_client_ca, or no client would show a certificate"
            )
        certificates = WatchedFile(
            "auth_certificates", settings.auth_certificates, parse_certificates
        )
    return Authenticator(metrics, tokens, _jwts(settings), certificates)


def has_identity(settings: ServiceSettings) -> bool:
    """Whether the settings name any way to tell callers apart."""
    files = (settings.auth_tokens_file, settings.auth_certificates)
    return any(file is not None for file in files) or any(_jwt_settings(settings).values())


def _jwt_settings(settings: ServiceSettings) -> dict[str, str]:
    """Those that JWTs cannot do without, by name."""
    return {
        "auth_jwt_issuer": settings.auth_jwt_issuer,
        "auth_jwt_audience": settings.auth_jwt_audience,
        "auth_jwt_jwks": settings.auth_jwt_jwks,
    }


def _jwts(settings: ServiceSettings) -> JwtVerifier | None:
    given = _jwt_settings(settings)
    if not any(given.values()):
        return None
    if missing := [name for name, value in given.items() if not value]:
        raise ValueError(f"{', '.join(missing)}: needed where any of {', '.join(given)} is set")
    if any(importlib.util.find_spec(package) is None for package in ("jwt", "cryptography")):
        raise ValueError(
            "auth_jwt_issuer: pyjwt and cryptography are missing; install csm-server[identity]"
        )
    rules = JwtRules(
        settings.auth_jwt_issuer,
        settings.auth_jwt_audience,
        settings.auth_jwt_leeway_s,
        settings.auth_jwt_tenant_claim,
        settings.auth_jwt_scope_claim,
    )
    place: Any = settings.auth_jwt_jwks
    source: KeySource
    if is_url(place):
        source = KeyUrl("auth_jwt_jwks", place)
    elif "://" in place:
        raise ValueError("auth_jwt_jwks: a file or an https URL is due (http on this machine only)")
    else:
        source = KeyFile("auth_jwt_jwks", Path(place))
    return JwtVerifier(rules, source)
