"""Segments: how one is cut, and what it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.convert import segment_message
from gateway.conversations.cuts import packed
from gateway.conversations.segment import Segment, cut, cut_text
from tests.gateway.conversations.making import segment


@pytest.mark.parametrize(
    ("text", "share", "kept"),
    [
        ("one two three four", 1.0, "one two three four"),
        ("one two three four", 0.5, "one two"),
        ("one two three four", 0.75, "one two three"),
        ("one two three four", 0.0, ""),
        ("one two three four", 0.05, ""),
        ("one two three four", 0.95, "one two three four"),
        ("一二三四五六", 0.5, "一二三"),
        ("", 0.5, ""),
    ],
)
def test_text_is_cut_at_the_nearest_word(text: str, share: float, kept: str) -> None:
    assert cut_text(text, share) == kept


@given(st.text(max_size=60), st.floats(0, 1))
def test_cut_text_is_a_beginning_of_the_text(text: str, share: float) -> None:
    assert text.startswith(cut_text(text, share))


def test_a_segment_on_the_wire_carries_its_width() -> None:
    message = segment_message(segment("a", 3, speaker=2), pinned=True)
    assert (message.speaker, message.frames.num_frames, message.frames.num_codebooks) == (2, 3, 2)
    assert message.pinned
    assert not segment_message(Segment(0, "text alone")).HasField("frames")


def test_what_a_segment_takes_grows_with_its_text_and_its_codes() -> None:
    empty = Segment(0, "")
    assert segment("", 100).num_bytes - empty.num_bytes == 400
    assert Segment(0, "x" * 100).num_bytes - empty.num_bytes == 100
    assert Segment(0, "ö" * 100).num_bytes - empty.num_bytes == 300
    assert Segment(0, "中" * 100).num_bytes - empty.num_bytes == 500
    assert Segment(0, "🙂" * 100).num_bytes - empty.num_bytes == 800


def test_a_text_is_cut_behind_the_words_that_were_heard() -> None:
    cuts = packed([(3, 3, 2), (14, 6, 6), (18, 10, 9)])
    whole = Segment(0, "One twenty-two. So", b"ab" * 10, 10, "One 22. So", cuts=cuts)
    kept = cut(whole, 7, 10)
    assert (kept.text, kept.written, kept.num_frames) == ("One twenty-two", "One 22", 7)
    assert len(kept.codes) == 14
    # What is left can be cut again, by the same words.
    assert cut(kept, 5, 7).text == "One"
    assert cut(kept, 1, 7).text == cut(kept, 1, 7).written == ""
    assert cut(whole, 10, 10) is whole


def test_cuts_without_room_for_a_number_are_left_out() -> None:
    assert packed([(1, 1, 1), (70_000, 70_000, 5)]) == b""
    assert packed([]) == b""


def test_cuts_count_as_memory() -> None:
    assert Segment(0, "", cuts=packed([(1, 1, 1)])).num_bytes == Segment(0, "").num_bytes + 6
