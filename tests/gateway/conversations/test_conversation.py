"""Conversations: limits, truncation, and which turns are sent as context."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.conversations.conversation import ConversationLimits, StoredConversation
from gateway.conversations.segment import Segment
from tests.gateway.conversations.making import WIDE, segment, turn


def test_the_oldest_turns_go_in_one_stride_when_there_are_too_many() -> None:
    conversation = StoredConversation("c", "v", ConversationLimits(max_turns=8, max_frames=1000))
    kept = []
    for number in range(20):
        conversation.add(turn(str(number), segment("x", 1)))
        kept.append(len(conversation.turns))
    assert max(kept) == 8
    assert min(kept[8:]) == 6
    assert conversation.turns[-1].turn_id == "19"


def test_the_oldest_turns_go_when_there_are_too_many_frames() -> None:
    conversation = StoredConversation("c", "v", ConversationLimits(max_turns=100, max_frames=100))
    for number in range(11):
        conversation.add(turn(str(number), segment("x", 10)))
    assert sum(t.num_frames for t in conversation.turns) <= 75
    huge = turn("huge", segment("x", 500))
    conversation.add(huge)
    assert conversation.turns == [huge]


def test_history_leaves_out_what_no_context_could_hold_and_its_start_moves_seldom() -> None:
    conversation = StoredConversation("c", "v", WIDE)
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


def test_a_turn_that_is_longer_than_any_context_is_not_sent() -> None:
    conversation = StoredConversation("c", "v", WIDE)
    conversation.add(turn("long", segment("heard for minutes", 201), heard=True))
    conversation.add(turn("short", segment("yes", 20)))
    assert [s.text for s in conversation.history(max_positions=200)] == ["yes"]
    assert len(conversation.turns) == 2


def test_a_turn_that_is_never_sent_takes_no_others_place() -> None:
    conversation = StoredConversation("c", "v", WIDE)
    conversation.add(turn("before", segment("before", 20)))
    conversation.add(turn("long", segment("heard for minutes", 4000), heard=True))
    conversation.add(turn("after", segment("after", 20)))
    assert [s.text for s in conversation.history(max_positions=200)] == ["before", "after"]


def test_truncating_away_a_turn_that_is_no_longer_sent_leaves_the_others_in_the_context() -> None:
    conversation = StoredConversation("c", "v", WIDE)
    for number in range(20):
        conversation.add(turn(str(number), segment(f"{number}", 50)))
    sent = [s.text for s in conversation.history(max_positions=200)]
    assert sent[0] != "0"
    conversation.truncate("0", 0, 80.0)
    assert [s.text for s in conversation.history(max_positions=200)] == sent


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 60), st.integers(1, 3)),
        st.tuples(st.just("truncate"), st.integers(0, 40), st.integers(0, 60)),
        st.tuples(st.just("drop"), st.integers(0, 4000), st.just(0)),
        st.tuples(st.just("history"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(4, 12), st.integers(50, 400))
def test_a_turn_leaves_the_context_only_for_want_of_room_and_never_comes_back(
    steps: list[tuple[str, int, int]], max_turns: int, max_frames: int
) -> None:
    """Against a model that knows turns by name, where the conversation counts places."""
    conversation = StoredConversation("c", "v", ConversationLimits(max_turns, max_frames))
    sizes: list[int] = []
    conversation.on_resized = lambda _, num_bytes: sizes.append(num_bytes)
    base = conversation.num_bytes
    max_positions, added = 50, 0
    out: set[str] = set()  # turns that were left out of a context once
    for step, number, more in steps:
        if step == "add":
            segments = [segment(f"{added}.{i}", number) for i in range(more)]
            conversation.add(turn(str(added), *segments))
            added += 1
        elif step == "truncate":
            conversation.truncate(str(number), 80 * more, 80.0)
        elif step == "drop":
            conversation.drop_oldest(number)
        else:
            sendable = {
                t.turn_id: [s for s in t.segments if s.num_frames <= max_positions]
                for t in conversation.turns
                if t.turn_id not in out
            }
            size = {
                name: sum(s.num_frames + len(s.text) // 2 + 4 for s in segments)
                for name, segments in sendable.items()
            }
            if sum(size.values()) > 2 * max_positions:
                for name in list(size):
                    if sum(size.values()) <= 3 * max_positions // 2:
                        break
                    out.add(name)
                    del size[name]
            expected = [s for name in size for s in sendable[name]]
            assert list(conversation.history(max_positions)) == expected
        assert len(conversation.turns) <= max_turns
        assert (
            len(conversation.turns) <= 1
            or conversation.turns[-1].turn_id == str(added - 1)
            or (step in ("truncate", "drop", "history"))
        )
        # The size is the sum of its parts, and whoever counts was told of each change.
        assert conversation.num_bytes == base + sum(t.num_bytes for t in conversation.turns)
        assert sum(sizes) == conversation.num_bytes - base


def test_dropping_takes_the_oldest_turns_a_quarter_at_least_and_never_the_last() -> None:
    conversation = StoredConversation("c", "v", WIDE)
    for number in range(40):
        conversation.add(turn(str(number), segment("x", 250)))
    whole = conversation.num_bytes
    freed = conversation.drop_oldest(1)
    assert whole / 4 <= freed < whole / 3
    assert conversation.num_bytes == whole - freed
    assert conversation.turns[-1].turn_id == "39"
    conversation.drop_oldest(whole)
    assert [t.turn_id for t in conversation.turns] == ["39"]
    assert conversation.drop_oldest(whole) == 0


def test_text_of_a_truncated_turn_no_longer_counts() -> None:
    conversation = StoredConversation("c", "v", WIDE)
    conversation.add(turn("t", Segment(0, "word " * 100, bytes(400), 100)))
    before = conversation.num_bytes
    conversation.truncate("t", 4000, 80.0)
    assert before - conversation.num_bytes == 200 + len("word " * 50) + 1


def test_the_last_turn_is_taken_back_and_no_other() -> None:
    conversation = StoredConversation("c", "v", WIDE)
    conversation.add(turn("a", segment("x", 20)))
    bytes_before = conversation.num_bytes
    conversation.add(turn("b", segment("y", 30)))
    conversation.take_back("a")
    assert [t.turn_id for t in conversation.turns] == ["a", "b"]
    conversation.take_back("b")
    assert [t.turn_id for t in conversation.turns] == ["a"]
    assert conversation.num_bytes == bytes_before
