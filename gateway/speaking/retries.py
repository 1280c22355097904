"""How often a turn is tried again, and how long it waits in between."""

import math
import time

from gateway.backends.failure import BackendFailure
from gateway.settings import GatewaySettings
from gateway.speaking.fate import BUSY, Fate

FIRST_PAUSE_S, MAX_PAUSE_S = 0.05, 0.4
"""Between two tries at a place that is not yet free; doubled each time."""
MAX_RETRIES = 3


class Retries:
    """The tries of one turn."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._retries = 0
        self._wait_until = math.inf
        self._pause_s = FIRST_PAUSE_S

    def may(self, what: Fate, failure: BackendFailure) -> bool:
        """Whether the turn is tried again; counts the try."""
        if what is Fate.WAIT:
            now = time.monotonic()
            if now >= self._wait_until:
                return False
            # A slot that the turn before has not left yet is free after a step or two; a stream
            # of the tokenizer when another turn ends.
            settings = self._settings
            most_s = settings.failover_s if failure.code in BUSY else settings.slot_timeout_s
            self._wait_until = min(self._wait_until, now + most_s)
            return True
        if what is Fate.RETRY and self._retries < MAX_RETRIES:
            self._retries += 1
            return True
        return False

    def pause_s(self) -> float:
        """Seconds until the next try at a place."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, MAX_PAUSE_S)
        return pause_s
