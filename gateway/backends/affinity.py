"""Which generator a conversation goes to, under which name, and with whom it shares its cache."""

import hashlib

from csm.serving.calls import cache_scope

AFFINITY_HEADER = "x-csm-conversation"
_OWNED = "\x1f"
"""Before what is derived: the id of no caller has a control character."""


def generator_key(owner: str, conversation_id: str) -> str:
    """What the generator knows a conversation by: another for each owner and id. It is the id alone
    where there is no owner, and empty for an empty id.

    Derived ones have 65 characters, whatever the two have. Two owners meet in one only where
    BLAKE2b of 256 bits collides.
    """
    if not owner or not conversation_id:
        return conversation_id
    named = _bytes(owner)
    # The length first: the owner "a" with "bc" is not "ab" with "c".
    told = len(named).to_bytes(8, "little") + named + _bytes(conversation_id)
    return _OWNED + hashlib.blake2b(told, digest_size=32, person=b"csm conversation").hexdigest()


def scope_of(owner: str) -> tuple[tuple[str, str], ...]:
    """Metadata that says whose KV cache a turn may take over; none where there is no owner."""
    if not owner:
        return ()
    digest = hashlib.blake2b(_bytes(owner), digest_size=16, person=b"csm cache scope").hexdigest()
    return ((cache_scope.HEADER, digest),)


def affinity(key: str, route: int = 0) -> tuple[tuple[str, str], ...]:
    """Metadata that keeps a conversation on one generator, by its `generator_key`; hashed, as ids
    may be any text.

    Another `route` is another place on the ring, where the first one's generator is gone or hangs.
    """
    if not key:
        return ()
    salt = route.to_bytes(2, "little") if route else b""
    digest = hashlib.blake2b(_bytes(key), digest_size=16, salt=salt).hexdigest()
    return ((AFFINITY_HEADER, digest),)


def _bytes(name: str) -> bytes:
    # A tenant that came as JSON may have half of a pair of surrogates.
    return name.encode(errors="surrogatepass")
