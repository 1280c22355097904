"""Which generator a conversation goes to."""

import hashlib

AFFINITY_HEADER = "x-csm-conversation"


def affinity(conversation_id: str, route: int = 0) -> tuple[tuple[str, str], ...]:
    """Metadata that keeps a conversation on one generator; hashed, as ids may be any text.

    Another `route` is another place on the ring, where the first one's generator is gone or hangs.
    """
    if not conversation_id:
        return ()
    salt = route.to_bytes(2, "little") if route else b""
    digest = hashlib.blake2b(conversation_id.encode(), digest_size=16, salt=salt).hexdigest()
    return ((AFFINITY_HEADER, digest),)
