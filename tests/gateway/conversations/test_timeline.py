"""Frames in sent audio: what of a turn was heard by a moment, at any pace and however cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


FAST = Timeline([(2, 500)], speed=2.0, skipped_ms=40.0, end_frames=6, cut_ms=120.0)
"""Six frames at twice the pace: 40 ms of the first and 120 ms of the last are not sent, half a
second of silence after two. 60 ms of sound, the pause, 100 ms of sound."""


@pytest.mark.parametrize(
    ("heard_ms", "frames"),
    [(0, 0), (1, 1), (20, 1), (21, 2), (60, 2), (61, 2), (560, 2), (561, 3), (600, 3), (601, 4),
     (640, 4), (641, 5), (656, 5), (659, 6), (660, 6), (9000, 6)],
)  # fmt: skip
def test_frames_of_a_turn_at_another_pace_and_cut(heard_ms: int, frames: int) -> None:
    assert FAST.heard_frames(heard_ms, 80.0) == frames


def test_milliseconds_of_a_turn_at_another_pace_and_cut() -> None:
    assert [FAST.audio_ms(n, 80.0) for n in range(7)] == [0, 20, 60, 600, 640, 660, 660]
    assert [FAST.sent_ms(ms, 80.0) for ms in (0, 40, 80, 160, 240, 480)] == [
        0, 0, 20, 560, 600, 660,
    ]  # fmt: skip


def test_a_part_of_a_turn_ends_where_its_frames_end() -> None:
    assert FAST.until(6) == FAST
    part = FAST.until(3)
    assert (part.end_frames, part.cut_ms, part.pauses) == (0, 0.0, [(2, 500)])
    assert part.audio_ms(3, 80.0) == 600
    assert FAST.until(2).pauses == []
    assert not part.plain
    assert Timeline([(1, 2)]).plain


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 900)), max_size=4).map(sorted),
    st.sampled_from([0.5, 0.8, 1.0, 1.3, 2.0]),
    st.integers(0, 200),
    st.integers(0, 30),
)
def test_what_was_heard_up_to_a_frame_is_that_frame(
    pauses: list[tuple[int, int]], speed: float, skipped_ms: int, num_frames: int
) -> None:
    """Both ways agree, up to the rounding of milliseconds."""
    timeline = Timeline(pauses, speed, float(skipped_ms))
    heard_ms = timeline.audio_ms(num_frames, 80.0)
    frames = timeline.heard_frames(heard_ms, 80.0)
    if heard_ms > sum(ms for before, ms in pauses if before < num_frames):
        assert abs(frames - num_frames) <= 1
    assert timeline.heard_frames(heard_ms + 100_000, 80.0) > num_frames
