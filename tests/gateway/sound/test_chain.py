"""The stages together: times of the audio that comes out, pauses, and seams no one hears."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from csm.audio.loudness import loudness_lufs
from gateway.sound.chain import Chain, Item, Pausing, Sounding
from gateway.sound.options import Processing
from gateway.sound.voice_gain import VoiceGain
from tests.gateway.sound.speech import silence, speech, tone

RATE = 24_000
FRAME_MS = 80.0
FRAME = 1920

ALL = Processing(1.3, VoiceGain(-20.0, -27.0), 40, 100)


def spoken(processing: Processing, samples: np.ndarray, size: int = FRAME) -> list[Item]:
    chain = Chain(processing, RATE, FRAME_MS)
    items: list[Item] = []
    for at in range(0, len(samples), size):
        part = samples[at : at + size]
        items += chain.feed(part, -(-(at + len(part)) // FRAME))
    return items + chain.finish()


def sound_of(items: list[Item]) -> np.ndarray:
    return np.concatenate([i.samples for i in items if isinstance(i, Sounding)])


@given(st.integers(100, 8000))
# The silence that stays is held in pieces shorter than its fade.
@example(100)
@settings(max_examples=10, deadline=None)
def test_any_chunking_gives_the_same(size: int) -> None:
    samples = np.concatenate([silence(0.3), speech()[0][:40_000], silence(0.4)])
    whole = sound_of(spoken(ALL, samples, len(samples)))
    np.testing.assert_allclose(sound_of(spoken(ALL, samples, size)), whole, atol=1e-6)


def test_pieces_are_no_longer_than_a_frame_and_know_their_frames() -> None:
    samples = tone(2.0)
    for speed in (0.5, 1.7):
        items = spoken(Processing(speed), samples)
        at = 0
        for item in items:
            assert isinstance(item, Sounding)
            assert len(item.samples) <= FRAME
            at += len(item.samples)
            assert item.num_frames == -(-round(at * speed) // FRAME)
        assert items[-1].num_frames == 25


def test_silence_that_was_cut_at_the_beginning_counts_as_frames_of_it() -> None:
    chain = Chain(Processing(max_leading_silence_ms=0), RATE, FRAME_MS)
    assert chain.feed(silence(0.96), 12) == []
    # With the 20 ms before it, it is longer than a frame.
    assert [i.num_frames for i in chain.feed(tone(0.08), 13)] == [13, 13]
    assert chain.skipped_ms == 940.0


def test_a_pause_is_as_long_as_asked_at_any_pace_and_keeps_its_place() -> None:
    chain = Chain(Processing(2.0, VoiceGain(-20, -27), 0, 0), RATE, FRAME_MS)
    items = chain.pause(200, 0)
    items += chain.feed(tone(0.8), 10) + chain.pause(500, 10)
    items += chain.feed(tone(0.8), 20) + chain.feed(silence(0.4), 25)
    items += chain.pause(300, 25) + chain.finish()
    pauses = [(at, i) for at, i in enumerate(items) if isinstance(i, Pausing)]
    assert [i for _, i in pauses] == [Pausing(200, 0), Pausing(500, 10), Pausing(300, 25)]
    first, second = pauses[0][0], pauses[1][0]
    before = sum(len(i.samples) for i in items[first + 1 : second])  # type: ignore[union-attr]
    assert before == pytest.approx(0.4 * RATE, abs=1)
    assert len(sound_of(items)) == pytest.approx(0.8 * RATE, abs=2)


def test_turns_of_a_voice_come_to_the_target() -> None:
    """Wherever its recordings are: louder, quieter, and too quiet to be brought all the way."""
    samples = speech()[0]
    own = loudness_lufs(samples, RATE)
    for factor, wanted in ((1.0, -20.0), (3.0, -20.0), (0.7, -20.0), (0.1, own - 20 + 12)):
        gain = VoiceGain(-20.0, loudness_lufs(samples * factor, RATE))
        made = sound_of(spoken(Processing(gain=gain), samples * factor))
        assert loudness_lufs(made, RATE) == pytest.approx(wanted, abs=0.3)
        assert len(made) == len(samples)


def test_at_most_what_the_options_name_is_held_back() -> None:
    """First audio waits for a frame and no longer, where silence at the beginning may stay."""
    chain = Chain(Processing(1.25, VoiceGain(-20, -27), None, 200), RATE, FRAME_MS)
    assert sum(len(i.samples) for i in chain.feed(tone(0.08), 1)) > 0.03 * RATE  # type: ignore[union-attr]
