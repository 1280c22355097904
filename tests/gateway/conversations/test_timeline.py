"""Frames in sent audio: what of a turn was heard by a moment, at any pace and however cut."""

import pytest

from gateway.conversations.timeline import Timeline


@pytest.mark.parametrize(
    ("heard_ms", "frames"),
    [
        (0, 0), (1, 0), (200, 0), (201, 1), (280, 1), (281, 2), (360, 2), (361, 2), (860, 2),
        (861, 3), (100_000, 1242),
    ],
)  # fmt: skip
def test_frames_that_have_begun_within_what_was_heard(heard_ms: int, frames: int) -> None:
    """200 ms of silence, two frames, half a second of silence, then frames."""
    timeline = Timeline([(0, 200), (2, 500)])
    assert timeline.heard_frames(heard_ms, 80.0) == frames


def test_without_silence_a_frame_counts_when_it_has_begun() -> None:
    assert [Timeline().heard_frames(ms, 80.0) for ms in (0, 1, 80, 81)] == [0, 1, 1, 2]


def test_silence_belongs_to_the_frames_behind_it() -> None:
    timeline = Timeline([(0, 200), (2, 500)])
    assert [timeline.audio_ms(n, 80.0) for n in (0, 1, 2, 3)] == [0, 280, 360, 940]
    assert timeline.until(2) == Timeline([(0, 200)])
