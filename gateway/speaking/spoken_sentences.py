"""The sentences of a turn that were submitted, their frames, and what is kept of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gateway.conversations.cuts import Cut, packed
from gateway.conversations.store import Segment, cut
from gateway.text.expectation import CHARS_PER_SECOND
from gateway.text.sentence import Sentence


@dataclass(slots=True)
class SpokenSentence:
    """A sentence that was submitted, and its frames."""

    sentence: Sentence
    first_frame: int
    codes: list[bytes] = field(default_factory=list)
    num_frames: int = 0
    whole: bool = False
    """The model itself ended it: the frames are those of the whole text."""
    seed: int | None = None
    """What its codes are drawn with, as the generator says; None: it has not begun."""
    again: bool = False

    @property
    def packed(self) -> bytes:
        """All its codes."""
        return b"".join(self.codes)


class SpokenSentences:
    """In order, of one turn."""

    def __init__(
        self,
        speaker: int,
        frame_ms: float,
        cuts: Callable[[SpokenSentence], Sequence[Cut]] = lambda _: (),
    ) -> None:
        """`cuts`: where the text of a sentence may be cut; none: in proportion."""
        self.num_frames = 0
        """Of all."""
        self._speaker = speaker
        self._frame_ms = frame_ms
        self._cuts = cuts
        self._sentences: list[SpokenSentence] = []

    def __len__(self) -> int:
        return len(self._sentences)

    @property
    def all(self) -> Sequence[SpokenSentence]:
        """In order."""
        return self._sentences

    @property
    def last(self) -> SpokenSentence:
        """The one submitted last."""
        return self._sentences[-1]

    @property
    def texts(self) -> Iterable[Sentence]:
        """What was submitted."""
        return (spoken.sentence for spoken in self._sentences)

    def begin(self, sentence: Sentence, *, again: bool = False) -> SpokenSentence:
        """The next is submitted; `again`: the one that was withdrawn is said anew."""
        spoken = SpokenSentence(sentence, self.num_frames, again=again)
        self._sentences.append(spoken)
        return spoken

    def take(self, spoken: SpokenSentence, codes: bytes, num_frames: int) -> None:
        """Further frames of the last one."""
        spoken.codes.append(codes)
        spoken.num_frames += num_frames
        self.num_frames += num_frames

    def withdraw(self, spoken: SpokenSentence) -> None:
        """The last one was not said."""
        self._sentences.remove(spoken)
        self.num_frames = spoken.first_frame

    def text_chars(self, num_frames: int) -> int:
        """Characters of the text whose sentence has begun within the first `num_frames`."""
        for spoken in reversed(self._sentences):
            if spoken.first_frame < num_frames:
                return spoken.sentence.end_char
        return 0

    def cut_seed(self, kept_frames: int) -> int | None:
        """What the sentence was drawn with that the first `kept_frames` break off in; None: they
        end with a sentence."""
        for spoken in reversed(self._sentences):
            if spoken.first_frame < kept_frames:
                ends = spoken.first_frame + spoken.num_frames
                return None if spoken.whole and ends <= kept_frames else spoken.seed
        return None

    def before(self, spoken: SpokenSentence) -> list[Segment]:
        """Those before this one as the generator that made them has them in its context: with all
        of their text, however they ended."""
        return [
            self._segment(one) for one in self._sentences if one is not spoken and one.num_frames
        ]

    def segments(self, kept_frames: int) -> list[Segment]:
        """The first `kept_frames` as segments, a sentence each.

        One that is cut, or that the model never finished, keeps the words that were heard where
        their times are known, else its text in proportion.
        """
        ended = [s for s in self._sentences if s.whole and s.sentence.text]
        chars = sum(len(s.sentence.text) for s in ended)
        frames_per_char = 1000 / self._frame_ms / CHARS_PER_SECOND
        if chars:
            frames_per_char = sum(s.num_frames for s in ended) / chars
        found = []
        for spoken in self._sentences:
            frames = min(kept_frames - spoken.first_frame, spoken.num_frames)
            if frames <= 0:
                continue
            text = spoken.sentence.text
            whole_frames = spoken.num_frames
            if not spoken.whole:
                whole_frames = max(whole_frames, round(len(text) * frames_per_char))
            segment = replace(self._segment(spoken), cuts=packed(self._cuts(spoken)))
            segment = cut(segment, frames, whole_frames)
            written = spoken.sentence.written_until(len(segment.text))
            found.append(replace(segment, written="" if written == segment.text else written))
        return found

    def _segment(self, spoken: SpokenSentence) -> Segment:
        sentence = spoken.sentence
        speaker = self._speaker if sentence.speaker is None else sentence.speaker
        return Segment(
            speaker, sentence.text, spoken.packed, spoken.num_frames, voice=sentence.voice
        )
