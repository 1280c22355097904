"""What a stream's context keeps, evicts and refuses."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csm.errors import InvalidArgument, TooLong
from services.generator.context import Context, ContextLimits, PinnedSegment
from services.generator.model.prompt import PromptSegment, segment_frames
from services.generator.model.text import TextTokenizer
from services.model_directory import default_model_directory

TOKENIZER = TextTokenizer.from_directory(default_model_directory())
BOOKS = 4
EMPTY_TEXT = 5  # bos [ 0 ] eos


def codes(frames: int, fill: int = 3) -> np.ndarray:
    return np.full((frames, BOOKS), fill, np.uint16)


def rows(text: str, spoken: np.ndarray | None = None, speaker: int = 0) -> np.ndarray:
    return segment_frames(PromptSegment(speaker, text, spoken), TOKENIZER, BOOKS)


def context(max_positions: int = 200, max_frames: int = 50, limit: int | None = None) -> Context:
    limits = ContextLimits(max_positions, BOOKS, max_text_chars=40, max_context_segments=limit)
    return Context(TOKENIZER, limits, speaker=0, max_frames=max_frames)


def turn(text: str = "a", frames: int = 10, *, pinned: bool = False) -> PinnedSegment:
    return PinnedSegment(PromptSegment(0, text, codes(frames)), pinned)


def violation(error: pytest.ExceptionInfo[InvalidArgument]) -> tuple[str, str]:
    (only,) = error.value.violations
    return only.field, only.description


def test_a_prompt_is_the_segments_in_order_and_the_text_to_speak() -> None:
    held = context()
    held.add([turn("one", pinned=True), PinnedSegment(PromptSegment(1, "two"))])
    prompt = held.prompt("three.")
    expected = [rows("one", codes(10)), rows("two", speaker=1), rows("three.")]
    np.testing.assert_array_equal(prompt.rows, np.concatenate(expected))
    assert prompt.text_tokens == EMPTY_TEXT + len("three.")
    assert not prompt.continues


def test_a_completed_turn_joins_the_context_with_the_frames_that_stay() -> None:
    held = context()
    held.complete(held.prompt("one"), codes(6))
    expected = np.concatenate([rows("one", codes(6)), rows("two")])
    np.testing.assert_array_equal(held.prompt("two").rows, expected)


def test_a_turn_of_which_nothing_stays_never_was() -> None:
    held = context()
    held.complete(held.prompt("one"), codes(0))
    np.testing.assert_array_equal(held.prompt("two").rows, rows("two"))


def test_replace_forgets_the_context_first() -> None:
    held = context()
    held.add([turn("old", pinned=True), turn("old")])
    held.add([turn("new")], replace=True)
    expected = np.concatenate([rows("new", codes(10)), rows("x")])
    np.testing.assert_array_equal(held.prompt("x").rows, expected)


def test_an_empty_text_continues_the_last_audio_without_its_eos_frame() -> None:
    held = context()
    held.add([turn("one"), PinnedSegment(PromptSegment(7, "two", codes(4)))])
    prompt = held.prompt("")
    expected = np.concatenate([rows("one", codes(10)), rows("two", codes(4), speaker=7)[:-1]])
    np.testing.assert_array_equal(prompt.rows, expected)
    assert (prompt.text_tokens, prompt.speaker, prompt.continues) == (0, 7, True)
    held.complete(prompt, codes(3, fill=9))
    whole = np.concatenate([codes(4), codes(3, fill=9)])
    expected = np.concatenate([rows("one", codes(10)), rows("two", whole, speaker=7), rows("x")])
    np.testing.assert_array_equal(held.prompt("x").rows, expected)
    assert len(held) == 2


def test_a_voice_prompt_alone_can_be_continued() -> None:
    held = context(limit=0)
    held.add([turn("one", pinned=True)])
    np.testing.assert_array_equal(held.prompt("").rows, rows("one", codes(10))[:-1])


@pytest.mark.parametrize("segments", [[], [PinnedSegment(PromptSegment(0, "text only"))]])
def test_an_empty_text_needs_audio_to_continue(segments: list[PinnedSegment]) -> None:
    held = context()
    held.add(segments)
    with pytest.raises(InvalidArgument) as error:
        held.prompt("")
    assert violation(error)[0] == "text"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("   ", "no letter or digit"),
        ("\x00\x07\x1b", "no letter or digit"),
        ("\N{GRINNING FACE}\N{PILE OF POO}", "no letter or digit"),
        ("...!?", "no letter or digit"),
        ("\u65e5\u672c\u8a9e", "no character that this model's tokenizer knows"),
        (" \u65e5 ", "no character that this model's tokenizer knows"),
        ("a" * 41, "41 characters; at most 40"),
    ],
)
def test_a_text_that_cannot_be_spoken_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        context().prompt(text)
    field, description = violation(error)
    assert field == "text"
    assert says in description


@pytest.mark.parametrize(
    ("segments", "field", "says"),
    [
        ([turn(), turn(pinned=True)], "segments[1].pinned", "must precede"),
        ([turn(), PinnedSegment(PromptSegment(0, ""))], "segments[1]", "neither text nor frames"),
        ([PinnedSegment(PromptSegment(0, "", codes(0)))], "segments[0]", "neither text nor frames"),
        ([turn("a" * 41)], "segments[0].text", "41 characters; at most 40"),
    ],
)
def test_segments_that_cannot_be_used_are_refused_and_change_nothing(
    segments: list[PinnedSegment], field: str, says: str
) -> None:
    held = context()
    held.add([turn("kept")])
    with pytest.raises(InvalidArgument) as error:
        held.add(segments)
    assert violation(error)[0] == field
    assert says in violation(error)[1]
    assert len(held) == 1


def test_a_voice_that_the_context_cannot_hold_is_too_long() -> None:
    taken = len(rows("a", codes(200)))
    with pytest.raises(TooLong, match=f"pinned segments take {taken} positions; at most 150"):
        context().add([turn(frames=200, pinned=True)])


def test_pinned_segments_may_not_follow_turns_of_an_earlier_message() -> None:
    held = context()
    held.add([turn()])
    with pytest.raises(InvalidArgument, match="must precede"):
        held.add([turn(pinned=True)])


def test_a_full_context_evicts_whole_turns_from_the_oldest_and_never_the_voice() -> None:
    held = context(max_positions=200, max_frames=50)
    held.add([turn("v", frames=20, pinned=True)])
    for index in range(12):
        held.add([PinnedSegment(PromptSegment(0, "abcdefghij"[: index % 9 + 1], codes(10, index)))])
    prompt = held.prompt("x")
    assert len(prompt.rows) <= held.capacity == 150
    assert prompt.evicted == 12 - (len(held) - 1) > 0
    voice = rows("v", codes(20))
    np.testing.assert_array_equal(prompt.rows[: len(voice)], voice)
    newest = rows("abcdefghij"[:3], codes(10, 11))
    np.testing.assert_array_equal(
        prompt.rows[-len(newest) - len(rows("x")) : -len(rows("x"))], newest
    )
    # What is left after the voice begins with a segment, not in the middle of one.
    assert prompt.rows[len(voice), -1] == rows("x")[0, -1]
    assert held.prompt("x").evicted == 0


def test_eviction_makes_room_for_several_turns_at_once() -> None:
    held = context(max_positions=400, max_frames=50)
    starts = []
    for index in range(60):
        prompt = held.prompt("a")
        starts.append(prompt.evicted)
        held.complete(prompt, codes(10, index + 1))
    moves = sum(1 for evicted in starts if evicted)
    assert sum(starts) > 30
    # 17 positions a turn, a stride of 350 / 4: the cut moves every fifth turn or so.
    assert moves <= 60 * 17 // 87 + 1


def test_the_cut_is_the_same_whether_the_history_stays_or_is_sent_anew() -> None:
    staying = context(max_positions=400, max_frames=50)
    history: list[PinnedSegment] = [turn("v", frames=20, pinned=True)]
    staying.add(history)
    for index in range(40):
        anew = context(max_positions=400, max_frames=50)
        anew.add(history)
        prompt = staying.prompt("abc")
        np.testing.assert_array_equal(anew.prompt("abc").rows, prompt.rows)
        spoken = codes(5 + index % 7, index)
        staying.complete(prompt, spoken)
        history.append(PinnedSegment(PromptSegment(0, "abc", spoken)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("abc ", max_size=20), st.integers(0, 40)), max_size=25),
    st.integers(0, 30),
    st.sampled_from([None, 0, 1, 3]),
)
def test_a_prompt_always_fits_and_is_pinned_then_a_suffix_of_the_history(
    history: list[tuple[str, int]], voice_frames: int, limit: int | None
) -> None:
    held = context(max_positions=120, max_frames=30, limit=limit)
    voice = turn("v", frames=voice_frames, pinned=True)
    held.add([voice])
    parts = [rows("v", codes(voice_frames) if voice_frames else None)]
    kept: list[np.ndarray] = []
    for text, frames in history:
        if text or frames:
            held.add([PinnedSegment(PromptSegment(0, text, codes(frames)))])
            kept.append(rows(text, codes(frames) if frames else None))
    prompt = held.prompt("abc")
    assert len(prompt.rows) <= held.capacity
    suffixes = [np.concatenate([*parts, *kept[at:], rows("abc")]) for at in range(len(kept) + 1)]
    matching = [at for at, rows_of in enumerate(suffixes) if np.array_equal(rows_of, prompt.rows)]
    assert matching
    if limit is not None:
        assert len(kept) - matching[-1] <= limit


def test_a_model_without_context_is_shown_the_voice_and_the_text_alone() -> None:
    held = context(limit=0)
    held.add([turn("v", pinned=True), turn("one"), turn("two")])
    prompt = held.prompt("x")
    np.testing.assert_array_equal(prompt.rows, np.concatenate([rows("v", codes(10)), rows("x")]))
    assert prompt.evicted == 0


def test_a_limit_of_segments_shows_the_newest() -> None:
    held = context(limit=2)
    held.add([turn("v", pinned=True), *(turn(text) for text in "abcd")])
    expected = [rows(text, codes(10)) for text in "vcd"]
    np.testing.assert_array_equal(held.prompt("x").rows, np.concatenate([*expected, rows("x")]))


def test_a_text_that_does_not_fit_beside_the_voice_is_too_long() -> None:
    held = context(max_positions=100, max_frames=40)
    held.add([turn("v", frames=40, pinned=True)])
    with pytest.raises(TooLong) as error:
        held.prompt("a" * 30)
    text, voice = len(rows("a" * 30)), len(rows("v", codes(40)))
    assert violation(error) == (
        "text",
        f"{text} positions beside {voice} of pinned segments; at most 60 in all are left of 100 "
        "beside the longest turn",
    )


def test_a_longest_turn_beyond_the_context_still_leaves_half_of_it_for_the_prompt() -> None:
    assert context(max_positions=100, max_frames=7500).capacity == 50


def test_megabytes_of_text_build_no_more_than_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = ContextLimits(640, 32, max_text_chars=4096)
    held = Context(TOKENIZER, limits, speaker=0, max_frames=100)
    seen = 0
    encode_within = TextTokenizer.encode_within

    def counting(self: TextTokenizer, speaker: int, text: str, most: int) -> list[int] | None:
        nonlocal seen
        seen += len(text)
        return encode_within(self, speaker, text, most)

    monkeypatch.setattr(TextTokenizer, "encode_within", counting)
    message = [PinnedSegment(PromptSegment(0, f"{n} ".ljust(4096, "a"))) for n in range(256)]
    message += [PinnedSegment(PromptSegment(0, f"{n} ".ljust(100, "b"))) for n in range(20)]
    tracemalloc.start()
    held.add(message)
    for _ in range(3):
        held.add(message)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    # Only what was in the room, and the first that was not, were ever looked at.
    assert seen < 4 * (640 + 2 * 4096)
    assert len(held) <= 6
    prompt = held.prompt("now")
    assert prompt.left_out == 4 * len(message) - len(held)
    assert 300 < len(prompt.rows) <= held.capacity


def test_pinned_texts_that_cannot_fit_are_refused_before_all_are_counted() -> None:
    limits = ContextLimits(640, 32, max_text_chars=4096)
    held = Context(TOKENIZER, limits, speaker=0, max_frames=100)
    message = [PinnedSegment(PromptSegment(0, "a" * 4000), pinned=True) for _ in range(250)]
    with pytest.raises(TooLong, match="the pinned segments take at least 1281 posi"):
        held.add(message)


def test_a_text_far_too_long_is_refused_after_a_part_of_it() -> None:
    limits = ContextLimits(640, 32, max_text_chars=1_000_000)
    held = Context(TOKENIZER, limits, speaker=0, max_frames=100)
    began = time.monotonic()
    with pytest.raises(TooLong, match="at least 1281 positions beside 0 of pinned"):
        held.prompt("1234567890" * 100_000)
    # All of it takes some 15 s.
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("text", ["\u65e5\u672c\u8a9e", "!!! ???", "secret " * 20])
def test_no_word_of_the_text_is_in_the_error(text: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        context().prompt(text)
    assert all(word not in str(error.value) for word in text.split())


def test_a_segment_too_long_for_any_prompt_gives_way_with_all_before_it() -> None:
    held = context(max_positions=100, max_frames=40)
    held.add([turn("old"), PinnedSegment(PromptSegment(0, "a", codes(300))), turn("new")])
    np.testing.assert_array_equal(
        held.prompt("x").rows, np.concatenate([rows("new", codes(10)), rows("x")])
    )


def test_a_turn_of_more_frames_takes_its_room_from_the_history_alone() -> None:
    history = [turn("v", frames=40, pinned=True), *(turn(text, frames=40) for text in "abcdef")]

    def prompted(max_frames: int | None) -> int:
        held = context(max_positions=400, max_frames=50)
        held.add(history)
        return len(held.prompt("x", max_frames).rows)

    usual = prompted(None)
    assert prompted(1) == prompted(50) == usual
    assert prompted(180) <= 400 - 180 < usual
    # No frames are left beside what stays: then the turn ends early.
    voice_and_text = len(rows("v", codes(40))) + len(rows("x"))
    assert prompted(10_000) >= voice_and_text


def test_a_voice_that_fills_its_room_is_not_refused_for_a_longer_turn() -> None:
    held = context(max_positions=100, max_frames=30)
    held.add([turn("v", frames=50, pinned=True), turn("a", frames=1)])
    expected = np.concatenate([rows("v", codes(50)), rows("x")])
    np.testing.assert_array_equal(held.prompt("x", 500).rows, expected)
