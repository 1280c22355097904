"""Sentences that fit the model: measured in its own positions, and cut where they do not."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.text.cut import best_cut
from gateway.text.expectation import expected_ms
from gateway.text.mapped import MappedText

_TEMPLATE_POSITIONS = 8
"""What CSM's template puts around a text: BOS, EOS, and the speaker's number."""
_SLOWER = 1.25
"""A slow speaker takes so much more than is expected."""
_MIN_CHARS = 16


@dataclass(frozen=True)
class Room:
    """What the model has for a sentence."""

    max_positions: int
    """For its text and its speech together."""
    frame_ms: float

    def holds(self, spoken_form: str) -> bool:
        """Whether a sentence fits, whatever the text tokenizer: none makes more tokens of a text
        than it has bytes."""
        positions = len(spoken_form.encode()) + _TEMPLATE_POSITIONS
        frames = _SLOWER * expected_ms(spoken_form) / self.frame_ms
        return positions + frames <= self.max_positions


def pieces(text: MappedText, room: Room | None, max_chars: int) -> Iterator[MappedText]:
    """The text in pieces of at most `max_chars` characters that `room` holds, cut at clauses, else
    at words. One of a few characters is given whether it fits or not."""
    rest = text.stripped()
    while len(rest):
        size = min(len(rest), max_chars)
        while size > _MIN_CHARS and room is not None and not room.holds(rest.text[:size]):
            size = max(_MIN_CHARS, size * 9 // 10)
        if size >= len(rest):
            yield rest
            return
        end = best_cut(rest.text, size)
        yield rest.part(0, end).stripped()
        rest = rest.part(end, len(rest)).stripped()
