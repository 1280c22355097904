"""The phonemes of the teachers, one sign each (misaki's), as phones of the corpus with their times.

Both teachers say how long each sign takes, stress marks, spaces and punctuation too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.corpus.teachers.speech import SpokenPhone, TeacherError

_PAUSE = "pau"
_SHORTEST_PAUSE_S = 0.06
"""A gap between words that is shorter belongs to the sound before it: it is no silence."""

_PHONES = {
    **{sign: sign for sign in "bdfklmnpstvwz"},
    "h": "hh",
    **{"j": "y", "ɡ": "g", "ŋ": "ng", "ɹ": "r", "ð": "dh", "θ": "th", "ʃ": "sh", "ʒ": "zh"},
    **{"ʧ": "ch", "ʤ": "jh", "T": "t", "ɾ": "t", "ʔ": "t", "x": "k"},
    **{"ə": "ax", "ᵊ": "ax", "ɐ": "ax", "ʌ": "ah", "æ": "ae", "a": "ae", "ɑ": "aa", "ɒ": "aa"},
    **{"ɔ": "ao", "ɛ": "eh", "ɜ": "er", "ɚ": "er", "ɪ": "ih", "ᵻ": "ih", "i": "iy", "ʊ": "uh"},
    **{"u": "uw", "A": "ey", "I": "ay", "O": "ow", "Q": "ow", "W": "aw", "Y": "oy"},
}
_BEFORE = "ˈˌ"
"""Stress: part of the sound that follows."""
_BEHIND = "ː̃ʰʲ"
"""Length and colour: part of the sound before."""
_SILENT = ' ;:,.!?—…"()“”'


@dataclass(frozen=True)
class Sign:
    """One sign that the teacher reads, and the token (word as written) it belongs to ("")."""

    sign: str
    token: str


@dataclass
class _Timed:
    """A phone, how long it takes, and its token."""

    name: str
    length_s: float
    token: str = ""


def spell(tokens: Sequence[tuple[str, str, str]]) -> list[Sign]:
    """Signs of a text's tokens: each is its text, its signs, and the white space behind it."""
    signs = []
    for text, phonemes, space in tokens:
        spoken = any(sign in _PHONES for sign in phonemes)
        signs += [Sign(sign, text if spoken else "") for sign in phonemes]
        if space:
            signs.append(Sign(" ", ""))
    while signs and signs[-1].sign == " ":
        signs.pop()
    return signs


def timed(
    signs: Sequence[Sign], lead_s: float, lengths_s: Sequence[float], tail_s: float
) -> tuple[SpokenPhone, ...]:
    """Phones of `signs` with their ends, behind a pause of `lead_s` and before one of `tail_s`.

    Raises:
        TeacherError: there is not one length a sign, or a sign is unknown.
    """
    if len(signs) != len(lengths_s):
        raise TeacherError(f"the teacher timed {len(lengths_s)} of {len(signs)} signs")
    phones = [_Timed(_PAUSE, lead_s)]
    carried_s = 0.0
    for one, length_s in zip(signs, lengths_s, strict=True):
        if one.sign in _BEFORE:
            carried_s += length_s
        elif one.sign in _BEHIND:
            phones[-1].length_s += length_s
        elif one.sign in _SILENT:
            if phones[-1].name == _PAUSE:
                phones[-1].length_s += length_s
            else:
                phones.append(_Timed(_PAUSE, length_s))
        elif one.sign in _PHONES:
            phones.append(_Timed(_PHONES[one.sign], carried_s + length_s, one.token))
            carried_s = 0.0
        else:
            raise TeacherError(f"the sign {one.sign!r} is no phone of the corpus")
    if phones[-1].name == _PAUSE:
        phones[-1].length_s += tail_s
    else:
        phones.append(_Timed(_PAUSE, tail_s))
    return _ended(phones)


def _ended(phones: Sequence[_Timed]) -> tuple[SpokenPhone, ...]:
    ended: list[SpokenPhone] = []
    end_s = 0.0
    for number, phone in enumerate(phones):
        end_s += phone.length_s
        inside = 0 < number < len(phones) - 1
        if phone.name == _PAUSE and inside and phone.length_s < _SHORTEST_PAUSE_S:
            before = ended[-1]
            ended[-1] = SpokenPhone(before.name, end_s, before.token)
        else:
            ended.append(SpokenPhone(phone.name, end_s, phone.token))
    return tuple(ended)
