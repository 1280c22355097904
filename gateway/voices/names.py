"""Names of voices, and the other names that they answer to."""

import re
from collections.abc import Mapping

MAX_NAME_CHARS = 64
ALLOWED = f"1..{MAX_NAME_CHARS} letters, digits, '.', '_' and '-', the first a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(name: str) -> bool:
    """Whether a voice may be called so."""
    return _NAME.fullmatch(name) is not None


def key_of(name: str) -> str:
    """What names are compared by: two that differ in case alone are one."""
    return name.lower()


def read_aliases(said: str) -> Mapping[str, str]:
    """The setting `voice_aliases`: `alias=voice`, parted by commas; aliases as they are written.

    Raises `ValueError` naming the entry that is wrong.
    """
    aliases: dict[str, str] = {}
    known: set[str] = set()
    for entry in filter(None, (part.strip() for part in said.split(","))):
        alias, mark, voice = (part.strip() for part in entry.partition("="))
        if not mark or not is_name(alias) or not is_name(voice):
            raise ValueError(
                f"voice_aliases: {entry[:160]!r} is not allowed; allowed is ALIAS=VOICE, both "
                f"{ALLOWED}"
            )
        if key_of(alias) in known:
            raise ValueError(f"voice_aliases: {alias!r} is there twice")
        known.add(key_of(alias))
        aliases[alias] = voice
    if chained := [voice for voice in aliases.values() if key_of(voice) in known]:
        raise ValueError(
            f"voice_aliases: {chained[0]!r} is an alias itself; allowed is the name of a voice"
        )
    return aliases
