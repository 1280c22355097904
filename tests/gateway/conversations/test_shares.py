"""Owners share one memory: nobody's conversations are pushed out by one who has more."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csm import errors
from gateway.conversations.conversation import StoredConversation
from gateway.conversations.memory import ConversationMemory
from tests.gateway.conversations.making import WIDE, segment, turn

OWNERS = ("a", "b", "c")
MAX = 9
STEPS = st.lists(
    st.tuples(st.sampled_from(OWNERS), st.integers(0, 12), st.sampled_from(("call", "hold"))),
    max_size=120,
)


def memory(max_conversations: int = MAX, max_bytes: int = 1 << 30) -> ConversationMemory:
    ticks = iter(range(1 << 30))
    return ConversationMemory(
        max_conversations=max_conversations,
        max_bytes=max_bytes,
        ttl_s=1e9,
        limits=WIDE,
        clock=lambda: float(next(ticks)),
    )


def say(kept: ConversationMemory, owner: str, name: str, frames: int = 1) -> StoredConversation:
    """A call that adds a turn; the conversation is still in use."""
    conversation = kept.acquire(name, "v", owner=owner)
    conversation.add(turn("t", segment("x", frames)))
    return conversation


def ids(kept: ConversationMemory) -> dict[str, list[str]]:
    return {owner: kept.ids(owner=owner) for owner in OWNERS}


def follow(
    kept: ConversationMemory,
    steps: list[tuple[str, int, str]],
    check: Callable[[str, dict[str, list[str]], dict[str, int]], None],
) -> None:
    """Does the steps; `check` is told who had what before each."""
    held: list[StoredConversation] = []
    for owner, number, step in steps:
        before, sizes = ids(kept), {one: kept.kept(one).num_bytes for one in OWNERS}
        try:
            conversation = say(kept, owner, str(number))
        except (errors.QueueFull, errors.FailedPrecondition):
            assert ids(kept) == before
            continue
        if step == "hold":
            held.append(conversation)
        else:
            kept.release(conversation)
        if len(held) > 4:
            kept.release(held.pop(0))
        check(owner, before, sizes)


@given(STEPS)
def test_another_loses_one_only_to_who_has_no_more_and_nobody_less_than_an_even_part(
    steps: list[tuple[str, int, str]],
) -> None:
    kept = memory()

    def check(owner: str, before: dict[str, list[str]], sizes: dict[str, int]) -> None:
        after = ids(kept)
        assert len(kept) <= MAX
        for other in OWNERS:
            gone = len(set(before[other]) - set(after[other]))
            assert gone <= 1
            if gone and other != owner:
                # Those who have asked for nothing have none, and an even part all the same.
                owners = sum(1 for one in OWNERS if before[one] or one == owner)
                assert len(before[other]) > MAX // owners
                assert len(before[other]) >= len(after[owner])

    follow(kept, steps, check)


@given(STEPS)
def test_the_bytes_of_who_has_an_even_part_at_most_stay_whole(
    steps: list[tuple[str, int, str]],
) -> None:
    one = memory()
    one.release(say(one, "a", "1"))
    # Each turn has as many; the last turns of all calls that are held are less than an even part.
    budget = one.num_bytes * 18
    kept = memory(1000, budget)

    def check(owner: str, before: dict[str, list[str]], sizes: dict[str, int]) -> None:
        assert kept.num_bytes <= budget
        for other in OWNERS:
            if other != owner and sizes[other] <= budget // len(OWNERS):
                assert kept.kept(other).num_bytes == sizes[other]

    follow(kept, steps, check)


def test_a_flood_of_one_tenant_costs_another_nothing() -> None:
    kept = memory()
    kept.release(say(kept, "quiet", "1"))
    kept.release(say(kept, "quiet", "2"))
    for number in range(100):
        kept.release(say(kept, "loud", str(number)))
    assert kept.ids(owner="quiet") == ["1", "2"]
    assert kept.ids(owner="loud") == [str(number) for number in range(93, 100)]


def test_a_long_conversation_of_one_tenant_costs_another_nothing() -> None:
    kept = memory(max_bytes=200_000)
    kept.release(say(kept, "quiet", "1", frames=600))
    long = kept.acquire("long", "v", owner="loud")
    for number in range(200):
        long.add(turn(str(number), segment("x", 300)))
    assert kept.ids(owner="quiet") == ["1"]
    assert kept.num_bytes <= 200_000
    assert long.turns[-1].turn_id == "199"


def test_who_comes_late_has_a_place_and_the_least_recently_used_of_many_gives_it() -> None:
    kept = memory(max_conversations=3)
    for owner in ("a", "b", "c"):
        kept.release(say(kept, owner, "1"))
    kept.release(kept.acquire("1", "v", owner="a"))
    kept.release(say(kept, "late", "1"))
    assert [one for one in ("a", "b", "c", "late") if kept.ids(owner=one)] == ["a", "c", "late"]


def test_who_has_all_of_its_own_in_use_gets_no_other_ones_place() -> None:
    kept = memory(max_conversations=3)
    kept.release(say(kept, "quiet", "1"))
    held = [say(kept, "loud", str(number)) for number in range(2)]
    with pytest.raises(errors.QueueFull, match="3 conversations are kept, as many as may be"):
        kept.acquire("one too many", "v", owner="loud")
    kept.release(held[0])
    kept.release(say(kept, "loud", "2"))
    assert kept.ids(owner="quiet") == ["1"]
    assert kept.ids(owner="loud") == ["1", "2"]
