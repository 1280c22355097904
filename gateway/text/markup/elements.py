"""What the tags of HTML and SSML do, and the pauses of a turn."""

from csm.markup_tags import DROPPED, LINES, PARAGRAPHS, VOID
from gateway.text.markup.cleaned import LINE_END, PARAGRAPH, PAUSE, Pause
from gateway.text.markup.output import MarkupOutput
from gateway.text.markup.pauses import break_ms
from gateway.text.markup.tags import CELLS, Tag
from gateway.text.markup.voice_tags import MAX_DEPTH, VoiceTags
from gateway.text.options import Markup, TextWarning

MAX_TURN_PAUSE_MS = 60_000
"""Silence that a turn may ask for in all."""
MAX_WARNINGS = 64
MAX_WORDS_CHARS = 256
"""Of an alias, or of what an image is said to show."""
_SPELLED_AS = frozenset(
    ("characters", "character", "spell-out", "spell", "letters", "digits", "verbatim")
)
_APART = frozenset(("audio", "lang", "w"))
"""Elements of SSML whose words are never part of a word beside them; like those of vendors."""


class Elements:
    """The elements that are open, and what they ask for."""

    def __init__(self, markup: Markup, output: MarkupOutput) -> None:
        self._obeys = markup is Markup.OBEY
        self._output = output
        self.voices = VoiceTags(output)
        self.warnings: list[TextWarning] = []
        self.dropping = ""
        """The element whose content is left out."""
        self._dropped_at = 0
        self._ssml = False
        self._pauses_ms = 0
        self._num_cells = 0

    def warn(self, first: int, end: int, description: str, kind: str = "UNSPEAKABLE") -> None:
        """Something of [first, end) is not spoken; of many such parts, the first are named."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(TextWarning(kind, first, end, description))

    def end_drop(self, position: int) -> None:
        """The element that is left out has ended."""
        if self.dropping in DROPPED:
            self.warn(self._dropped_at, position, "content that is not for reading is left out")
        self.dropping = ""

    def meet(self, tag: Tag, first: int, end: int) -> None:
        """Does what the tag at [first, end) asks for."""
        name, output = tag.name.removeprefix("ssml:"), self._output
        opens = not (tag.closing or tag.empty or name in VOID)
        # What stands before an opening tag ends there; behind a closing one, the next begins.
        at = end if tag.closing else first
        self._ssml = self._ssml or name == "speak"
        if name in PARAGRAPHS:
            output.put_break(PARAGRAPH, at, at)
        elif name in LINES or (name == "s" and self._ssml):
            self._num_cells = 0
            output.put_break(LINE_END, at, at)
        elif name in CELLS:
            if opens:
                if self._num_cells:
                    output.put_words(", ", first, first)
                self._num_cells += 1
        elif name in DROPPED:
            if opens:
                self.dropping, self._dropped_at = name, first
        elif name == "break":
            if not tag.closing:
                self.pause(break_ms(tag.attributes), first, end)
        elif name == "sub":
            alias = tag.attributes.get("alias", "")
            if self._obeys and opens and alias:
                output.put_words(alias[:MAX_WORDS_CHARS], first, end)
                self.dropping, self._dropped_at = name, first
        elif name == "say-as":
            kind = tag.attributes.get("interpret-as", "").lower()
            output.begin_spelling(self._obeys and opens and kind in _SPELLED_AS)
        elif name == "voice" and not tag.empty:
            self._voice(tag, first, end)
        elif name in (*_APART, "voice") or ":" in name:
            output.put_words(" ", at, at)
        elif name == "img":
            shows = tag.attributes.get("alt", "")[:MAX_WORDS_CHARS]
            output.put_words(f" {shows} ", first, end)

    def _voice(self, tag: Tag, first: int, end: int) -> None:
        if not self._obeys:
            at = end if tag.closing else first
            self._output.put_words(" ", at, at)
        elif tag.closing:
            self.voices.end(first, end)
        elif not self.voices.begin(tag.attributes.get("name", "").strip(), first, end):
            told = f"voice elements are {MAX_DEPTH} deep already; this one changes nothing"
            self.warn(first, end, told, "IGNORED")

    def voice(self, name: str, first: int, end: int) -> None:
        """Another voice by a tag in brackets, if it is obeyed; empty: the one before the tags."""
        if self._obeys:
            self.voices.bracket(name, first, end)
        else:
            self._output.put_words(" ", first, end)

    def pause(self, ms: int, first: int, end: int) -> None:
        """Silence, if pauses are obeyed and there were not too many."""
        if not self._obeys:
            self._output.put_words(" ", first, end)
            return
        if self._pauses_ms + ms > MAX_TURN_PAUSE_MS:
            ms = MAX_TURN_PAUSE_MS - self._pauses_ms
            self.warn(first, end, f"pauses of a turn end after {MAX_TURN_PAUSE_MS} ms", "CUT")
        self._pauses_ms += ms
        cleaned = self._output.cleaned
        cleaned.pauses.append(Pause(cleaned.end, ms))
        self._output.put_break(PAUSE, first, end)
