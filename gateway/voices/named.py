"""The voices that a text names, looked for before it is read: reading it never waits."""

import re
from collections.abc import Awaitable, Callable

from gateway.voices.cast import MAX_VOICES

_NAME = r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})"
_NAMED = re.compile(
    rf"\[voice[ \t]*[:=][ \t]*{_NAME}[ \t]*\]|<voice\s[^<>]{{0,200}}?\bname\s*=\s*[\"']?{_NAME}",
    re.IGNORECASE,
)
_TAIL_CHARS = 300
"""A tag may come in parts: of what came before so much is looked at again."""


class NamedVoices:
    """Of one turn."""

    def __init__(self, look_for: Callable[[str], Awaitable[None]]) -> None:
        """`look_for` looks at once for a voice of which nothing is known, by name."""
        self._look_for = look_for
        self._looked: set[str] = set()
        self._tail = ""

    async def look(self, text: str, voice: str = "") -> None:
        """To be called before a part of the text is read, which `voice` speaks."""
        names = [voice] if voice else []
        text = self._tail + text
        self._tail = text[-_TAIL_CHARS:]
        if "voice" in text.lower():
            names += (bracketed or element for bracketed, element in _NAMED.findall(text))
        for name in names:
            # More than a conversation may have are not worth a look each.
            if name not in self._looked and len(self._looked) < MAX_VOICES:
                self._looked.add(name)
                await self._look_for(name)
