"""What is done to pico's speech on its way out: pace, seams between its sentences, silence."""

import numpy as np
import pytest

from csm.client import AudioFormat, Client, SoundOptions
from tests.gateway.sound.speech import click, highest_jump, pitch_track

FLOAT = AudioFormat(encoding="f32")
RATE = 24_000
TEXT = "The evening train was late again."


@pytest.mark.parametrize("speed", [0.75, 1.5])
def test_speech_at_another_pace_has_the_same_pitch(client: Client, speed: float) -> None:
    plain = client.synthesize(TEXT, seed=1, format=FLOAT).read_all()
    options = SoundOptions(speed=speed)
    made = client.synthesize(TEXT, seed=1, format=FLOAT, sound_options=options).read_all()
    assert len(made) * speed == pytest.approx(len(plain), rel=0.02)
    # Moment by moment: which moments count as voiced is not the same at another pace.
    before, after = pitch_track(plain, RATE), pitch_track(made, RATE)
    same = np.minimum(np.round(np.arange(len(after)) * speed).astype(int), len(before) - 1)
    ratios = after / before[same]
    ratios = ratios[~np.isnan(ratios)]
    assert len(ratios) > 30
    assert np.median(ratios) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize(
    "options", [None, SoundOptions(speed=1.2), SoundOptions(even_loudness=True)]
)
def test_no_click_where_sentences_and_pauses_meet(
    client: Client, options: SoundOptions | None
) -> None:
    """Steps and energy above 6 kHz around each seam are within those inside the sentences."""
    text = f"{TEXT} We waited in the rain, and then we walked. [pause 300ms] {TEXT}"
    samples, seams, begun = [], [], 0
    for chunk in client.synthesize(text, seed=3, format=FLOAT, sound_options=options):
        if chunk.text_chars != begun:
            begun = chunk.text_chars
            seams.append(chunk.first_sample)
        samples.append(chunk.samples)
    whole = np.concatenate(samples)
    quiet = np.abs(whole) == 0
    edges = np.flatnonzero(np.diff(np.convolve(quiet, np.ones(1000), "same") >= 1000))
    seams = [at for at in [*seams, *edges] if 2400 < at < len(whole) - 2400]
    assert len(seams) >= 3
    inside = np.ones(len(whole), bool)
    around = []
    for at in seams:
        inside[at - 1200 : at + 1200] = False
        around.append(whole[at - 1200 : at + 1200])
    within = np.split(whole, np.flatnonzero(np.diff(inside)))
    for part in around:
        assert highest_jump(part) <= max(highest_jump(one) for one in within if len(one) > 2400)
        assert click(part, RATE) <= max(click(one, RATE) for one in within if len(one) > 2400)


def test_silence_at_the_ends_is_cut(client: Client) -> None:
    options = SoundOptions(max_leading_silence_ms=0, max_trailing_silence_ms=0)
    plain = client.synthesize(TEXT, seed=1, format=FLOAT).read_all()
    speech = client.synthesize(TEXT, seed=1, format=FLOAT, sound_options=options)
    made = speech.read_all()
    loud = np.abs(plain) > 10 ** (-50 / 20) * 1.5
    assert loud.sum() * 0.98 <= (np.abs(made) > 10 ** (-50 / 20) * 1.5).sum()
    assert len(made) < len(plain)
    assert speech.completed
    assert speech.completed.kept_audio_ms == pytest.approx(len(made) / 24, abs=1)
