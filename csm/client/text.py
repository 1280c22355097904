"""What is done to a text before it is spoken, and what would be spoken of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from csm.client.messages import Warning
from csm.errors import invalid
from csm.v1 import speech_pb2

MarkupName = Literal["strip", "obey", "off"]


@dataclass(frozen=True)
class TextOptions:
    """What is done to a text before it is spoken. None and empty are left to the server."""

    normalize: bool | None = None
    """Put numbers, units, signs and abbreviations into words."""
    language: str = ""
    """BCP 47, e.g. `en` or `de`; empty: the voice's, else English."""
    markup: MarkupName | None = None
    """What becomes of SSML, HTML and Markdown: taken out (`strip`), taken out and done as it says
    (`obey`), or read as plain text (`off`)."""
    lexicon: Mapping[str, str] = field(default_factory=dict)
    """Words as written to their spelling as they are said; at most 256."""
    newline_pause_ms: int | None = None
    """Silence at a line break between sentences, 0..10000."""
    paragraph_pause_ms: int | None = None
    """Silence at a blank line, 0..10000."""

    def to_proto(self) -> speech_pb2.TextOptions:
        """The wire message; raises `InvalidArgument` for what the wire cannot carry."""
        message = speech_pb2.TextOptions()
        for name in ("normalize", "language", "newline_pause_ms", "paragraph_pause_ms"):
            value = getattr(self, name)
            if value is None:
                continue
            try:
                setattr(message, name, value)
            except (TypeError, ValueError) as error:
                raise invalid(
                    f"text_options.{name}", f"{value!r} is not allowed: {error}"
                ) from None
        if self.markup is not None:
            allowed = ("strip", "obey", "off")
            if self.markup not in allowed:
                raise invalid(
                    "text_options.markup",
                    f"{self.markup!r} is not allowed; allowed are {', '.join(allowed)}",
                )
            message.markup = f"TEXT_MARKUP_{self.markup.upper()}"  # type: ignore[assignment]
        for word, spelling in self.lexicon.items():
            message.lexicon.add(word=word, spelling=spelling)
        return message


@dataclass(frozen=True)
class PreparedSentence:
    """A sentence as it would be spoken: characters [first_char, end_char) of the text."""

    text: str
    """As written."""
    spoken_form: str
    first_char: int
    end_char: int
    positions: int
    """That it takes in the model's context, its speech not counted."""
    expected_ms: int
    """That its speech is expected to take."""
    pause_before_ms: int


@dataclass(frozen=True)
class PreparedText:
    """What would be spoken of a text."""

    spoken_form: str
    sentences: tuple[PreparedSentence, ...]
    warnings: tuple[Warning, ...]
    expected_ms: int
    """That all of it is expected to take, pauses included."""

    @classmethod
    def from_proto(cls, message: speech_pb2.PrepareTextResponse) -> "PreparedText":
        """The values of a wire message."""
        names = PreparedSentence.__dataclass_fields__
        return cls(
            message.spoken_form,
            tuple(
                PreparedSentence(**{name: getattr(one, name) for name in names})
                for one in message.sentences
            ),
            tuple(Warning.from_proto(one) for one in message.warnings),
            message.expected_ms,
        )
