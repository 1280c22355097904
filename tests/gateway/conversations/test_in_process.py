"""The default store: the memory of the process, behind the interface of any store."""

import asyncio

import pytest

from csm import errors
from gateway.conversations.in_process import InProcessStore
from gateway.conversations.memory import ConversationMemory
from gateway.conversations.store import ConversationStore
from tests.gateway.conversations.making import WIDE, segment, turn


def made() -> ConversationStore:
    memory = ConversationMemory(max_conversations=3, max_bytes=1 << 20, ttl_s=100, limits=WIDE)
    return InProcessStore(memory)


async def test_a_conversation_is_opened_read_listed_and_deleted() -> None:
    store = made()
    here = await store.open("c", "v", 0)
    here.add(turn("t", segment("x", 1)))
    assert await here.unsaved() == ""
    with pytest.raises(errors.FailedPrecondition, match=r"begun 0\.\d s ago"):
        await store.delete("c", 0)
    store.close(here)
    assert await store.read("c") is here
    assert (await store.ids(), await store.ids("somebody")) == (["c"], [])
    await store.delete("c", 0)
    with pytest.raises(errors.NotFound):
        await store.read("c")
    assert (len(store), store.ready()) == (0, True)


async def test_who_is_about_to_give_a_conversation_back_is_waited_for() -> None:
    store = made()
    here = await store.open("c", "v", 0)
    here.add(turn("t", segment("x", 1)))
    asyncio.get_running_loop().call_later(0.05, store.close, here)
    assert await store.open("c", "v", 1.0) is here
    with pytest.raises(errors.FailedPrecondition, match="in use"):
        await store.open("c", "v", 0.05)
