"""Which characters and phones a frame speaks."""

import numpy as np
import pytest

from training.corpus.store import PHONES, Phone, Utterance
from training.language_model.alignment import align, frames_of

PAU, HH, AY, DH, EH, R = (PHONES.index(name) for name in ("pau", "hh", "ay", "dh", "eh", "r"))


def utterance(phones: list[Phone], text: str = "hi, there") -> Utterance:
    return Utterance(text, 0, 0, phones[-1].end_sample, tuple(phones))


HAND_MADE = utterance(
    [
        Phone(PAU, 1920, -1, -1),
        Phone(HH, 2880, 0, 2),
        Phone(AY, 3840, 0, 2),
        Phone(PAU, 5760, -1, -1),
        Phone(DH, 6720, 4, 9),
        Phone(EH, 7680, 4, 9),
        Phone(R, 9600, 4, 9),
        Phone(PAU, 11520, -1, -1),
    ]
)


def test_a_hand_made_utterance() -> None:
    found = align(HAND_MADE, 7)
    # Pause before the text; "hi"; the space before "there"; "the" in its first two phones, "re" in
    # the last; the pause behind the text; and one frame behind the audio's end.
    assert found.places.tolist() == [
        [-1, -1],
        [0, 1],
        [3, 3],
        [4, 6],
        [7, 8],
        [9, 9],
        [9, 9],
    ]
    assert found.phones.tolist() == [
        [PAU] * 4,
        [HH, HH, AY, AY],
        [PAU] * 4,
        [DH, DH, EH, EH],
        [R] * 4,
        [PAU] * 4,
        [PAU] * 4,
    ]


def test_places_never_go_back_and_stay_in_the_text() -> None:
    found = align(HAND_MADE, frames_of(HAND_MADE.samples))
    assert (np.diff(found.places[:, 0]) >= 0).all()
    assert (found.places[:, 0] <= found.places[:, 1]).all()
    assert found.places.min() == -1
    assert found.places.max() == len(HAND_MADE.text)


def test_two_words_alike_keep_their_own_places() -> None:
    spoken = utterance(
        [Phone(AY, 1920, 0, 1), Phone(AY, 3840, 2, 3), Phone(PAU, 5760, -1, -1)], "i i"
    )
    assert align(spoken, 3).places.tolist() == [[0, 0], [2, 2], [3, 3]]


def test_a_phone_without_length_is_never_spoken() -> None:
    spoken = utterance([Phone(AY, 1920, 0, 1), Phone(R, 1920, 2, 3), Phone(EH, 3840, 2, 3)], "i r")
    assert align(spoken, 2).phones.tolist() == [[AY] * 4, [EH] * 4]


def test_no_phones_are_one_pause() -> None:
    assert align(Utterance("hm", 0, 0, 1920, ()), 1).places.tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("phone", "message"),
    [
        (Phone(len(PHONES), 10, 0, 1), r"phones\[0\].index: 41 is not allowed"),
        (Phone(1, -1, 0, 1), r"phones\[0\].end_sample: -1 is not allowed, must be >= 0"),
        (Phone(1, 10, 0, 3), r"phones\[0\]: characters \(0, 3\) are not allowed"),
        (Phone(1, 10, 1, 1), r"phones\[0\]: characters \(1, 1\) are not allowed"),
        (Phone(1, 10, -1, 1), r"phones\[0\]: characters \(-1, 1\) are not allowed"),
    ],
)
def test_wrong_phones_are_named(phone: Phone, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(Utterance("hm", 0, 0, 1920, (phone,)), 1)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (1920, 1), (1921, 2)])
def test_the_last_frame_is_completed(samples: int, frames: int) -> None:
    assert frames_of(samples) == frames
