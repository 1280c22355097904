"""Turns: truncation."""

from gateway.conversations.segment import Segment
from tests.gateway.conversations.making import segment, turn


def test_a_turn_is_truncated_by_whole_frames_and_keeps_what_belongs_to_them() -> None:
    spoken = turn("t", segment("One two three four.", 4), segment("Five six seven eight.", 8))
    spoken.truncate(8)
    assert [(s.text, s.num_frames, len(s.codes)) for s in spoken.segments] == [
        ("One two three four.", 4, 16),
        ("Five six", 4, 16),
    ]
    spoken.truncate(4)
    assert [s.text for s in spoken.segments] == ["One two three four."]
    spoken.truncate(100)
    assert spoken.num_frames == 4
    spoken.truncate(0)
    assert spoken.segments == []


def test_a_heard_turn_of_text_alone_survives_a_truncation() -> None:
    heard = turn("h", Segment(1, "Hello."), heard=True)
    heard.truncate(5)
    assert heard.text == "Hello."
