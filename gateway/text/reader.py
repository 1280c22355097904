"""A turn's text as it arrives, into the sentences to speak."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.text.mapped import Edit, MappedText
from gateway.text.markup.characters import speakable
from gateway.text.markup.cleaned import PARAGRAPH, PAUSE, VOICE, AskedVoice
from gateway.text.markup.reader import MarkupReader
from gateway.text.options import TextRules, TextWarning
from gateway.text.sentences import SentenceCutter, Span

_SPACES = re.compile(r"\s+")
_MAX_OPENING_CHARS = 256
"""Signs before a sentence's first character that still are the sentence's, at the most."""
# Those that write ordinals with a full stop.
_ORDINAL_LANGUAGES = frozenset(
    ("cs", "da", "de", "et", "fi", "hr", "hu", "is", "lv", "nb", "nn", "no", "pl", "sk", "sl", "sr")
)
_PUNCTUATION = ",.!?;:"


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence of a turn's text: what is generated in one go."""

    written: str
    """Characters [first_char, end_char) of the caller's text, markup included."""
    first_char: int
    end_char: int
    """Without white space at its ends."""
    text: MappedText
    """The sentence without its markup, all on one line: what the spoken form is made of."""
    pause_ms: int = 0
    """Silence that is asked for before it."""
    verbatim: tuple[tuple[int, int], ...] = ()
    """Spans [start, end) of `text` that were asked to be spelled and are, letter by letter."""
    voice: AskedVoice | None = None
    """Who speaks it; None: the turn's own voice."""


def _has_ordinals(language: str) -> bool:
    return language.partition("-")[0].lower() in _ORDINAL_LANGUAGES


class TextReader:
    """Takes the parts of one turn's text, gives its sentences as soon as each is certain: the
    same however the text is cut."""

    def __init__(self, options: TextRules, max_chars: int) -> None:
        """Sentences of more than `max_chars` characters, without markup, are cut."""
        self._options = options
        self._markup = MarkupReader(options.markup)
        self._cleaned = self._markup.output.cleaned
        self._cutter = SentenceCutter(self._cleaned, max_chars, _has_ordinals(options.language))
        self._raw: list[str] = []
        """The caller's text from `_raw_first` on."""
        self._raw_first = 0
        self._written_first = 0
        """Where the next sentence begins in the caller's text, its markup included."""
        self._begun = False
        """Whether there was a sentence."""
        self._pause_ms = 0
        self._line_pause_ms = 0
        self._part_voice = ""
        self._voice: AskedVoice | None = None

    def feed(self, part: str, voice: str = "") -> list[Piece]:
        """The sentences that `part`, spoken by that voice, completes. Where the voice is another
        than that of the part before, a sentence ends, and so does what tags said of voices."""
        if voice != self._part_voice:
            self._part_voice = voice
            self._markup.begin_part(voice)
        self._raw.extend(part)
        self._markup.feed(part)
        return self._pieces(final=False)

    def flush(self) -> list[Piece]:
        """What is there, without waiting for more; the text goes on afterwards."""
        self._markup.flush()
        return self._pieces(final=True)

    def finish(self) -> list[Piece]:
        """The rest of the text."""
        self._markup.finish()
        return self._pieces(final=True)

    @property
    def pending(self) -> bool:
        """Whether there is something to speak that waits for more of the text. Rarely it is
        markup within signs that are not certain yet, of which a flush gives nothing."""
        held = self._markup.held
        if speakable(held) or speakable(self._cleaned.text[self._cutter.first :]):
            return True
        # A sign that is spelled has a name: "hash".
        return self._markup.output.spelled and bool(held.strip())

    @property
    def complete(self) -> bool:
        """Whether what is pending ends as a sentence does, and only what may follow is missing."""
        return self._markup.tail in ("", "!") and (
            self._cutter.is_complete() or (self._markup.tail == "!" and self.pending)
        )

    @property
    def warnings(self) -> list[TextWarning]:
        """What was left out so far, in order of the text."""
        return self._markup.elements.warnings

    @property
    def trailing_pause_ms(self) -> int:
        """Silence that is asked for behind the last sentence."""
        return self._pause_ms

    def _pieces(self, final: bool) -> list[Piece]:
        found = list(self._all(final))
        self._forget()
        return found

    def _all(self, final: bool) -> Iterator[Piece]:
        while True:
            before = self._cutter.first
            span = self._cutter.next(final)
            self._pass_breaks(before, span.start if span else self._cutter.first)
            if span is None:
                return
            yield from self._piece(span, final)

    def _pass_breaks(self, start: int, end: int) -> None:
        """What white space before a sentence asks for, and where the sentence begins."""
        cleaned, options = self._cleaned, self._options
        for index in range(start, end):
            char = cleaned.text[index]
            self._written_first = max(self._written_first, cleaned.ends[index])
            if char == PAUSE:
                self._pause_ms += cleaned.pauses.popleft().ms
            elif char == VOICE:
                self._voice = cleaned.voices.popleft()
            elif char != " " and self._begun:
                ms = options.paragraph_pause_ms if char == PARAGRAPH else options.newline_pause_ms
                self._line_pause_ms = max(self._line_pause_ms, ms)

    def _piece(self, span: Span, final: bool) -> Iterator[Piece]:
        cleaned = self._cleaned
        start, end = span
        if end < len(cleaned.text):
            spaced = cleaned.text[end].isspace()
            written_end = cleaned.firsts[end] if spaced else cleaned.ends[end - 1]
        else:
            written_end = self._markup.position
        written_end = max(written_end, self._written_first)
        first = self._written_first
        if cleaned.firsts[start] - first > _MAX_OPENING_CHARS:
            first = cleaned.firsts[start]
        self._written_first = written_end
        text = MappedText(
            cleaned.text[start:end], cleaned.firsts[start:end], cleaned.ends[start:end]
        ).stripped()
        if not speakable(text.text):
            return
        written = "".join(self._raw[first - self._raw_first : written_end - self._raw_first])
        first += len(written) - len(written.lstrip())
        written = written.strip()
        verbatim = tuple(self._verbatim(start, start + len(text)))
        if not verbatim:
            text = self._on_one_line(text, written, first)
        pause_ms = max(self._pause_ms, self._line_pause_ms)
        self._pause_ms = self._line_pause_ms = 0
        self._begun = True
        yield Piece(written, first, first + len(written), text, pause_ms, verbatim, self._voice)

    def _verbatim(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        spans, taken = self._cleaned.verbatim, self._cleaned.taken
        while spans and spans[0][0] < taken + end:
            first, last = spans.popleft()
            yield first - taken - start, last - taken - start

    def _on_one_line(self, text: MappedText, written: str, first: int) -> MappedText:
        """Line breaks become spaces; those go that only parted a stop from a sign left out."""
        edits = []
        for gap in _SPACES.finditer(text.text):
            start, end = gap.span()
            if text.text[end] in _PUNCTUATION and text.text[start - 1].isalnum():
                parted = written[text.firsts[start] - first : text.firsts[end] - first]
                added = written[text.firsts[end] - first] != text.text[end]
                if added or not parted.isspace():
                    edits.append(Edit(start, end, ""))
                    continue
            if gap[0] != " ":
                edits.append(Edit(start, end, " "))
        return text.edited(edits) if edits else text

    def _forget(self) -> None:
        cutter = self._cutter
        gone = cutter.first
        self._cleaned.drop(gone)
        cutter.forget(gone)
        first = self._written_first
        if not self._cleaned.text and self._markup.position - first > _MAX_OPENING_CHARS:
            first = self._markup.position
        if first > self._raw_first:
            del self._raw[: first - self._raw_first]
            self._raw_first = first
