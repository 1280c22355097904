"""What the reader of markup gives: words, spaces and breaks, put where they belong."""

from gateway.text.markup.characters import shown
from gateway.text.markup.cleaned import Cleaned

_NAMES = {
    ".": "dot",
    "-": "dash",
    "_": "underscore",
    "/": "slash",
    "@": "at",
    "+": "plus",
    "#": "hash",
    "&": "and",
    "*": "star",
    ":": "colon",
}


class MarkupOutput:
    """Fills `cleaned`: never two spaces in a row, commas between the cells of a row, and what is
    to be spelled letter by letter."""

    def __init__(self) -> None:
        self.cleaned = Cleaned()
        self.item_start = False
        """Whether an item of a list began, and nothing of it was given yet."""
        self.spelled = False
        """Whether what is given is spelled."""
        self._spelled_before = False
        self._blank = True
        """Whether white space was the last thing given."""
        self._num_cells = 0
        self._cell_at = -1
        """Where the sign stands that a cell begins with, of which nothing was given yet."""

    def copy(self, chars: str, first: int) -> None:
        """Words, without white space, as they stand in the caller's text from `first` on."""
        self._begin()
        if self.spelled:
            for index, char in enumerate(chars, first):
                self._spell(char, index)
        else:
            self.cleaned.copy(chars, first)

    def give(self, char: str, first: int, end: int) -> None:
        """A character that stands for [first, end)."""
        if char != " ":
            self._begin()
            if self.spelled:
                self._spell(char, first)
            else:
                self.cleaned.put(char, first, end)
        elif not self._blank and not self.spelled:
            self.cleaned.put(" ", first, end)
            self._blank = True

    def show(self, char: str, before: str, first: int, end: int) -> None:
        """A character of the caller's text behind `before`, if it is one to be spoken."""
        given = shown(char, before)
        if given:
            self.give(given, first, end)

    def put_words(self, words: str, first: int, end: int) -> None:
        """Words that stand for [first, end)."""
        before = ""
        for char in words:
            self.show(char, before, first, end)
            before = char

    def put_break(self, mark: str, first: int, end: int) -> None:
        """One of the breaks of `cleaned`."""
        self.cleaned.put(mark, first, end)
        self._blank = True

    def begin_row(self) -> None:
        """A row of a table begins."""
        self._num_cells, self._cell_at = 0, -1

    def begin_cell(self, position: int) -> None:
        """A cell of the row begins with the sign at `position`."""
        self._cell_at = position

    def begin_spelling(self, spelled: bool) -> None:
        """What is given from now on is spelled, or no longer."""
        self.spelled, self._spelled_before = spelled, False

    def _begin(self) -> None:
        """Something other than white space is given."""
        if self._cell_at >= 0:
            # A cell with something in it: the one before it ends with a comma.
            if self._num_cells:
                self.cleaned.put(", ", self._cell_at, self._cell_at + 1)
            self._num_cells += 1
            self._cell_at = -1
        self._blank = self.item_start = False

    def _spell(self, char: str, first: int) -> None:
        given = _NAMES.get(char, char.upper())
        if not given.isalnum():
            return
        if self._spelled_before:
            self.cleaned.put(" ", first, first)
        self._spelled_before = True
        start = self.cleaned.end
        self.cleaned.put(given, first, first + 1)
        self.cleaned.verbatim.append((start, start + len(given)))
