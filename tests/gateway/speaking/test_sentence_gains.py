"""A turn's sound is parted at the first sample of a voice's sentence, however it comes."""

from collections.abc import Callable

import numpy as np
import pytest

from csm.audio.pcm import pcm_bytes
from csm.v1 import common_pb2
from gateway.commands import StreamFormat
from gateway.sound.options import Processing
from gateway.sound.voice_gain import VoiceGain
from gateway.speaking.sentence_gains import SentenceGains
from gateway.speaking.sound_path import SoundPath
from gateway.speaking.spoken_sentences import SpokenSentences
from gateway.text.mapped import MappedText
from gateway.text.sentence import Sentence
from tests.gateway.sound.speech import tone
from tests.gateway.speaking.test_sound_path import RATE, S16, STEREO, Sink

LOUD, SOFT = VoiceGain(-20.0, -10.0), VoiceGain(-20.0, -30.0)
GAINS = {"": LOUD, "loud": LOUD, "soft": SOFT}
MULAW = StreamFormat(common_pb2.AUDIO_ENCODING_MULAW, RATE, 1)
FRAME = 1920


def sentences_of(*said: tuple[str, int]) -> SpokenSentences:
    """(voice, frames) of each."""
    spoken = SpokenSentences(0, 80.0)
    for number, (voice, num_frames) in enumerate(said):
        text = f"{number}."
        sentence = Sentence(
            MappedText.of(text), text, 10 * number, 10 * number + 2, voice=voice, speaker=0
        )
        spoken.take(spoken.begin(sentence), b"", num_frames)
    return spoken


def parted(
    spoken: SpokenSentences, size: int, find: Callable[[str], VoiceGain | None] = GAINS.get
) -> list[tuple[int, VoiceGain | None]]:
    """(first sample, gain) of each stretch with another gain, of sound in pieces of `size`."""
    gains = SentenceGains(Processing(gain=LOUD, gain_of=find), FRAME, lambda: spoken.all)
    found, at, total = [], 0, spoken.num_frames * FRAME
    for begin in range(0, total, size):
        end = min(total, begin + size)
        for stretch in gains.stretches(end - begin, -(-end // FRAME), 99):
            assert stretch.first_sample == at
            assert stretch.num_samples > 0
            at += stretch.num_samples
            assert stretch.num_frames == -(-at // FRAME)
            if stretch.other:
                found.append((stretch.first_sample, stretch.gain))
    assert at == total
    return found


@pytest.mark.parametrize("size", [700, FRAME, 5 * FRAME, 100 * FRAME])
def test_chunks_straddle_boundaries_and_are_parted_there(size: int) -> None:
    spoken = sentences_of(("", 3), ("soft", 2), ("soft", 4), ("loud", 1), ("other", 2), ("", 3))
    assert parted(spoken, size) == [
        (3 * FRAME, SOFT), (9 * FRAME, LOUD), (10 * FRAME, None), (12 * FRAME, LOUD),
    ]  # fmt: skip


def test_a_turn_that_another_voice_begins_has_that_ones_gain_at_once() -> None:
    assert parted(sentences_of(("soft", 2), ("loud", 1)), 5000) == [(0, SOFT), (2 * FRAME, LOUD)]


def test_a_sentence_without_a_frame_changes_nothing() -> None:
    spoken = sentences_of(("", 2), ("soft", 0), ("", 2), ("soft", 1))
    assert parted(spoken, FRAME) == [(4 * FRAME, SOFT)]


def test_text_before_the_boundary_is_that_of_the_sentence_before() -> None:
    spoken = sentences_of(("", 2), ("soft", 2))
    gains = SentenceGains(Processing(gain=LOUD, gain_of=GAINS.get), FRAME, lambda: spoken.all)
    told = [(s.num_samples, s.num_frames, s.text_chars) for s in gains.stretches(4 * FRAME, 4, 12)]
    assert told == [(2 * FRAME, 2, 2), (2 * FRAME, 4, 12)]


def test_what_becomes_known_of_a_voice_counts_from_its_next_sentence_on() -> None:
    known: dict[str, VoiceGain] = {"": LOUD}
    asked: list[str] = []

    def find(voice: str) -> VoiceGain | None:
        asked.append(voice)
        if asked.count("soft") == 2:
            known["soft"] = SOFT
        return known.get(voice)

    spoken = sentences_of(("", 2), ("soft", 3), ("soft", 2))
    assert parted(spoken, 999, find) == [(2 * FRAME, None), (5 * FRAME, SOFT)]
    # Asked once a sentence, not at every chunk.
    assert asked == ["", "soft", "soft"]


@pytest.mark.parametrize("form", [S16, STEREO, MULAW])
@pytest.mark.parametrize("size", [1, 3])
async def test_a_voice_that_is_evened_joins_a_turn_whose_own_is_not(
    form: StreamFormat, size: int
) -> None:
    """What is not evened passes as it is, in the client's own format."""
    spoken = sentences_of(("", 4), ("soft", 4), ("", 4))
    find = {"soft": SOFT}.get
    sink = Sink()
    path = SoundPath(form, 80.0, Processing(gain_of=find), sink, lambda: spoken.all)
    assert path.decoded_form == form
    sound = tone(0.96, form.sample_rate_hz, 0.1)
    pcm = pcm_bytes(np.repeat(sound, form.channels), form.encoding)
    frame_bytes = len(pcm) // 12
    for at in range(0, 12, size):
        path.put(pcm[at * frame_bytes : (at + size) * frame_bytes], at + size, 0)
    await path.finish()
    made = b"".join(sink.chunks)
    assert len(made) == len(pcm)
    assert made[: 4 * frame_bytes] == pcm[: 4 * frame_bytes]
    ramp = form.sample_rate_hz // 100 * form.sample_bytes
    assert made[8 * frame_bytes + ramp :] == pcm[8 * frame_bytes + ramp :]
    samples, frame = sink.samples(form), form.sample_rate_hz * 80 // 1000
    loud = samples[4 * frame + form.sample_rate_hz // 100 : 8 * frame]
    assert np.abs(loud).max() == pytest.approx(0.1 * 10**0.5, rel=0.03)
    assert sink.frames[-1] == 12
    assert sink.frames == sorted(sink.frames)


async def test_a_turn_that_begins_again_begins_with_its_own_gain() -> None:
    spoken = sentences_of(("", 1), ("soft", 1))
    sink = Sink()
    path = SoundPath(S16, 80.0, Processing(gain=LOUD, gain_of=GAINS.get), sink, lambda: spoken.all)
    sound = pcm_bytes(tone(0.16, RATE, 0.1), path.decoded_form.encoding)
    path.put(sound, 2, 0)
    path.begin_again()
    sink.chunks.clear()
    path.put(sound, 2, 0)
    await path.finish()
    samples = sink.samples(S16)
    assert np.abs(samples[:FRAME]).max() == pytest.approx(0.1 * 10**-0.5, rel=0.01)
    assert np.abs(samples[FRAME:]).max() == pytest.approx(0.1 * 10**0.5, rel=0.01)
