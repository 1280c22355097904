"""What would be spoken of a text, without speaking it."""

from dataclasses import dataclass

from gateway.backends.backends import Backends
from gateway.text.front_end import FrontEnd
from gateway.text.off_loop import off_loop
from gateway.text.options import TextWarning
from gateway.text.sentence import Sentence


@dataclass(frozen=True)
class PreparedSentences:
    """A text's sentences as they would be spoken."""

    sentences: list[Sentence]
    positions: list[int]
    """That each takes in the model's context, its speech not counted."""
    warnings: list[TextWarning]
    trailing_pause_ms: int

    @property
    def spoken_form(self) -> str:
        """The whole text as it is read aloud."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def expected_ms(self) -> int:
        """Milliseconds that all of it is expected to take, pauses included."""
        return self.trailing_pause_ms + sum(s.expected_ms + s.pause_ms for s in self.sentences)


async def prepare(
    text: str, front_end: FrontEnd, speaker: int, backends: Backends
) -> PreparedSentences:
    """The text's sentences, measured by the generator. Raises its `ServiceError`."""
    sentences = await off_loop(len(text), lambda: front_end.whole(text))
    positions = await backends.count_positions(speaker, [s.text for s in sentences])
    return PreparedSentences(
        sentences, positions, front_end.warnings(), front_end.trailing_pause_ms
    )
