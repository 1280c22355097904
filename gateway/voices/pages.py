"""The voices, filtered and a page at a time."""

import base64
import binascii
from bisect import bisect_right
from dataclasses import dataclass

from csm import errors
from gateway.voices.names import key_of
from gateway.voices.voice import LibraryVoice
from gateway.voices.voices import Voices

MAX_PAGE_VOICES = 1000
MAX_PAGE_CHARS = 1 << 19
"""Of names, descriptions and aliases: a page travels in one message."""
MAX_TOKEN_CHARS = 1024
_TOKEN = "1:"


@dataclass(frozen=True)
class VoicePage:
    """Some of the voices."""

    voices: list[LibraryVoice]
    next_page_token: str
    """Empty: there are no more."""
    num_voices: int
    """That the filters let through, on all pages."""


def page_of(
    voices: Voices, *, page_size: int, page_token: str, name_contains: str, language: str
) -> VoicePage:
    """The page behind the token, in order of name. A voice that comes or goes between two pages is
    on one of them or on none, and no other is twice. Raises `InvalidArgument` about the token."""
    behind = _name_behind(page_token)
    wanted = key_of(name_contains)
    tag = language.lower()
    found = [
        voice
        for voice in voices.all()
        if (not tag or _speaks(voice, tag)) and (not wanted or _named(voices, voice, wanted))
    ]
    first = bisect_right(found, behind, key=lambda voice: key_of(voice.name)) if behind else 0
    taken: list[LibraryVoice] = []
    chars = 0
    for voice in found[first : first + (page_size or MAX_PAGE_VOICES)]:
        chars += len(voice.name) + len(voice.description) + sum(map(len, voices.aliases_of(voice)))
        if taken and chars > MAX_PAGE_CHARS:
            break
        taken.append(voice)
    more = first + len(taken) < len(found)
    return VoicePage(taken, _token(taken[-1]) if more else "", len(found))


def _speaks(voice: LibraryVoice, tag: str) -> bool:
    has = voice.language.lower()
    return has == tag or has.startswith(f"{tag}-")


def _named(voices: Voices, voice: LibraryVoice, wanted: str) -> bool:
    return any(wanted in key_of(name) for name in (voice.name, *voices.aliases_of(voice)))


def _token(voice: LibraryVoice) -> str:
    return base64.urlsafe_b64encode(f"{_TOKEN}{key_of(voice.name)}".encode()).decode()


def _name_behind(token: str) -> str:
    """The name that a page begins behind; empty: at the beginning."""
    if not token:
        return ""
    try:
        given = token[:MAX_TOKEN_CHARS].encode()
        told = base64.b64decode(given, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        told = ""
    name = told.removeprefix(_TOKEN)
    if not told.startswith(_TOKEN) or not name:
        raise errors.invalid(
            "page_token", "is none of this server's; allowed is next_page_token of an answer"
        )
    return name
