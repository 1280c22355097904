"""JWTs as bearer tokens (RFC 7519, 9068): whose they are, and what they allow."""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

from csm import errors
from csm.serving.auth.entries import is_name
from csm.serving.auth.identity import Principal, Scope
from csm.serving.auth.key_set import IssuerKey, Keys
from csm.serving.auth.refusals import Refusal, refused

MAX_CACHED = 1024
SUBJECT_TENANT = "sub:"
"""Begins the tenant of a subject that has no other."""
_KNOWN_SCOPES = {str(scope): scope for scope in Scope}


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    @property
    def keys(self) -> Keys | None:
        """Those of now; None: never had. Another object when they have changed."""

    async def miss(self) -> None:
        """A token names a key that is not there; returns when looking again is worth it."""

    async def follow(self) -> None:
        """Keeps them up to date, for ever."""


@dataclass(frozen=True)
class JwtRules:
    """What a JWT must be."""

    issuer: str
    audience: str
    leeway_s: float
    """How far clocks may differ, for `exp`, `nbf` and `iat`."""
    tenant_claim: str
    scope_claim: str


class JwtVerifier:
    """Tells whose a JWT is."""

    def __init__(self, rules: JwtRules, source: KeySource) -> None:
        import jwt

        self._jwt = jwt
        self._rules = rules
        self.source = source
        # A signature costs more than all else of a call. Those that were good are so until they
        # expire, or until the keys are others; those that were wrong, until the keys are others.
        self._good: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._forged: OrderedDict[bytes, None] = OrderedDict()
        self._good_by: Keys | None = None

    async def principal(self, token: str) -> Principal:
        """Whose it is. Raises `Unauthenticated`, or `Unavailable` while there are no keys."""
        if self.source.keys is not self._good_by:
            self._good.clear()
            self._forged.clear()
            self._good_by = self.source.keys
        digest = hashlib.sha256(token.encode()).digest()
        known = self._good.get(digest)
        if known is not None:
            if time.time() >= known[1]:
                raise refused(Refusal.EXPIRED)
            self._good.move_to_end(digest)
            return known[0]
        if digest in self._forged:
            raise refused(Refusal.INVALID)
        claims = self._claims(token, await self._key(token))
        principal = self._principal(claims)
        # As long as the library itself would take it.
        self._good[digest] = principal, claims["exp"] + self._rules.leeway_s
        if len(self._good) > MAX_CACHED:
            self._good.popitem(last=False)
        return principal

    def _remember_forged(self, token: str) -> None:
        if self.source.keys is self._good_by:
            self._forged[hashlib.sha256(token.encode()).digest()] = None
            if len(self._forged) > MAX_CACHED:
                self._forged.popitem(last=False)

    async def _key(self, token: str) -> IssuerKey:
        try:
            header = self._jwt.get_unverified_header(token)
        # Whatever anybody's token runs into inside the libraries is no fault of ours.
        except Exception:
            raise refused(Refusal.MALFORMED) from None
        if (found := self._found(header)) is None:
            await self.source.miss()
            found = self._found(header)
        if self.source.keys is None:
            raise errors.Unavailable("the issuer's keys are not there yet")
        if found is None:
            raise refused(Refusal.INVALID)
        return found

    def _found(self, header: dict[str, Any]) -> IssuerKey | None:
        keys = self.source.keys or {}
        kid = header.get("kid")
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        return keys.get(kid or "")

    def _claims(self, token: str, key: IssuerKey) -> dict[str, Any]:
        rules, jwt = self._rules, self._jwt
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=rules.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            # A number of any size is one in JSON.
            claims["exp"] = float(claims["exp"])
        except jwt.ExpiredSignatureError:
            raise refused(Refusal.EXPIRED) from None
        except jwt.InvalidSignatureError:
            self._remember_forged(token)
            raise refused(Refusal.INVALID) from None
        except Exception:
            raise refused(Refusal.INVALID) from None
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal:
        subject = claims["sub"]
        tenant = _claim(claims, self._rules.tenant_claim)
        # Nobody's tenant begins as those of subjects do, whatever name somebody chose for himself.
        if not is_name(subject) or str(tenant).startswith(SUBJECT_TENANT):
            raise refused(Refusal.INVALID)
        if tenant is None:
            # Longer than a name by what it begins with: a subject may have all of a name's length.
            tenant = f"{SUBJECT_TENANT}{subject}"
        elif not is_name(tenant):
            raise refused(Refusal.INVALID)
        scopes = _claim(claims, self._rules.scope_claim)
        # A text with blanks between them as OAuth has it, or a list as roles often are.
        named = scopes.split() if isinstance(scopes, str) else scopes
        found = (_KNOWN_SCOPES.get(str(one)) for one in named) if isinstance(named, list) else ()
        return Principal(subject, str(tenant), frozenset(one for one in found if one))


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or by a path of names with dots between (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
