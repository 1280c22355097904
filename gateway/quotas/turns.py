"""A turn of a Converse call has to have a place, and to be within its caller's quotas."""

import contextlib
from collections.abc import AsyncIterator

from gateway.places import Places
from gateway.quotas.caller import Caller
from gateway.quotas.quotas import Quotas
from gateway.speaking.spoken_turn import SpokenTurn


class Turns:
    """The turns of one call."""

    def __init__(self, places: Places, client: str, quotas: Quotas, caller: Caller) -> None:
        """`places` are those of turns spoken at once, `client` is the address that has one."""
        self._places = places
        self._client = client
        self._quotas = quotas
        self._caller = caller

    @contextlib.asynccontextmanager
    async def taken(self, turn: SpokenTurn) -> AsyncIterator[None]:
        """Around the speaking of a turn. Raises `QueueFull` and `QuotaExceeded`. What is written
        of it from now on counts when it is over: a turn that began is completed."""
        with self._places.taken(self._client):
            try:
                admission = await self._quotas.admit(self._caller, turn.text_chars)
            except BaseException as error:
                if not isinstance(error, Exception):
                    turn.abandon()  # its call is over
                raise
            with self._quotas.ending(admission, turn.meter.record):
                yield
