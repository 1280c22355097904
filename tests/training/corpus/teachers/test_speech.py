"""What is done to a teacher's speech before it is kept."""

import numpy as np
import pytest

from training.corpus.store import PHONES, SAMPLE_RATE_HZ
from training.corpus.teachers.speech import Speech, SpokenPhone, TeacherError, prepare


def speech(phones: list[tuple[str, float, str]], rate_hz: int = 16000) -> Speech:
    samples = round(phones[-1][1] * rate_hz)
    time = np.arange(samples) / rate_hz
    audio = np.sin(2 * np.pi * 200 * time)
    start_s = 0.0
    for name, end_s, _ in phones:
        if name == "pau":
            audio[round(start_s * rate_hz) : round(end_s * rate_hz)] = 0.0
        start_s = end_s
    spoken = tuple(SpokenPhone(*phone) for phone in phones)
    return Speech((audio * 3000).astype(np.int16), rate_hz, spoken)


def test_silences_are_cut_to_what_people_leave() -> None:
    spoken = [("pau", 0.5, ""), ("hh", 1.0, "hi"), ("pau", 2.0, ""), ("ay", 2.5, "hi")]
    audio, phones = prepare("hi, hi", speech([*spoken, ("pau", 3.5, "")]))
    ends_s = [p.end_sample / SAMPLE_RATE_HZ for p in phones]
    np.testing.assert_allclose(ends_s, [0.08, 0.58, 1.03, 1.53, 1.65], atol=2e-3)
    assert len(audio) == phones[-1].end_sample
    # What was cut is silence: the tone is where its phones are.
    tone = np.abs(audio[round(0.60 * 24000) : round(1.01 * 24000)].astype(int))
    assert tone.max() < 200


def test_phones_know_the_characters_of_their_word() -> None:
    _, phones = prepare(
        "no, no way",
        speech(
            [
                ("n", 0.1, "no"),
                ("ow", 0.2, "no"),
                ("pau", 0.3, ""),
                ("n", 0.4, "no"),
                ("w", 0.5, "way"),
            ]
        ),
    )
    assert [(p.start_char, p.end_char) for p in phones] == [
        (0, 2),
        (0, 2),
        (-1, -1),
        (4, 6),
        (7, 10),
    ]
    assert [PHONES[p.index] for p in phones] == ["n", "ow", "pau", "n", "w"]


def test_every_teacher_is_as_loud() -> None:
    loud, _ = prepare("a", speech([("ey", 1.0, "a")]))
    quiet_speech = speech([("ey", 1.0, "a")])
    quiet, _ = prepare("a", Speech(quiet_speech.audio // 8, 16000, quiet_speech.phones))
    level = np.sqrt(np.square(loud[1000:-1000] / 32768).mean())
    assert level == pytest.approx(0.063, rel=0.05)
    assert np.sqrt(np.square(quiet[1000:-1000] / 32768).mean()) == pytest.approx(level, rel=0.05)


def test_speech_without_a_known_phone_is_refused() -> None:
    with pytest.raises(TeacherError, match="spoke no phone"):
        prepare("a", speech([("pau", 0.5, "")]))
    with pytest.raises(TeacherError, match="phone is 'xx'; allowed: pau, aa"):
        prepare("a", speech([("xx", 0.5, "a")]))


def test_silent_audio_is_refused() -> None:
    spoken = speech([("ey", 1.0, "a")])
    with pytest.raises(TeacherError, match="silent"):
        prepare("a", Speech(spoken.audio * 0, 24000, spoken.phones))
