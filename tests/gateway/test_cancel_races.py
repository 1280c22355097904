"""Random orders of everything a client may do: one terminal a turn, nothing after it, no leak."""

import asyncio
import random

import pytest

from tests.gateway.calls import Conversation, turns_of
from tests.gateway.fakes import CANCELLED, EOS, Stack, stack

TEXTS = ["Hello there. ", "How are ", "you? ", "Fine, thanks! ", "No end", " of it. ", "Ok. "]


class Client:
    """Does random things and keeps count of the turns that must come back."""

    def __init__(self, call: Conversation, chance: random.Random) -> None:
        self.call = call
        self.chance = chance
        self.spoken = 0
        self.heard = 0
        self.open_text = False
        self.open_sound = False

    async def act(self) -> None:
        chance = self.chance
        kind = chance.choices(["say", "hear", "end", "cancel", "name", "wait"], [6, 3, 5, 3, 2, 4])[
            0
        ]
        if kind == "say":
            self.spoken += not self.open_text
            self.open_text = True
            await self.call.say(chance.choice(TEXTS))
        elif kind == "hear":
            self.open_sound = True
            await self.call.hear(chance.choice([0.3, 1, 2.5]))
        elif kind == "end" and (self.open_text or self.open_sound):
            self.heard += self.open_sound
            self.open_text = self.open_sound = False
            await self.call.end()
        elif kind == "cancel":
            self.open_text = False
            await self.call.cancel(heard_ms=chance.choice([None, 0, 90, 5000]))
        elif kind == "name":
            known = [t.turn_id for t in self.call.all("turn_started")]
            name = chance.choice([*known, "nobody"])
            over = {t.turn_id for t in self.call.all("turn_completed")}
            # Naming the turn that is being written may or may not close it: the server decides.
            if name in over or name == "nobody":
                await self.call.cancel(name, chance.choice([None, 100]))
        else:
            await asyncio.sleep(chance.choice([0, 0.001, 0.01, 0.03]))


def check(call: Conversation, client: Client) -> None:
    terminals = call.all("turn_completed")
    assert len({t.turn_id for t in terminals}) == len(terminals)
    assert sum(t.heard for t in terminals) == client.heard
    assert sum(not t.heard for t in terminals) == client.spoken
    for turn in call.turns.values():
        (completed,) = turn.completed
        if completed.heard:
            continue
        assert completed.finish_reason in (EOS, CANCELLED)
        assert len(turn.started) <= 1
        # Frames are those of one stream from its beginning, none lost and none of another turn.
        assert turn.frames == list(range(len(turn.frames)))
        assert completed.kept_audio_ms <= 80 * len(turn.frames)
        if completed.finish_reason == EOS:
            assert turn.started
            assert completed.kept_audio_ms == 80 * len(turn.frames)


async def play(running: Stack, seed: int) -> None:
    chance = random.Random(seed)
    config = {"max_lead_ms": chance.choice([0, 0, 200]), "conversation_id": f"race-{seed}"}
    async with Conversation(running, **config) as call:
        client = Client(call, chance)
        for _ in range(chance.randint(5, 40)):
            await client.act()
        if client.open_text or client.open_sound:
            client.heard += client.open_sound
        await call.done()
        assert call.error is None, (seed, call.error)
    check(call, client)
    kept = {t.turn_id: t.kept_audio_ms for t in call.all("turn_completed")}
    if any(kept.values()):
        turns = await turns_of(running, f"race-{seed}")
        assert sum(t[3] for t in turns) <= sum(kept.values())


@pytest.mark.parametrize("block", range(4))
async def test_every_turn_has_exactly_one_terminal_whatever_the_order(block: int) -> None:
    async with stack() as running:
        running.generator.frame_s = 0.002
        seeds = range(block * 15, block * 15 + 15)
        for at in range(0, 15, 5):
            await asyncio.gather(*(play(running, seed) for seed in seeds[at : at + 5]))
        await running.settled()
        assert running.sample("csm_gateway_streams_active") == 0


async def test_clients_that_vanish_at_random_moments_leave_nothing_behind() -> None:
    async with stack() as running:
        running.generator.frame_s = 0.002

        async def vanish(seed: int) -> None:
            chance = random.Random(1000 + seed)
            async with Conversation(running, conversation_id=f"gone-{seed}") as call:
                client = Client(call, chance)
                for _ in range(chance.randint(1, 25)):
                    await client.act()

        for at in range(0, 40, 8):
            await asyncio.gather(*(vanish(seed) for seed in range(at, at + 8)))
        await running.settled()
        before = len(asyncio.all_tasks())
        for seed in range(8):
            await vanish(100 + seed)
        await running.settled()
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > before + 4:
                await asyncio.sleep(0.05)
        # Every conversation is free again.
        async with Conversation(running, conversation_id="gone-0") as call:
            await call.until("started")
