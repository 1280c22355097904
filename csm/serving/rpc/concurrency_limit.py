"""How many calls of a kind are under way at once, and may be."""

from csm import errors


class ConcurrencyLimit:
    """Places for calls of a kind."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    def check(self) -> None:
        """Raises QueueFull where there is no place."""
        if not self.has_place():
            raise errors.QueueFull(f"{self._most} calls are under way, as many as are allowed")

    def has_place(self) -> bool:
        """Whether there is one."""
        return self._now < self._most

    def begin(self) -> None:
        """Takes a place. Raises QueueFull where there is none."""
        self.check()
        self._now += 1

    def end(self) -> None:
        """Gives it back."""
        self._now -= 1
