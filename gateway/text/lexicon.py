"""Words and how they are said: given with a request, by a voice, and in an operator's file."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from csm.lexicon_file import MAX_ENTRY_CHARS, LexiconError, read_lexicon
from gateway.text.mapped import Edit, MappedText
from gateway.text.protection import protected

_WORD = re.compile(r"\w+|[^\w\s]")
"""What texts and entries are compared by: "AT&T" is three of them."""

_log = logging.getLogger(__name__)


class _Layer:
    """One list of entries, by the parts of their words."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.spellings: dict[tuple[str, ...], str] = {}
        self.sizes: dict[str, list[int]] = {}
        """The first part of a word in lower case to the numbers of parts, the largest first."""
        for word, spelling in entries.items():
            parts = tuple(_WORD.findall(word))
            if not parts:
                continue
            self.spellings[parts] = protected(" ".join(spelling.split()))
            sizes = self.sizes.setdefault(parts[0].lower(), [])
            if len(parts) not in sizes:
                sizes.append(len(parts))
                sizes.sort(reverse=True)

    def spelling(self, parts: tuple[str, ...]) -> str | None:
        """Of a word as it is written, else of the entry that has no capitals."""
        exact = self.spellings.get(parts)
        if exact is not None:
            return exact
        return self.spellings.get(tuple(part.lower() for part in parts))


class Lexicon:
    """Whole words to the spelling that is spoken in their place.

    An entry with a capital matches what is written alike, one without matches any case. Where
    several match, the longest does, and of those the one of the nearest layer. What is put in is
    not normalised again: it is protected (`gateway.text.protection`), and `spoken_form`, or
    `revealed` where that is not called, makes plain characters of it.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        """`entries`: the word as written (it may be several words) to its spelling.

        Raises:
            LexiconError: one of them is longer than `MAX_ENTRY_CHARS`.
        """
        if any(len(part) > MAX_ENTRY_CHARS for entry in entries.items() for part in entry):
            raise LexiconError(f"a word or spelling of more than {MAX_ENTRY_CHARS} characters")
        layer = _Layer(entries)
        self._layers: tuple[_Layer, ...] = (layer,) if layer.spellings else ()

    def over(self, other: "Lexicon") -> "Lexicon":
        """The entries of both; where both have a word, this one's. As cheap as can be."""
        both = Lexicon({})
        both._layers = self._layers + other._layers
        return both

    def __len__(self) -> int:
        """The number of entries, of all layers."""
        return sum(len(layer.spellings) for layer in self._layers)

    def apply(self, text: MappedText) -> MappedText:
        """The text with each word of the lexicon as it is said, protected."""
        return text.edited(self._edits(text.text)) if self._layers else text

    def _edits(self, written: str) -> Iterator[Edit]:
        matches = list(_WORD.finditer(written))
        at = 0
        while at < len(matches):
            found = self._longest(
                [match[0] for match in matches[at : at + self._reach(matches[at])]]
            )
            if found is None:
                at += 1
                continue
            size, spelling = found
            yield Edit(matches[at].start(), matches[at + size - 1].end(), spelling)
            at += size

    def _reach(self, match: re.Match[str]) -> int:
        """How many parts an entry that begins with this one may have; 0 where there is none."""
        first = match[0].lower()
        return max((layer.sizes.get(first, [0])[0] for layer in self._layers), default=0)

    def _longest(self, parts: list[str]) -> tuple[int, str] | None:
        """The longest entry that `parts` begin with: its parts, its spelling."""
        best: tuple[int, str] | None = None
        for layer in self._layers if parts else ():
            for size in layer.sizes.get(parts[0].lower(), ()):
                if size > len(parts) or (best is not None and size <= best[0]):
                    continue
                spelling = layer.spelling(tuple(parts[:size]))
                if spelling is not None:
                    best = size, spelling
                    break
        return best


class LexiconFile:
    """An operator's file, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        """Raises `LexiconError` where the file cannot be used."""
        self._path = path
        self._stamp = self._look()
        self._lexicon = Lexicon(read_lexicon(path))

    def _look(self) -> tuple[int, int] | None:
        """What tells whether the file has changed; None where it is not there."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def current(self) -> Lexicon:
        """The entries now; those of before where the file has become unusable, which is logged."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._lexicon = Lexicon(read_lexicon(self._path))
            except LexiconError as error:
                _log.warning("lexicon not reloaded: %s", error)
        return self._lexicon
