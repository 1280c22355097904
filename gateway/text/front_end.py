"""From a text as it is written to sentences as they are spoken.

    written -> markup -> sentences -> spoken form -> pieces that fit the model

Sentences come as soon as each is certain, and are the same however the text arrives.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.text.characters import Characters
from gateway.text.expectation import expected_ms
from gateway.text.fit import Room, pieces
from gateway.text.lexicon import Lexicon
from gateway.text.mapped import MappedText
from gateway.text.markup.characters import speakable
from gateway.text.options import MAX_PAUSE_MS, TextRules, TextWarning
from gateway.text.protection import protected_spans, revealed, without_private
from gateway.text.reader import Piece, TextReader
from gateway.text.sentence import Sentence
from gateway.text.spoken import spoken_form

SENTENCE_SHARE = 0.9
"""Of what the context has beside the voice's prompts, for one sentence."""
MAX_WARNINGS = 64
"""Of one turn; the last one says that there were more."""


@dataclass(frozen=True)
class Limits:
    """What a sentence may be."""

    max_chars: int
    """Longer ones are cut, as written and in their spoken form."""
    room: Room | None = None
    """What the model has for it; None: nobody knows."""
    characters: Characters | None = None
    """What the model can read; None: anything."""

    @classmethod
    def of_model(
        cls, max_chars: int, max_positions: int, frame_ms: float, characters: str
    ) -> "Limits":
        """For a model with `max_positions` beside the voice's prompts, that can read `characters`;
        empty: any."""
        room = Room(round(max_positions * SENTENCE_SHARE), frame_ms)
        return cls(max_chars, room, Characters(characters) if characters else None)


class FrontEnd:
    """The text of one turn, in parts, to its sentences."""

    def __init__(self, rules: TextRules, lexicon: Lexicon, limits: Limits) -> None:
        """`lexicon` holds the operator's, the voice's and the call's entries."""
        self._rules = rules
        self._lexicon = lexicon
        self._limits = limits
        self._reader = TextReader(rules, limits.max_chars)
        self._warnings: list[TextWarning] = []
        self._num_warnings = 0
        self._told = 0
        self._pause_ms = 0
        self.num_chars = 0
        """Characters of the text so far."""

    @property
    def complete(self) -> bool:
        """Whether what waits is a whole sentence but for the character that would prove it."""
        return self._reader.complete

    @property
    def trailing_pause_ms(self) -> int:
        """Silence asked for behind the last sentence, once the text is finished."""
        return min(MAX_PAUSE_MS, self._pause_ms + self._reader.trailing_pause_ms)

    def feed(self, part: str) -> list[Sentence]:
        """The sentences that `part` completes."""
        self.num_chars += len(part)
        return self._sentences(self._reader.feed(part))

    def flush(self) -> list[Sentence]:
        """What is there, without waiting for more of it; the text goes on."""
        return self._sentences(self._reader.flush())

    def finish(self) -> list[Sentence]:
        """The rest of the text."""
        return self._sentences(self._reader.finish())

    def whole(self, text: str) -> list[Sentence]:
        """The sentences of a text that is there as a whole."""
        return self.feed(text) + self.finish()

    def warnings(self) -> list[TextWarning]:
        """What there is to say of the text since it was asked last."""
        for warning in self._reader.warnings[self._told :]:
            self._warn(warning)
        self._told = len(self._reader.warnings)
        told, self._warnings = self._warnings, []
        return told

    def _sentences(self, found: Iterable[Piece]) -> list[Sentence]:
        return [sentence for piece in found for sentence in self._sentence(piece)]

    def _sentence(self, piece: Piece) -> Iterable[Sentence]:
        spoken = self._spoken(piece)
        self._pause_ms += piece.pause_ms
        if not speakable(spoken.text) or self._nothing_known(spoken, piece):
            return
        limits = self._limits
        parts = list(pieces(spoken, limits.room, limits.max_chars))
        at = piece.first_char
        for number, part in enumerate(parts):
            # A cut may be amid the words of one number: what is written belongs to the first.
            first = max(at, part.span(0, len(part))[0]) if number else at
            end = piece.end_char if number == len(parts) - 1 else part.span(0, len(part))[1]
            at = end = max(first, end)
            pause_ms, self._pause_ms = min(self._pause_ms, MAX_PAUSE_MS), 0
            start = first - piece.first_char
            written = piece.written[start : end - piece.first_char].strip()
            yield Sentence(part, written, first, end, expected_ms(part.text), pause_ms)

    def _spoken(self, piece: Piece) -> MappedText:
        # Spans that were asked to be spelled come from markup, which leaves no private characters.
        text = piece.text
        text = protected_spans(text, piece.verbatim) if piece.verbatim else without_private(text)
        text = self._lexicon.apply(text)
        if self._rules.normalize:
            text = spoken_form(text, self._rules.language)
        return revealed(text).stripped()

    def _nothing_known(self, spoken: MappedText, piece: Piece) -> bool:
        """Warns of what the model cannot read; True where that is all of it."""
        if self._limits.characters is None:
            return False
        unknown = list(self._limits.characters.unknown(spoken.text))
        if not unknown:
            return False
        rest, at = [], 0
        for start, end in unknown:
            rest.append(spoken.text[at:start])
            at = end
        rest.append(spoken.text[at:])
        nothing = not speakable("".join(rest))
        spans = [(piece.first_char, piece.end_char)] if nothing else []
        spans = spans or [spoken.span(start, end) for start, end in unknown]
        for first, end in spans:
            what = "has no character that the model knows" if nothing else "unknown to the model"
            self._warn(TextWarning("UNSPEAKABLE", first, end, f"not spoken: {what}"))
        return nothing

    def _warn(self, warning: TextWarning) -> None:
        self._num_warnings += 1
        if self._num_warnings < MAX_WARNINGS:
            self._warnings.append(warning)
        elif self._num_warnings == MAX_WARNINGS:
            more = TextWarning(
                warning.kind, warning.first_char, warning.end_char, "and more of the kind from here"
            )
            self._warnings.append(more)
