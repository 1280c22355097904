"""Created voices of several owners in one store: the same names, and they never meet."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from csm import errors
from csm.serving.metrics import GatewayMetrics
from gateway.conversations.redis.connection import connect
from gateway.voices.created.files import VoiceFolder
from gateway.voices.created.memory import VoiceMemory
from gateway.voices.created.owner_folder import folder_name, folder_of, make_folder, owner_of
from gateway.voices.created.redis_store import RedisVoices, id_of, member_of
from gateway.voices.created.store import VoiceStore
from gateway.voices.created.usage import VoiceUsage
from gateway.voices.names import is_name
from gateway.voices.voice import VoiceId
from tests.gateway.conversations.redis.server import RedisServer, needs_redis, redis_server
from tests.gateway.voices.making import AUDIO, record

OWNERS = ("", "a", "A", "a/b", "../a", "ü 二", "x" * 300)
NAMES = st.text(min_size=1, max_size=300) | st.sampled_from(OWNERS[1:])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(OWNERS),
        st.sampled_from(("create", "update", "delete")),
        st.sampled_from(("demo", "Demo", "other")),
    ),
    max_size=20,
)


async def follow(store: VoiceStore, other: VoiceStore | None, steps: list[tuple[str, ...]]) -> None:
    """Does the steps, and compares with a model; `other` is as another gateway has the store."""
    model: dict[VoiceId, str] = {}
    seen: dict[VoiceId, str] = {}
    for number, (owner, step, name) in enumerate(steps):
        key = VoiceId(owner, name.lower())
        there, told = key in model, f"{number} of {owner}"
        try:
            if step == "create":
                made = record(name, owner=owner, description=told, revision=str(number))
                await store.create(made, [AUDIO])
                assert not there
                model[key] = told
            elif step == "update":
                await store.update(
                    name,
                    lambda r, told=told: replace(r, description=told),  # type: ignore[misc]
                    owner=owner,
                )
                assert there
                model[key] = told
            else:
                await store.delete(name, owner=owner)
                assert there
                del model[key]
        except errors.AlreadyExists:
            assert step == "create"
            assert there
        except errors.NotFound:
            assert step != "create"
            assert not there
        if other is not None:
            changes = await other.changes()
            assert not changes.foreign
            for gone in changes.gone:
                del seen[gone]
            seen |= {one.id: one.description for one in changes.put}
            assert seen == model


@given(STEPS)
@settings(max_examples=50, deadline=None)
def test_owners_never_meet_in_one_process(steps: list[tuple[str, ...]]) -> None:
    asyncio.run(follow(VoiceMemory(100), None, steps))


@given(STEPS)
@settings(max_examples=20, deadline=None)
def test_owners_never_meet_in_a_folder(steps: list[tuple[str, ...]]) -> None:
    async def run(folder: Path) -> None:
        one, other = VoiceFolder(folder, 100), VoiceFolder(folder, 100)
        await one.start()
        await other.start()
        await follow(one, other, steps)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


def redis_voices(server: RedisServer, most: int = 100) -> RedisVoices:
    return RedisVoices(connect(server.url, 5.0), GatewayMetrics(CollectorRegistry()), 5.0, most)


@needs_redis
@given(steps=STEPS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_owners_never_meet_in_redis(running: RedisServer, steps: list[tuple[str, ...]]) -> None:
    async def run() -> None:
        one, other = redis_voices(running), redis_voices(running)
        try:
            await follow(one, other, steps)
        finally:
            await one.stop()
            await other.stop()

    running.client().flushall()
    asyncio.run(run())


async def test_the_most_is_over_all_owners(tmp_path: Path) -> None:
    folder = VoiceFolder(tmp_path, 2)
    await folder.start()
    for store in (folder, VoiceMemory(2)):
        await store.create(record("one", owner="a"), [])
        await store.create(record("one", owner="b"), [])
        with pytest.raises(errors.LimitReached):
            await store.create(record("one", owner="c"), [])


async def test_voices_of_before_there_were_owners_are_those_of_no_owner(tmp_path: Path) -> None:
    store = VoiceFolder(tmp_path, 10)
    await store.start()
    await store.create(record("anna"), [AUDIO])
    await store.create(record("anna", owner="Acme/x"), [AUDIO])
    assert sorted(n for n in os.listdir(tmp_path) if n != ".lock") == ["@%41cme%2fx", "anna"]
    assert sorted(os.listdir(tmp_path / "@%41cme%2fx" / "anna")) == ["1", "record", "voice.json"]
    assert member_of(VoiceId("", "anna")) == "anna"
    assert member_of(VoiceId("Acme/x", "anna")) == "Acme%2Fx/anna"


async def test_a_folder_that_is_no_tenants_is_left_alone(tmp_path: Path) -> None:
    store = VoiceFolder(tmp_path, 10)
    await store.start()
    await store.create(record("anna", owner="a"), [AUDIO])
    os.rename(tmp_path / "@a", tmp_path / "@%61")  # how nobody would write it
    (tmp_path / "@@0123").mkdir()
    (tmp_path / "@").mkdir()
    (tmp_path / "@b").write_text("no folder")
    assert not (await store.changes()).put
    with pytest.raises(errors.NotFound):
        await store.delete("anna", owner="a")


@given(NAMES, NAMES)
@settings(deadline=None)
def test_a_tenants_folder_is_its_alone_and_leads_nowhere_else(one: str, other: str) -> None:
    name = folder_name(one)
    assert (name.lower() == folder_name(other).lower()) == (one == other)
    assert len(name) <= 255
    assert not is_name(name)
    assert not set(name) & set("/\\.\0")
    with tempfile.TemporaryDirectory() as root:
        folder = make_folder(Path(root), one)
        assert folder == folder_of(Path(root), one) == Path(root) / name
        assert owner_of(folder) == one


@given(NAMES | st.just(""))
def test_a_member_of_the_index_tells_owner_and_name(owner: str) -> None:
    voice_id = VoiceId(owner, "anna")
    assert id_of(member_of(voice_id)) == voice_id


@given(
    st.lists(
        st.tuples(st.sampled_from(OWNERS), st.sampled_from("xyz"), st.integers(-1, 100)),
        max_size=50,
    )
)
def test_usage_is_what_is_there(steps: list[tuple[str, str, int]]) -> None:
    usage, model = VoiceUsage(), dict[VoiceId, int]()
    for owner, name, num_bytes in steps:
        voice_id = VoiceId(owner, name)
        if num_bytes < 0:
            usage.drop(voice_id)
            model.pop(voice_id, None)
        else:
            usage.put(voice_id, num_bytes)
            model[voice_id] = num_bytes
    assert (len(usage), usage.total_bytes) == (len(model), sum(model.values()))
    for owner in OWNERS:
        owned = [size for one, size in model.items() if one.owner == owner]
        assert (usage.count(owner), usage.num_bytes(owner)) == (len(owned), sum(owned))
    assert set(usage._of_owners) == {one.owner for one in model}
