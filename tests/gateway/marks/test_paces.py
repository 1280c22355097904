"""How fast each speaker speaks."""

import pytest

from gateway.marks import paces
from gateway.marks.paces import MAX_PACE, MIN_PACE, Paces


def test_a_speaker_who_is_not_known_speaks_as_expected() -> None:
    assert Paces().of(7) == 1.0


def test_a_pace_is_learnt_and_follows_a_change() -> None:
    known = Paces()
    for _ in range(20):
        known.learn(1, 6000, 4000)
    assert known.of(1) == pytest.approx(1.5, abs=0.05)
    assert known.of(2) == 1.0
    for _ in range(60):
        known.learn(1, 4000, 4000)
    assert known.of(1) == pytest.approx(1.0, abs=0.05)


def test_a_pace_stays_within_what_people_speak_at() -> None:
    known = Paces()
    known.learn(1, 10_000_000, 1)
    known.learn(2, 0, 10_000_000)
    assert (known.of(1), known.of(2)) == (MAX_PACE, MIN_PACE)


def test_the_number_of_speakers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paces, "MAX_SPEAKERS", 3)
    known = Paces()
    for speaker in range(5):
        known.learn(speaker, 2000, 1000)
    assert len(known) == 3
    assert known.of(0) == 1.0 < known.of(4)
