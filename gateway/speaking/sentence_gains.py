"""Where in a turn's sound another voice begins, and with what gain."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.marks.turn_marks import SubmittedSentence
from gateway.sound.options import Processing
from gateway.sound.voice_gain import VoiceGain
from gateway.text.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound of one gain, as far as it came."""

    first_sample: int
    """Of the turn."""
    num_samples: int
    num_frames: int
    """Frames of the turn by its end."""
    text_chars: int
    """Characters of the text that have begun by its end."""
    other: bool
    """Its gain is another than that of the sound before it."""
    gain: VoiceGain | None


class SentenceGains:
    """Parts a turn's sound where the gain changes: at the first sample of a sentence."""

    def __init__(
        self,
        processing: Processing,
        frame_samples: float,
        sentences: Callable[[], Sequence[SubmittedSentence]],
    ) -> None:
        """`sentences` are those that were submitted so far, in order; a frame takes
        `frame_samples` of what is parted."""
        self._processing = processing
        self._frame_samples = frame_samples
        self._sentences = sentences
        self.begin_again()

    def begin_again(self) -> None:
        """The turn starts anew."""
        self._gain = self._processing.gain
        self._num_samples = 0

    def expect(self, sentences: Sequence[Sentence]) -> None:
        """These will be spoken: what is not known of their voices may be found out meanwhile."""
        if self._processing.gain_of is not None:
            for sentence in sentences:
                self._processing.gain_of(sentence.voice)

    def stretches(self, num_samples: int, num_frames: int, text_chars: int) -> Iterator[Stretch]:
        """The next samples, by whose end the turn has `num_frames` and has begun `text_chars`."""
        begin, end = self._num_samples, self._num_samples + num_samples
        self._num_samples = end
        other = False
        before: SubmittedSentence | None = None
        for first_sample, spoken in self._begun(begin, end):
            if first_sample >= begin and (gain := self._gain_of(spoken)) is not self._gain:
                if first_sample > begin:
                    chars = text_chars if before is None else before.sentence.end_char
                    yield Stretch(
                        begin, first_sample - begin, spoken.first_frame, chars, other, self._gain
                    )
                begin, other, self._gain = first_sample, True, gain
            before = spoken
        yield Stretch(begin, end - begin, num_frames, text_chars, other, self._gain)

    # --- inside ---

    def _begun(self, begin: int, end: int) -> list[tuple[int, SubmittedSentence]]:
        """The sentence that is under way at `begin`, and those that begin before `end`, in order,
        each with its first sample; not those without any sound."""
        found: list[tuple[int, SubmittedSentence]] = []
        if self._processing.gain_of is None:
            return found
        for spoken in reversed(self._sentences()):
            first_sample = round(spoken.first_frame * self._frame_samples)
            if first_sample < end and not (found and found[-1][0] == first_sample):
                found.append((first_sample, spoken))
            if first_sample < begin:
                break
        return found[::-1]

    def _gain_of(self, spoken: SubmittedSentence) -> VoiceGain | None:
        assert self._processing.gain_of is not None
        return self._processing.gain_of(spoken.sentence.voice)
