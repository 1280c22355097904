"""The store in memory: time to live, one call at a time, the budget of bytes."""

import gc
import tracemalloc

import pytest

from csm import errors
from gateway.backends.convert import segment_message
from gateway.conversations.conversation import StoredConversation
from gateway.conversations.memory import ConversationMemory
from gateway.conversations.segment import Segment
from gateway.conversations.turn import Turn, new_turn_id
from tests.gateway.conversations.making import WIDE, segment, turn


def store(clock: list[float], **limits: float) -> ConversationMemory:
    counts: list[int] = []
    kept = ConversationMemory(
        max_conversations=int(limits.get("max_conversations", 3)),
        max_bytes=int(limits.get("max_bytes", 1 << 30)),
        ttl_s=limits.get("ttl_s", 100.0),
        limits=WIDE,
        on_count=counts.append,
        clock=lambda: clock[0],
    )
    kept.counts = counts  # type: ignore[attr-defined]
    return kept


def use(kept: ConversationMemory, name: str) -> StoredConversation:
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
    clock = [0.0]
    kept = store(clock)
    conversation = kept.acquire("a", "v")
    clock[0] = 12.3
    with pytest.raises(errors.FailedPrecondition, match=r"in use .* begun 12\.3 s ago"):
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


def grow(
    kept: ConversationMemory, name: str, *, turns: int, frames: int, text: str = "Yes."
) -> None:
    """A call that adds turns whose frames are 64 bytes each, as with 32 codebooks."""
    conversation = kept.acquire(name, "v")
    for _ in range(turns):
        # Strings and codes of their own, as those from the wire are.
        own = Segment(0, text.encode().decode(), bytes(64 * frames), frames)
        conversation.add(Turn(new_turn_id(), 0, False, [own]))
    kept.release(conversation)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turns", "frames", "text"),
    [
        pytest.param(4, 100, "Of the usual length of a sentence.", id="much audio"),
        pytest.param(40, 1, "Hm.", id="many small turns"),
        pytest.param(1, 0, "no audio", id="many small conversations"),
        pytest.param(4, 0, "Ein größeres Wörtchen " * 50, id="Latin text"),
        pytest.param(4, 0, "很长的句子。" * 100, id="Chinese text"),
    ],
)
def test_a_thousand_conversations_keep_to_the_budget_in_real_memory(
    turns: int, frames: int, text: str
) -> None:
    budget = 2 << 20
    kept = store([0.0], max_conversations=100_000, max_bytes=budget)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(4000 if turns == 1 else 1000):
            grow(kept, f"conversation {number}", turns=turns, frames=frames, text=text)
            # As protobuf does when the text is sent: its UTF-8 stays with the string.
            for one in kept.get(f"conversation {number}").turns:
                segment_message(one.segments[0])
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert budget * 0.9 < kept.num_bytes <= budget
    assert budget * 0.35 < taken <= budget * 1.02
    assert kept.get(f"conversation {number}").turns


def test_the_budget_is_kept_by_the_least_recently_used_of_those_that_are_idle() -> None:
    kept = store([0.0], max_conversations=100, max_bytes=101_000)
    held = kept.acquire("held", "v")
    held.add(turn("t", segment("x", 2500)))
    for name in ("a", "b", "c", "d"):
        grow(kept, name, turns=1, frames=300)
    kept.release(kept.acquire("a", "v"))
    grow(kept, "e", turns=1, frames=300)
    assert [name for name in "abcde" if kept.found(name)] == ["a", "c", "d", "e"]
    assert kept.found("held")
    assert len(held.turns) == 1
    assert kept.num_bytes <= 101_000
    assert kept.counts[-1] == 5  # type: ignore[attr-defined]


def test_a_conversation_that_outgrows_the_budget_loses_its_oldest_turns() -> None:
    kept = store([0.0], max_bytes=200_000)
    conversation = kept.acquire("long", "v")
    for number in range(500):
        conversation.add(turn(str(number), segment("x", 250)))
        assert kept.num_bytes <= 200_000
    assert conversation.turns[-1].turn_id == "499"
    assert len(conversation.turns) > 75


def test_the_largest_of_those_in_use_pays_and_not_the_one_that_speaks() -> None:
    kept = store([0.0], max_bytes=200_000)
    small, large = kept.acquire("small", "v"), kept.acquire("large", "v")
    for number in range(100):
        large.add(turn(str(number), segment("x", 300)))
    for number in range(20):
        small.add(turn(str(number), segment("x", 300)))
    assert len(small.turns) == 20
    assert kept.num_bytes <= 200_000
    assert large.turns[-1].turn_id == "99"


def test_the_last_turns_of_conversations_in_use_stay_whatever_the_budget() -> None:
    kept = store([0.0], max_bytes=10_000)
    one, two = kept.acquire("one", "v"), kept.acquire("two", "v")
    one.add(turn("t", segment("x", 5000)))
    two.add(turn("t", segment("x", 5000)))
    assert one.turns
    assert two.turns
    kept.release(one)
    two.add(turn("u", segment("x", 10)))
    assert not kept.found("one")
    assert [t.turn_id for t in two.turns] == ["u"]
    assert kept.num_bytes <= 10_000


def test_one_that_was_forgotten_no_longer_counts_even_if_somebody_still_writes_to_it() -> None:
    kept = store([0.0])
    conversation = use(kept, "a")
    kept.delete("a")
    assert kept.num_bytes == 0
    conversation.add(turn("late", segment("x", 1000)))
    conversation.truncate("late", 80, 80.0)
    assert kept.num_bytes == 0
