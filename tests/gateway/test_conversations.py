"""The store of conversations: truncation, limits, time to live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csm import errors
from gateway.backends.convert import segment_message
from gateway.conversations.store import (
    Conversation,
    ConversationStore,
    Limits,
    Segment,
    Turn,
    cut_text,
)

WIDE = Limits(max_turns=1000, max_frames=1_000_000)


def segment(text: str, num_frames: int, speaker: int = 0) -> Segment:
    return Segment(speaker, text, bytes(range(256))[:4] * num_frames, num_frames)


def turn(name: str, *segments: Segment, heard: bool = False) -> Turn:
    return Turn(name, 0, heard, list(segments))


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


def test_a_segment_on_the_wire_carries_its_width() -> None:
    message = segment_message(segment("a", 3, speaker=2), pinned=True)
    assert (message.speaker, message.frames.num_frames, message.frames.num_codebooks) == (2, 3, 2)
    assert message.pinned
    assert not segment_message(Segment(0, "text alone")).HasField("frames")


def test_the_oldest_turns_go_in_one_stride_when_there_are_too_many() -> None:
    conversation = Conversation("c", "v", Limits(max_turns=8, max_frames=1000))
    kept = []
    for number in range(20):
        conversation.add(turn(str(number), segment("x", 1)))
        kept.append(len(conversation.turns))
    assert max(kept) == 8
    assert min(kept[8:]) == 6
    assert conversation.turns[-1].turn_id == "19"


def test_the_oldest_turns_go_when_there_are_too_many_frames() -> None:
    conversation = Conversation("c", "v", Limits(max_turns=100, max_frames=100))
    for number in range(11):
        conversation.add(turn(str(number), segment("x", 10)))
    assert sum(t.num_frames for t in conversation.turns) <= 75
    huge = turn("huge", segment("x", 500))
    conversation.add(huge)
    assert conversation.turns == [huge]


def test_history_leaves_out_what_no_context_could_hold_and_its_start_moves_seldom() -> None:
    conversation = Conversation("c", "v", WIDE)
    starts, lengths = [], []
    for number in range(60):
        conversation.add(turn(str(number), segment(f"{number}", 20)))
        history = list(conversation.history(max_positions=200))
        starts.append(history[0].text)
        lengths.append(len(history))
        assert history[-1].text == str(number)
    assert max(lengths) * 24 <= 2 * 200 + 24
    assert min(lengths[20:]) * 20 >= 200
    assert len(set(starts)) <= 15


def store(clock: list[float], **limits: float) -> ConversationStore:
    counts: list[int] = []
    kept = ConversationStore(
        max_conversations=int(limits.get("max_conversations", 3)),
        ttl_s=limits.get("ttl_s", 100.0),
        limits=WIDE,
        on_count=counts.append,
        clock=lambda: clock[0],
    )
    kept.counts = counts  # type: ignore[attr-defined]
    return kept


def use(kept: ConversationStore, name: str) -> Conversation:
    conversation = kept.acquire(name, "v")
    conversation.add(turn("t", segment("x", 1)))
    kept.release(conversation)
    return conversation


def test_a_conversation_is_forgotten_when_nobody_used_it_for_its_time_to_live() -> None:
    clock = [0.0]
    kept = store(clock)
    use(kept, "a")
    clock[0] = 60
    use(kept, "b")
    clock[0] = 110
    with pytest.raises(errors.NotFound):
        kept.get("a")
    assert kept.get("b").turns
    assert len(kept) == 1
    assert kept.counts[-1] == 1  # type: ignore[attr-defined]


def test_one_in_use_outlives_its_time_to_live() -> None:
    clock = [0.0]
    kept = store(clock)
    conversation = kept.acquire("a", "v")
    clock[0] = 1000
    kept.sweep()
    assert kept.get("a") is conversation


def test_the_least_recently_used_makes_room_but_never_one_in_use() -> None:
    kept = store([0.0])
    held = kept.acquire("held", "v")
    use(kept, "old")
    use(kept, "new")
    use(kept, "old")
    use(kept, "another")
    with pytest.raises(errors.NotFound):
        kept.get("new")
    assert kept.get("held") is held
    kept.acquire("old", "v")
    kept.acquire("another", "v")
    with pytest.raises(errors.QueueFull):
        kept.acquire("one too many", "v")


def test_a_conversation_serves_one_call_at_a_time() -> None:
    kept = store([0.0])
    conversation = kept.acquire("a", "v")
    with pytest.raises(errors.FailedPrecondition, match="in use"):
        kept.acquire("a", "v")
    with pytest.raises(errors.FailedPrecondition, match="in use"):
        kept.delete("a")
    conversation.add(turn("t", segment("x", 1)))
    kept.release(conversation)
    assert kept.acquire("a", "v") is conversation
    kept.release(conversation)
    kept.delete("a")
    with pytest.raises(errors.NotFound):
        kept.delete("a")


def test_a_conversation_without_turns_is_not_kept_and_nameless_ones_get_names() -> None:
    kept = store([0.0])
    one, two = kept.acquire("", "v"), kept.acquire("", "v")
    assert one.conversation_id != two.conversation_id
    kept.release(one)
    assert len(kept) == 1


def test_a_turn_that_is_longer_than_any_context_is_not_sent() -> None:
    conversation = Conversation("c", "v", WIDE)
    conversation.add(turn("long", segment("heard for minutes", 201), heard=True))
    conversation.add(turn("short", segment("yes", 20)))
    assert [s.text for s in conversation.history(max_positions=200)] == ["yes"]
    assert len(conversation.turns) == 2
