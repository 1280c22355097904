"""The public keys of an issuer of JWTs (JWKS, RFC 7517): of a file, or fetched from a URL."""

import asyncio
import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csm import errors
from csm.serving.auth.watched_file import WatchedFile

log = logging.getLogger(__name__)

REFRESH_S = 300.0
"""Between two fetches while nobody shows an unknown key."""
MIN_REFRESH_S = 10.0
"""Between two fetches, whatever keys callers name: anybody may name any."""
FETCH_S = 5.0
"""What a server may take to say something, and to say it all."""
MAX_WAITING = 256
"""Calls that wait for a fetch, each of which has shown nothing but the name of a key."""
MAX_KEY_SET_BYTES = 1 << 20
MAX_KEYS = 256

_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By type of key. Asymmetric ones alone: a key that all may read must not be one that signs."""


@dataclass(frozen=True)
class IssuerKey:
    """A public key, and the algorithms that it may be used with."""

    key: Any
    algorithms: tuple[str, ...]


Keys = Mapping[str, IssuerKey]
"""By their `kid`; "" where a key has none."""


def parse_keys(content: bytes) -> Keys:
    """The keys of a JWKS that can verify. Raises ValueError where there is none."""
    import jwt

    try:
        listed = json.loads(content)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise ValueError('is no JWKS: {"keys": [...]} is due')
    keys: dict[str, IssuerKey] = {}
    for one in listed[:MAX_KEYS]:
        if not isinstance(one, dict) or one.get("use", "sig") != "sig" or "d" in one:
            continue
        allowed = _ALGORITHMS.get(str(one.get("kty")), ())
        if one.get("alg") is not None:
            allowed = tuple(name for name in allowed if name == one["alg"])
        if not allowed:
            continue
        try:
            found = jwt.PyJWK(one)
        # One that the libraries stumble over, however they do, is none that we can use.
        except Exception:
            continue
        keys[str(one.get("kid", ""))] = IssuerKey(found.key, allowed)
    if not keys:
        raise ValueError("has no public key that verifies signatures (RSA, EC, OKP)")
    return keys


def fetch(url: str) -> bytes:
    """The body at an https URL. Raises OSError, or ValueError where it is too large."""
    try:
        with _OPENER.open(url, timeout=FETCH_S) as answer:
            body = _all_of(answer)
    except http.client.HTTPException as error:
        raise OSError(f"the answer is no HTTP: {type(error).__name__}") from None
    if len(body) > MAX_KEY_SET_BYTES:
        raise ValueError(f"has more than {MAX_KEY_SET_BYTES} bytes")
    return body


def _all_of(answer: Any) -> bytes:
    body, ends_s = b"", time.monotonic() + FETCH_S
    while len(body) <= MAX_KEY_SET_BYTES and (part := answer.read1(64 << 10)):
        body += part
        # The limit of the socket is for one part of many.
        if time.monotonic() > ends_s:
            raise TimeoutError(f"the answer did not end within {FETCH_S:g} s")
    return body


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    # A redirect could lead from https to http, or to a neighbour that only we reach.
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def is_url(place: str) -> bool:
    """Whether it is a URL that keys may be fetched from: https, or http on this machine."""
    parts = urlsplit(place)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))


class KeyFile:
    """Keys of a file that is watched."""

    def __init__(self, setting: str, path: Path) -> None:
        """Raises ValueError that names the setting."""
        self._file = WatchedFile(setting, path, parse_keys)

    @property
    def keys(self) -> Keys:
        """Those of now; another object when they have changed."""
        return self._file.value

    async def miss(self) -> None:
        """A key was asked for that is not there: a file shows what is new by itself."""

    async def follow(self) -> None:
        """Keeps the keys up to date, for ever."""
        await self._file.follow()


class KeyUrl:
    """Keys behind a URL, kept while it is away.

    They are fetched on a thread, at the start, every five minutes, and soon after a token names a
    key that is not among them.
    """

    def __init__(self, setting: str, url: str, fetch: Callable[[str], bytes] = fetch) -> None:
        """`fetch` gets the body of a URL, blocking. Raises OSError or ValueError."""
        self._setting, self._url, self._fetch = setting, url, fetch
        self.keys: Keys | None = None
        """Those of now; None: they were never to be had."""
        self._tried = -float("inf")
        self._fetching: asyncio.Task[None] | None = None
        self._away = False
        self._waiting = 0

    async def miss(self) -> None:
        """A key was asked for that is not there: fetches again where the last time is not just
        past. All who ask meanwhile wait for the same fetch; raises `Unavailable` where too many
        do."""
        if self._waiting >= MAX_WAITING:
            raise errors.Unavailable("the issuer's keys are being fetched")
        self._waiting += 1
        try:
            await self._look()
        finally:
            self._waiting -= 1

    async def follow(self) -> None:
        """Keeps the keys up to date, for ever."""
        while True:
            await self._look()
            await asyncio.sleep(MIN_REFRESH_S if self._away else REFRESH_S)

    async def _look(self) -> None:
        if self._fetching is None:
            if time.monotonic() - self._tried < MIN_REFRESH_S:
                return
            self._tried = time.monotonic()
            self._fetching = asyncio.create_task(self._refresh())
            self._fetching.add_done_callback(self._fetched)
        # A caller that goes away does not end it for the others.
        await asyncio.shield(self._fetching)

    def _fetched(self, _: "asyncio.Task[None]") -> None:
        self._fetching = None

    async def _refresh(self) -> None:
        try:
            body = await asyncio.to_thread(self._fetch, self._url)
            keys = await asyncio.to_thread(parse_keys, body)
        except (OSError, ValueError) as error:
            if not self._away:
                kept = "no JWT can be checked" if self.keys is None else "the keys are kept"
                log.warning(
                    "%s: %s cannot be read, %s: %s", self._setting, self._url, kept, _told(error)
                )
            self._away = True
            return
        if self._away:
            log.info("%s: %s answers", self._setting, self._url)
        self._away = False
        if self.keys is None or set(keys) != set(self.keys) or body != self._body:
            self.keys, self._body = keys, body

    _body = b""


def _told(error: OSError | ValueError) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    return str(error)
