"""Leases that nobody has any more and the store may still hold: they are given back."""

import logging
import math
import time
from dataclasses import dataclass

from gateway.conversations.key import ConversationKey
from gateway.conversations.redis.commands import RedisCommands, StoreFailure

log = logging.getLogger(__name__)

MAX_LEFT = 256
"""Kept at the most; of more the oldest end by themselves."""


@dataclass(slots=True)
class _Left:
    key: ConversationKey
    until_s: float = math.inf
    """When it has ended by itself, by the clock of this process."""


class LeftLeases:
    """Of writers that are gone, whose last request the store did not answer.

    A store that was slow does what it was asked late, and the lease that it gives then would keep
    the conversation from everybody until it ends.
    """

    def __init__(self, commands: RedisCommands) -> None:
        self._commands = commands
        self._left: dict[str, _Left] = {}

    def __len__(self) -> int:
        return len(self._left)

    def add(self, key: ConversationKey, lease: str) -> None:
        """`lease`: its fence, or the nonce that it was asked for with."""
        self._left[lease] = _Left(key)
        if len(self._left) > MAX_LEFT:
            del self._left[next(iter(self._left))]

    async def give_back(self, key: ConversationKey | None = None) -> bool:
        """Gives back what the store has of them, or of those of one conversation; whether that was
        anything."""
        given = False
        for lease, left in list(self._left.items()):
            if key not in (None, left.key):
                continue
            try:
                closed = await self._commands.close(left.key, lease)
            except StoreFailure as failure:
                log.debug("a lease could not be given back: %s", failure)
                # Others first the next time: in a cluster it may be one server that is away.
                if self._left.pop(lease, None) is not None:
                    self._left[lease] = left
                break
            # What a connection sent before it was cut may come later than this did. A lease that is
            # given until now ends by itself after `lease_s`.
            now = time.monotonic()
            if closed or now >= left.until_s:
                self._left.pop(lease, None)
            left.until_s = min(left.until_s, now + self._commands.lease_s)
            given = given or closed
        return given
