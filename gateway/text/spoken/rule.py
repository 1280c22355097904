"""A rule of the spoken form: what it looks for, and what is said in its place."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.text.mapped import Edit, MappedText

Say = Callable[[re.Match[str]], str | None]


def word_set(words: str) -> frozenset[str]:
    """The words of a text that lists them."""
    return frozenset(words.split())


class Rule(NamedTuple):
    """`say` gives what takes the place of a match, or of its group "it" where it has one.

    None leaves the match as it is. A pattern must take linear time whatever the text: it starts
    at the edge of a word or number or with a sign, and its repetitions are possessive or bounded.
    """

    pattern: re.Pattern[str]
    say: Say
    needs: tuple[re.Pattern[str], ...] = ()
    """Where one of these is not in the text, neither is the pattern: cheap looks before the dear
    one."""
    apart: bool = True
    """Whether words are put in: they are kept from running into the letters beside them."""


DIGIT = re.compile("[0-9]")


def rule(pattern: str, say: Say | str, *needs: re.Pattern[str]) -> Rule:
    """A rule of a pattern's text; `say` may be constant words."""
    if any("\\d" in need.pattern for need in needs):
        needs = DIGIT, *needs
    if isinstance(say, str):
        words = say
        return Rule(re.compile(pattern), lambda _: words, needs)
    return Rule(re.compile(pattern), say, needs)


def applied(rules: Iterable[Rule], text: MappedText) -> MappedText:
    """The text after each of the rules, in their order."""
    written = text.text
    there: dict[re.Pattern[str], bool] = {}
    """What was looked for in the text as it is now: many rules need the same."""
    for pattern, say, needs, apart in rules:
        for need in needs:
            found = there.get(need)
            if found is None:
                found = there[need] = need.search(written) is not None
            if not found:
                break
        else:
            edits = _edits(written, pattern, say, apart)
            if edits:
                text = text.edited(edits)
                written = text.text
                there.clear()
    return text


def _edits(written: str, pattern: re.Pattern[str], say: Say, apart: bool) -> list[Edit]:
    group = "it" if "it" in pattern.groupindex else 0
    edits = []
    for match in pattern.finditer(written):
        said = say(match)
        if said is not None and said != match[group]:
            start, end = match.span(group)
            edits.append(Edit(start, end, _apart(written, start, end, said) if apart else said))
    return edits


def _apart(written: str, start: int, end: int, said: str) -> str:
    """The words with spaces where they would run into what stands beside them."""
    if said:
        if start and said[0].isalnum() and written[start - 1].isalnum():
            said = " " + said
        if end < len(written) and said[-1].isalnum() and written[end].isalnum():
            said += " "
    return said


def any_of(words: Iterable[str]) -> str:
    """A group that matches any of some words as they are, the longest first."""
    ordered = sorted(set(words), key=lambda word: (-len(word), word))
    return "(?:" + "|".join(map(re.escape, ordered)) + ")"


def word_before(match: re.Match[str], group: str | int = 0) -> str:
    """The word that ends where a match begins, in lower case; empty where there is none."""
    start = match.start(group)
    found = _LAST_WORD.search(match.string, max(0, start - 24), start)
    return found[1].lower() if found else ""


def word_after(match: re.Match[str], group: str | int = 0) -> str:
    """The word behind a match and white space, as written; empty where there is none."""
    end = match.end(group)
    found = _NEXT_WORD.match(match.string, end, end + 32)
    return found[1] if found else ""


_ARTICLES = word_set("a an the this that our his her my their your its another every each")
_NO_NOUN = word_set(
    """
    for in and or to of a an the per is was were are that which from at on with by more less
    than as but each off into i we you he she they it if when while because plus minus so now
    today yesterday ago worth
    """
)


def is_adjective(match: re.Match[str]) -> bool:
    """Whether an amount stands between an article and its noun: a $5 bill, the 3.5 GHz chip."""
    if word_before(match) not in _ARTICLES:
        return False
    after = word_after(match)
    return bool(after) and after.islower() and after not in _NO_NOUN


_LAST_WORD = re.compile(r"([^\W\d_]++)[ -]{0,2}\Z")
_NEXT_WORD = re.compile(r"[ -]{1,2}([^\W\d_]++)")
