"""The arithmetic of ratings, on clips whose figures are known."""

import pytest

from training.corpus.store import SPEAKERS
from training.evaluate import ratings
from training.evaluate.clip import Clip
from training.evaluate.dnsmos import Rating
from training.evaluate.silence import Silence
from training.evaluate.words import Errors


def _clip(index: int, ovrl: float, edits: int = 0) -> Clip:
    speaker = index % len(SPEAKERS)
    near = [0.5] * len(SPEAKERS)
    near[speaker] = 0.9
    return Clip(
        index=index,
        sentence="One two three four five.",
        speaker=speaker,
        audio_s=1.0,
        heard="",
        errors=Errors(5, edits),
        rating=Rating(ovrl, 3.0, 4.0, 3.5),
        similarities=near,
        silence=Silence(0, 0, 0),
    )


def test_every_speaker_has_figures_and_the_sum_has_all() -> None:
    size = len(SPEAKERS)
    clips = [_clip(i, 2.0 + i, edits=i) for i in range(size)] + [_clip(size, 4.0)]
    found = ratings.by_part({"speech": clips})["speech"]
    assert list(found) == [*SPEAKERS, "all"]
    assert found[SPEAKERS[0]]["clips"] == 2
    assert found[SPEAKERS[0]]["ovrl"]["value"] == 3.0
    assert found[SPEAKERS[1]]["word_error_rate"]["value"] == 0.2
    assert found["all"]["word_error_rate"]["value"] == pytest.approx(
        sum(range(size)) / (5 * (size + 1))
    )
    assert (
        found["all"]["ovrl"]["low"] < found["all"]["ovrl"]["value"] < found["all"]["ovrl"]["high"]
    )
    assert found["all"]["similarity"]["value"] == pytest.approx(0.9)


def test_a_speaker_without_a_clip_is_left_out() -> None:
    assert list(ratings.by_part({"codec": [_clip(1, 3.0)]})["codec"]) == [SPEAKERS[1], "all"]


def test_what_is_lost_is_counted_on_the_same_sentences() -> None:
    teacher = [_clip(i, 3.0 + i) for i in range(3)]
    codec = [_clip(i, 2.5 + i) for i in (2, 1, 0)]
    found = ratings.differences({"teacher": teacher, "codec": codec})
    lost = found["teacher_minus_codec"]
    assert lost is not None
    assert lost["ovrl"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert lost["bak"]["value"] == 0
    assert found["codec_minus_pico"] is None


def test_resemblance_goes_by_speaker_and_teacher() -> None:
    rows = ratings.resemblance([_clip(1, 3.0)])
    assert rows[0] == [None] * len(SPEAKERS)
    assert rows[1][:2] == [0.5, 0.9]
    assert _clip(1, 3.0).heard_speaker == 1
