"""Bearer tokens in a file: whom each stands for, and the SHA-256 of what it is.

A token is 256 random bits, so its plain hash gives nothing away: there is no dictionary of them to
try. The file has a JSON object a line:

    {"name": "alice", "tenant": "acme", "scopes": ["speak"], "sha256": "...", "expires": "..."}

`tenant` is the name where it is left out; `expires` (RFC 3339) may be.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from csm.serving.auth.entries import check_fields, objects, principal_of
from csm.serving.auth.identity import Principal, Scope

PREFIX = "csm_"
"""Of every token of ours, so that scanners of secrets find one that was published."""
TOKEN = re.compile(r"csm_[\w-]{43}", re.ASCII)
_FIELDS = frozenset({"name", "tenant", "scopes", "sha256", "expires"})
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TokenEntry:
    """A line of the file."""

    principal: Principal
    digest: bytes
    """SHA-256 of the token, 32 bytes."""
    expires_unix_s: float | None

    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_unix_s is not None and time.time() >= self.expires_unix_s


class TokenTable:
    """The tokens of a file, to be looked up."""

    def __init__(self, entries: Sequence[TokenEntry]) -> None:
        self.entries = tuple(entries)
        # By a part of the hash, which tells nothing of the token; all of it is then compared in
        # constant time.
        self._found: dict[bytes, list[TokenEntry]] = {}
        for entry in entries:
            self._found.setdefault(entry.digest[:8], []).append(entry)

    def get(self, token: str) -> TokenEntry | None:
        """The entry of a token; None: it is none of these."""
        digest = digest_of(token)
        for entry in self._found.get(digest[:8], ()):
            if hmac.compare_digest(entry.digest, digest):
                return entry
        return None


def digest_of(token: str) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(token.encode()).digest()


def parse_tokens(content: bytes) -> TokenTable:
    """The tokens of a file's content. Raises ValueError that names the line and its field."""
    entries: list[TokenEntry] = []
    lines: dict[str, int] = {}
    for number, entry in objects(content):
        check_fields(number, entry, _FIELDS)
        principal = principal_of(number, entry)
        digest = entry.get("sha256")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ValueError(f"line {number}: sha256: 64 hexadecimal digits, lower case, are due")
        # Two tokens of one name could not be told apart where one is to be revoked.
        for known in (f"the name {principal.name}", f"sha256 {digest}"):
            if known in lines:
                what = "name" if known.startswith("the name") else "sha256"
                raise ValueError(f"line {number}: {what}: line {lines[known]} has the same")
            lines[known] = number
        entries.append(
            TokenEntry(principal, bytes.fromhex(digest), _unix_s(number, entry.get("expires")))
        )
    return TokenTable(entries)


def _unix_s(number: int, expires: object) -> float | None:
    if expires is None:
        return None
    try:
        when = datetime.fromisoformat(str(expires))
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise ValueError(
            f"line {number}: expires: a time with its zone is due, e.g. 2027-01-31T00:00:00Z"
        )
    return when.timestamp()


def new_token() -> str:
    """A new one: `csm_` and 43 letters, digits, `_` and `-`."""
    return PREFIX + secrets.token_urlsafe(32)


def token_line(
    token: str, principal: Principal, expires_unix_s: float | None
) -> Mapping[str, object]:
    """What a file says of a token."""
    line: dict[str, object] = {
        "name": principal.name,
        "tenant": principal.tenant,
        "scopes": [str(scope) for scope in Scope if scope in principal.scopes],
        "sha256": digest_of(token).hex(),
    }
    if expires_unix_s is not None:
        when = datetime.fromtimestamp(expires_unix_s, UTC)
        line["expires"] = when.isoformat(timespec="seconds").replace("+00:00", "Z")
    return line


def with_line(content: bytes, line: Mapping[str, object]) -> bytes:
    """The file's content with a line more. Raises ValueError where it could not be read then."""
    before = content if not content or content.endswith(b"\n") else content + b"\n"
    after = before + json.dumps(line).encode() + b"\n"
    parse_tokens(after)
    return after


def without_name(content: bytes, name: str) -> bytes:
    """The file's content without the token of that name. Raises ValueError: there is none."""
    parse_tokens(content)
    numbers = {number for number, entry in objects(content) if entry["name"] == name}
    if not numbers:
        raise ValueError(f"there is no token of the name {name!r}")
    lines = content.decode().splitlines(keepends=True)
    return "".join(
        line for number, line in enumerate(lines, start=1) if number not in numbers
    ).encode()
