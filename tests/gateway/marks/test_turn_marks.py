"""The words of a turn while it is spoken."""

from dataclasses import replace

import numpy as np
import pytest

from csm.audio.pcm import pcm_bytes
from csm.v1 import common_pb2
from gateway.commands import SamplingOptions, StreamFormat, TurnOptions
from gateway.marks.paces import Paces
from gateway.marks.spoken_word import SpokenWord
from gateway.marks.turn_marks import TurnMarks
from gateway.speaking.spoken_sentences import SpokenSentence
from gateway.text.front_end import FrontEnd
from gateway.text.lexicon import Lexicon
from gateway.text.limits import Limits
from gateway.text.options import TextRules
from gateway.text.voicing import Voicing

FRAME_MS = 80
S16 = common_pb2.AUDIO_ENCODING_PCM_S16LE


class Turn:
    """A turn of sentences whose sound is loud or silent, frame by frame."""

    def __init__(
        self, text: str, form: StreamFormat | None = None, word_times: bool = True
    ) -> None:
        self.form = form or StreamFormat(S16, 24_000, 1)
        self.spoken: list[SpokenSentence] = []
        self.waiting = FrontEnd(TextRules(), Voicing.alone(Lexicon({}), Limits(200))).whole(text)
        options = TurnOptions(0, self.form, SamplingOptions(), word_times=word_times)
        self.marks = TurnMarks(options, FRAME_MS, lambda: self.spoken, True, Paces())
        self.num_frames = self.num_samples = 0

    def begin(self) -> None:
        self.spoken.append(SpokenSentence(self.waiting.pop(0), self.num_frames))

    def chunk(self, loud: bool, frames: int = 1, last: bool = False) -> list[SpokenWord]:
        """The sound of a frame, or without frames so much silence; the words told with it."""
        self.num_frames += frames
        if frames:
            self.spoken[-1].num_frames += frames
            self.spoken[-1].whole = last
        samples = self.form.sample_rate_hz * FRAME_MS * max(frames, 1) // 1000
        sound = np.full(samples * self.form.channels, 0.3 if loud else 0.0003, np.float32)
        self.marks.sound(pcm_bytes(sound, self.form.encoding), self.num_frames)  # type: ignore[arg-type]
        first, self.num_samples = self.num_samples, self.num_samples + samples
        return self.marks.begun(first, samples)

    def say(self, loud: str) -> list[list[SpokenWord]]:
        """A whole sentence, "#" a loud frame, "." a silent one."""
        self.begin()
        last = len(loud) - 1
        return [self.chunk(c == "#", last=i == last) for i, c in enumerate(loud)]


def test_each_word_is_told_once_in_the_chunk_in_which_it_begins() -> None:
    turn = Turn("Hello there, my friend.")
    told = turn.say("..########..#######..")
    words = [word for chunk in told for word in chunk]
    assert [word.word for word in words] == ["Hello", "there", "my", "friend"]
    for number, chunk in enumerate(told):
        for word in chunk:
            assert number * FRAME_MS <= word.start_ms < (number + 1) * FRAME_MS
            assert word.end_ms >= word.start_ms
    assert words[0].start_ms == 160


def test_a_pause_between_sentences_is_part_of_the_time() -> None:
    turn = Turn("One. Two.")
    turn.say("#####")
    for _ in range(10):
        assert turn.chunk(False, frames=0) == []
    ((word,), *_) = turn.say("#####")
    assert (word.word, word.start_ms) == ("Two", 15 * FRAME_MS)
    assert (word.first_char, word.end_char) == (5, 8)


def test_what_is_left_is_told_with_the_last_chunk() -> None:
    turn = Turn("An unbelievably extraordinary, misunderstood circumstance.")
    told = turn.say("##")
    assert sum(map(len, told)) == 5
    assert all(word.start_ms < 2 * FRAME_MS for chunk in told for word in chunk)


def test_a_sentence_that_is_not_whole_tells_only_what_has_begun() -> None:
    turn = Turn("One two three four five six seven eight nine ten eleven twelve.")
    turn.begin()
    told = [word for _ in range(6) for word in turn.chunk(True)]
    assert 0 < len(told) < 6


def test_the_pace_of_a_voice_is_learnt() -> None:
    text = "One two three four five six seven."
    slow, new = Turn(f"{text} {text}"), Turn(text)
    slow.say("#" * 60)
    known, unknown = slow.say("#" * 60)[0][0], new.say("#" * 60)[0][0]
    assert known.end_ms - known.start_ms > 1.2 * (unknown.end_ms - unknown.start_ms)


def test_nothing_is_told_to_whom_did_not_ask() -> None:
    assert not any(Turn("Hello there.", word_times=False).say("#####"))


@pytest.mark.parametrize(
    "encoding",
    [
        S16,
        common_pb2.AUDIO_ENCODING_PCM_U8,
        common_pb2.AUDIO_ENCODING_PCM_S24LE,
        common_pb2.AUDIO_ENCODING_PCM_S32LE,
        common_pb2.AUDIO_ENCODING_PCM_F32LE,
        common_pb2.AUDIO_ENCODING_MULAW,
        common_pb2.AUDIO_ENCODING_ALAW,
    ],
)
@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (44_100, 2)])
def test_every_format_is_listened_to(encoding: int, rate_hz: int, channels: int) -> None:
    turn = Turn("Hello.", StreamFormat(encoding, rate_hz, channels))
    ((word,),) = [chunk for chunk in turn.say("...#####") if chunk]
    assert word.start_ms == pytest.approx(240, abs=12)


def test_cuts_are_behind_the_words_of_which_half_was_heard() -> None:
    turn = Turn("It is 2026 now.")
    turn.say("..##############..")
    (sentence,) = turn.spoken
    cuts = turn.marks.cuts(sentence)
    assert [sentence.sentence.text[:end] for end, _, _ in cuts] == [
        "It",
        "It is",
        "It is twenty twenty six",
        "It is twenty twenty six now.",
    ]
    assert [sentence.sentence.written[:end] for _, end, _ in cuts] == [
        "It",
        "It is",
        "It is 2026",
        "It is 2026 now.",
    ]
    frames = [frames for *_, frames in cuts]
    assert frames == sorted(frames)
    assert 3 <= frames[0] <= 4
    assert frames[-1] <= 16


def test_begun_again_a_turn_has_its_words_anew() -> None:
    turn = Turn("Hello there.")
    before = [word.word for told in turn.say("######") for word in told]
    turn.marks.begin_again()
    sentence = turn.spoken.pop().sentence
    turn.num_frames = turn.num_samples = 0
    turn.waiting.insert(0, replace(sentence))
    assert [word.word for told in turn.say("######") for word in told] == before
