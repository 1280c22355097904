from collections.abc import Callable

import numpy as np
import pytest

from training.evaluate.speaker import SpeakerClassifier, features

RATE_HZ = 24_000
Voice = Callable[[int, float, int], np.ndarray]


def test_voices_are_told_apart_in_clips_it_has_never_heard(formant_voice: Voice) -> None:
    labels = [speaker for speaker in range(4) for _ in range(6)]
    rows = np.array(
        [features(formant_voice(s, 0.8, 10 + n), RATE_HZ) for n, s in enumerate(labels)]
    )
    classifier = SpeakerClassifier.fit(rows, labels)
    fresh = [(s, formant_voice(s, 0.8, 500 + n)) for s in range(4) for n in range(3)]
    assert all(classifier.hear(audio, RATE_HZ) == speaker for speaker, audio in fresh)


def test_the_boundary_is_where_two_gaussians_of_one_spread_meet() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(4000, 2)) * (1, 5)
    labels = np.repeat((0, 1), 2000)
    rows[labels == 1] += (3, 3)
    classifier = SpeakerClassifier.fit(rows, labels.tolist())
    # A wide second feature counts little: (1.4, 4) is nearer to the first mean all the same.
    assert classifier.predict(np.array([[1.2, 3.0], [1.8, 0.0]])).tolist() == [0, 1]


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 0, 1], [0, 0, 2, 2]])
def test_too_few_clips_of_a_speaker_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="clips by speaker are not allowed"):
        SpeakerClassifier.fit(np.zeros((len(labels), 3)), labels)


def test_rows_without_a_label_are_refused() -> None:
    with pytest.raises(ValueError, match=r"speakers: 2 are not allowed, must be 3"):
        SpeakerClassifier.fit(np.zeros((3, 3)), [0, 1])
