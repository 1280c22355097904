"""The text of the next turn, as its parts come in."""

from __future__ import annotations

from csm.errors import FieldViolation, TooLong


class TurnText:
    """Parts of one text, held up to a limit: of a text that is too long nothing is kept."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._parts: list[str] = []
        self._chars = 0

    def append(self, part: str) -> None:
        """Adds a part."""
        self._chars += len(part)
        if self._chars <= self._max_chars:
            self._parts.append(part)
        else:
            self._parts.clear()

    def take(self) -> str:
        """The whole text, the parts joined as they are; the next text begins.

        Raises:
            TooLong: it was longer than the limit.
        """
        text, chars = "".join(self._parts), self._chars
        self._parts, self._chars = [], 0
        if chars > self._max_chars:
            raise TooLong(
                FieldViolation("text", f"{chars} characters; at most {self._max_chars} are allowed")
            )
        return text
