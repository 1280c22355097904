"""From a text as it is written to sentences as they are spoken.

    written -> markup -> sentences -> spoken form -> pieces that fit the model

Sentences come as soon as each is certain, and are the same however the text arrives.
"""

from collections.abc import Iterable

from csm import errors
from gateway.text.expectation import expected_ms
from gateway.text.fit import pieces
from gateway.text.lexicon import Lexicon
from gateway.text.mapped import MappedText
from gateway.text.markup.characters import speakable
from gateway.text.options import MAX_PAUSE_MS, TextRules, TextWarning
from gateway.text.protection import protected_spans, revealed, without_private
from gateway.text.reader import Piece, TextReader
from gateway.text.sentence import Sentence
from gateway.text.spoken import spoken_form
from gateway.text.voicing import SpeakingVoice, VoiceRefused, Voicing

MAX_WARNINGS = 64
"""Of one turn; the last one says that there were more."""


class FrontEnd:
    """The text of one turn, in parts, to its sentences."""

    def __init__(self, rules: TextRules, voicing: Voicing) -> None:
        self._rules = rules
        self._voicing = voicing
        self._voices: dict[str, SpeakingVoice] = {}
        """By the names that the text gave, of which there are no more than its length allows."""
        self._reader = TextReader(rules, voicing.limits().max_chars)
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

    def feed(self, part: str, voice: str = "") -> list[Sentence]:
        """The sentences that `part`, spoken by that voice, completes; empty: the turn's own.

        Raises `InvalidArgument` where the text names a voice that must be known and is not.
        """
        # Named or not, it is no change.
        voice = "" if voice == self._voicing.own.name else voice
        found = self._reader.feed(part, voice)
        self.num_chars += len(part)
        return self._sentences(found)

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
        voice = self._voice(piece)
        spoken = self._spoken(piece, voice.lexicon)
        self._pause_ms += piece.pause_ms
        if not speakable(spoken.text) or self._nothing_known(spoken, piece):
            return
        limits = self._voicing.limits()
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
            ms = expected_ms(part.text)
            yield Sentence(part, written, first, end, ms, pause_ms, voice.name, voice.speaker)

    def _voice(self, piece: Piece) -> SpeakingVoice:
        asked = piece.voice
        if asked is None:
            return self._voicing.own
        voice = self._voices.get(asked.name)
        if voice is None:
            try:
                voice = self._voicing.find(asked.name)
            except VoiceRefused as refused:
                first, end = asked.first_char, asked.end_char
                if self._voicing.must_know:
                    told = f"characters {first}..{end}: {refused}"
                    raise errors.invalid("text", told) from None
                self._warn(TextWarning("IGNORED", first, end, str(refused)))
                voice = self._voicing.own
            self._voices[asked.name] = voice
        return voice

    def _spoken(self, piece: Piece, lexicon: Lexicon) -> MappedText:
        # Spans that were asked to be spelled come from markup, which leaves no private characters.
        text = piece.text
        text = protected_spans(text, piece.verbatim) if piece.verbatim else without_private(text)
        text = lexicon.apply(text)
        if self._rules.normalize:
            text = spoken_form(text, self._rules.language)
        return revealed(text).stripped()

    def _nothing_known(self, spoken: MappedText, piece: Piece) -> bool:
        """Warns of what the model cannot read; True where that is all of it."""
        characters = self._voicing.limits().characters
        if characters is None:
            return False
        unknown = list(characters.unknown(spoken.text))
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
