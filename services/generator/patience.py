"""How long a stream may be without a turn."""

from __future__ import annotations

import time

from csm import errors


class Patience:
    """The time of one stream between turns."""

    def __init__(self, max_idle_s: float) -> None:
        """`max_idle_s`: how long it may be without a turn and without input."""
        self._max_idle_s = max_idle_s
        self._active_s = time.monotonic()
        self._closing: errors.ServiceError | None = None
        self._closing_idle_s = 0.0

    def touch(self) -> None:
        """Input came, or a turn ended."""
        self._active_s = time.monotonic()

    def shut_down(self, idle_s: float) -> None:
        """The server is going away: `idle_s` without a turn are enough from here on."""
        self._closing = errors.Unavailable("the service is shutting down")
        self._closing_idle_s = idle_s

    def left_s(self, *, turn_under_way: bool) -> float | None:
        """How long to wait for something to send; None: for ever."""
        if turn_under_way:
            return None
        if self._closing:
            return self._closing_idle_s
        if self._max_idle_s == float("inf"):
            return None
        return max(0.0, self._active_s + self._max_idle_s - time.monotonic())

    def check(self) -> None:
        """To be asked when that time has passed without a turn.

        Raises:
            Unavailable: the server is going away.
            DeadlineExceeded: there was no input either for too long.
        """
        if self._closing:
            raise self._closing
        if time.monotonic() - self._active_s >= self._max_idle_s:
            raise errors.DeadlineExceeded(
                f"neither a turn nor input for {self._max_idle_s:g} s (max_idle_s of the server); "
                "open a stream anew when there is something to say"
            )
