"""Two tenants on one generator: neither a slot nor what is in the KV cache passes between them."""

from __future__ import annotations

import asyncio

import numpy as np

from csm.v1 import generator_pb2
from gateway.backends.affinity import affinity, generator_key, scope_of
from services.model_directory import default_model_directory
from tests.generator.grpc_harness import Heard, Serving, segment, serving

TEXT = "Good morning, how are you?"


def voice(server: Serving, seed: int, frames: int = 40) -> np.ndarray:
    """Codes of a recording, [F, K]."""
    return np.random.default_rng(seed).integers(1, 50, (frames, server.books), dtype=np.uint16)


async def says(server: Serving, owner: str, recording: np.ndarray, name: str = "demo") -> Heard:
    """A turn as the gateway has a tenant's conversation say it, with that voice prompt."""
    key = generator_key(owner, name)
    stream = server.stream(metadata=affinity(key) + scope_of(owner))
    await stream.config(conversation_id=key, sampling={"seed": 5}, max_audio_ms=400)
    await stream.context(segment("This is my voice.", recording, pinned=True), replace=True)
    await stream.say(TEXT)
    heard = await stream.turn()
    await stream.end()
    return heard


async def test_voices_of_one_name_in_conversations_of_one_id_are_each_its_owners_own() -> None:
    async with serving(model=str(default_model_directory()), slots=4) as server:
        one, other = voice(server, 1), voice(server, 2)
        a, b, nobodys = await asyncio.gather(
            says(server, "a", one), says(server, "b", other), says(server, "", one)
        )
        assert not np.array_equal(a.codes, b.codes)
        assert np.array_equal(a.codes, nobodys.codes)
        assert server.service.engine.load.cached == 3
        again = [await says(server, "b", other), await says(server, "a", one)]
        assert [np.array_equal(h.codes, was.codes) for h, was in zip(again, (b, a), strict=True)]
        assert np.array_equal(again[0].codes, b.codes)
        assert np.array_equal(again[1].codes, a.codes)
        # Each has its own slot's rows, up to the last.
        for heard in again:
            assert heard.started
            assert heard.started.reused_frames > 40
    async with serving(model=str(default_model_directory()), slots=1) as alone:
        assert np.array_equal((await says(alone, "b", other)).codes, b.codes)


async def test_what_one_tenant_computed_is_nothing_that_another_can_find_in_the_cache() -> None:
    async with serving(slots=3) as server:
        recording = voice(server, 1)
        first = await says(server, "a", recording)
        probe = await says(server, "b", recording)
        without = await says(server, "", recording, "other")
        shared = await says(server, "a", recording, "second")
        reused = [h.started.reused_frames for h in (first, probe, without, shared) if h.started]
        assert reused == [0, 0, 0, 80]  # whole chunks, and only within the tenant
        # The slot of a conversation that is gone keeps its rows, and whose they were.
        await server.stub.EvictConversation(
            generator_pb2.EvictConversationRequest(conversation_id=generator_key("b", "demo"))
        )
        late = await says(server, "c", recording, "late")
        assert late.started
        assert late.started.reused_frames == 0


async def test_one_tenants_turn_under_way_never_refuses_anothers() -> None:
    async with serving(slots=2) as server:
        key = generator_key("a", "demo")
        held = server.stream(metadata=scope_of("a"))
        await held.config(conversation_id=key, initial_credit_frames=1)
        await held.say(TEXT)
        await held.turn(frames_only=1)
        heard = await says(server, "b", voice(server, 1))
        assert heard.completed
        evicted = await server.stub.EvictConversation(
            generator_pb2.EvictConversationRequest(conversation_id=generator_key("b", "demo"))
        )
        assert evicted.evicted
        await held.send(cancel=generator_pb2.GenerateCancel())


async def test_a_scope_that_is_too_long_is_refused_by_name() -> None:
    async with serving() as server:
        stream = server.stream(metadata=(("x-csm-cache-scope", "x" * 129),))
        await stream.config()
        assert "x-csm-cache-scope" in (await stream.error()).violations
