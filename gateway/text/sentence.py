"""A sentence ready to be spoken."""

from dataclasses import dataclass

from gateway.text.mapped import MappedText


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of a turn's text that is generated in one go."""

    spoken: MappedText
    """Its spoken form; empty: the last audio of the context is continued."""
    written: str
    """As the caller wrote it, without white space at its ends."""
    first_char: int
    """Where its first character is in the caller's text."""
    end_char: int
    """One past its last character there."""
    expected_ms: int = 0
    """Milliseconds that its speech is expected to take; 0: nobody knows."""
    pause_ms: int = 0
    """Milliseconds of silence before it."""
    voice: str = ""
    """The voice that speaks it, by name; empty: nobody said."""
    speaker: int | None = None
    """That voice's speaker number; None: the turn's."""

    @property
    def text(self) -> str:
        """What the model is given."""
        return self.spoken.text

    def written_until(self, spoken_chars: int) -> str:
        """As written, up to where the first `spoken_chars` characters of its spoken form come
        from."""
        if spoken_chars >= len(self.spoken):
            return self.written
        _, end = self.spoken.span(0, spoken_chars)
        return self.written[: max(0, end - self.first_char)].rstrip()


CONTINUE = Sentence(MappedText.of(""), "", 0, 0)
"""No words: the generator goes on with the last audio of the context."""
