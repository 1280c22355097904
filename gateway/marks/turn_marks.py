"""The words of a spoken turn in its audio, while it is spoken: what to tell, and where to cut."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from gateway.commands import TurnOptions
from gateway.conversations.cuts import Cut
from gateway.marks.frame_times import FrameTimes
from gateway.marks.loudness import Loudness
from gateway.marks.paces import OF_ALL_TURNS, Paces
from gateway.marks.placing import Placed, SentenceSound, placed
from gateway.marks.spoken_word import SpokenWord
from gateway.marks.words import Word, total_ms, words_of
from gateway.text.sentence import Sentence

_LOUDEST_PERCENT = 95
_SOFTER_DB = 10
"""A sentence may be so much softer than those before it."""


class SubmittedSentence(Protocol):
    """A sentence that was submitted, and its frames."""

    @property
    def sentence(self) -> Sentence: ...
    @property
    def first_frame(self) -> int:
        """Of the turn."""

    @property
    def num_frames(self) -> int:
        """That it has so far."""

    @property
    def whole(self) -> bool:
        """The model itself ended it."""


class _Marked:
    """A sentence and what was made of it."""

    def __init__(self, spoken: SubmittedSentence) -> None:
        self.spoken = spoken
        self.words: Sequence[Word] = words_of(spoken.sentence)
        self.told = 0
        self.final: list[Placed] | None = None
        """Its words' times once all its sound was there."""


class TurnMarks:
    """What is known of the words of one turn."""

    def __init__(
        self,
        options: TurnOptions,
        frame_ms: float,
        sentences: Callable[[], Sequence[SubmittedSentence]],
        kept: bool,
        paces: Paces = OF_ALL_TURNS,
    ) -> None:
        """`sentences` gives those that were submitted so far, in order. `kept`: the turn joins a
        conversation, and may be cut to what was heard. Where it does not, and the client wants no
        word times, nothing is measured."""
        self._form = options.form
        self._speaker = options.speaker
        self._speed = options.sound.speed
        self._paces = paces
        self._frame_ms = frame_ms / options.sound.speed
        self.sentences = sentences
        """Those that were submitted so far, in order."""
        self._telling = options.word_times
        self._listening = self._telling or kept
        self._heard_ms = 0
        self.begin_again()

    def resume(self, heard_ms: int) -> None:
        """The turn goes on: so much of it was heard in another call, and its words were told."""
        self._heard_ms = heard_ms

    def begin_again(self) -> None:
        """Nothing has left: the turn starts anew."""
        self._timeline = FrameTimes(self._form.sample_rate_hz, self._frame_ms)
        self._loudness = Loudness(self._form)
        self._marked: dict[int, _Marked] = {}
        self._loudest_db = 0.0

    def sound(self, audio: bytes, num_frames: int) -> None:
        """The next chunk, by whose end the turn has `num_frames`."""
        if self._listening:
            self._timeline.add(len(audio) // self._form.sample_bytes, num_frames)
            self._loudness.feed(audio)

    def begun(self, first_sample: int, num_samples: int) -> list[SpokenWord]:
        """The words that begin in that chunk, of which each is told once, in order."""
        if not self._telling:
            return []
        first_ms = first_sample * 1000 / self._form.sample_rate_hz
        end_ms = (first_sample + num_samples) * 1000 / self._form.sample_rate_hz
        found: list[SpokenWord] = []
        for spoken in self.sentences():
            if not spoken.num_frames or self._timeline.start_ms(spoken.first_frame) >= end_ms:
                continue
            marked = self._mark(spoken)
            if marked.told < len(marked.words):
                found += self._tell(marked, first_ms, end_ms)
            elif spoken.whole and marked.final is None:
                self._placed(marked)
        return found

    def cuts(self, spoken: SubmittedSentence) -> tuple[Cut, ...]:
        """Where the text of a sentence may be cut, in order.

        A word counts as heard where at least half of it was.
        """
        if not self._listening or not spoken.num_frames:
            return ()
        marked = self._mark(spoken)
        start_ms = self._timeline.start_ms(spoken.first_frame)
        found = []
        for word, time in zip(marked.words, self._placed(marked), strict=True):
            half_ms = start_ms + (time.start_ms + time.end_ms) / 2
            frames = math.ceil(self._timeline.frames_at(half_ms) - spoken.first_frame)
            written = len(spoken.sentence.written_until(word.spoken_end))
            found.append((word.spoken_end, written, max(1, frames)))
        return tuple(found)

    # --- inside ---

    def _mark(self, spoken: SubmittedSentence) -> _Marked:
        marked = self._marked.get(id(spoken))
        if marked is None:
            # It is kept with it, so that no other sentence gets its id.
            marked = self._marked[id(spoken)] = _Marked(spoken)
        return marked

    def _tell(self, marked: _Marked, first_ms: float, end_ms: float) -> list[SpokenWord]:
        spoken = marked.spoken
        start_ms = self._timeline.start_ms(spoken.first_frame)
        stop_ms = self._timeline.end_of_ms(spoken.first_frame + spoken.num_frames)
        all_of_it = spoken.whole and stop_ms <= end_ms + 0.5
        times = self._placed(marked)
        found = []
        for word, time in zip(marked.words[marked.told :], times[marked.told :], strict=True):
            begins_ms = start_ms + time.start_ms
            if begins_ms >= end_ms and not all_of_it:
                break
            marked.told += 1
            # One that was being spoken when the call broke off may have been told or not: it is.
            if word.first_char == word.end_char or start_ms + time.end_ms <= self._heard_ms:
                continue
            # What was thought to come later may turn out to have begun before.
            begins_ms = min(max(begins_ms, first_ms), end_ms - 1)
            ends_ms = max(begins_ms, start_ms + time.end_ms)
            found.append(
                SpokenWord(
                    word.first_char, word.end_char, int(begins_ms), int(ends_ms), word.written
                )
            )
        return found

    def _placed(self, marked: _Marked) -> list[Placed]:
        if marked.final is not None:
            return marked.final
        spoken, timeline = marked.spoken, self._timeline
        start_ms = timeline.start_ms(spoken.first_frame)
        stop_ms = timeline.end_of_ms(spoken.first_frame + spoken.num_frames)
        levels = self._loudness.between(start_ms, min(stop_ms, timeline.end_ms))
        loudest_db = self._loudest_db - _SOFTER_DB
        if len(levels):
            loudest_db = max(loudest_db, float(np.percentile(levels, _LOUDEST_PERCENT)))
        length_ms = stop_ms - start_ms if spoken.whole else None
        heard = SentenceSound(levels, loudest_db, length_ms)
        speaker = self._speaker if spoken.sentence.speaker is None else spoken.sentence.speaker
        times = placed(marked.words, heard, self._paces.of(speaker) / self._speed)
        if spoken.whole and stop_ms <= timeline.end_ms + 0.5:
            marked.final = times
            self._loudest_db = max(self._loudest_db, loudest_db)
            spoken_ms = sum(time.end_ms - time.start_ms for time in times)
            self._paces.learn(speaker, spoken_ms * self._speed, total_ms(marked.words))
        return times
