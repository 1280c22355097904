"""Several voices in one turn, as a client asks for them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from csm import InvalidArgument
from csm.client import AsyncClient, Client, TurnCompleted, WarningKind
from csm.v1 import generator_pb2
from tests.gateway.fakes import Stack

WANTED = [(1, "I say this."), (0, "And I that."), (1, "So.")]


@pytest.fixture
async def named() -> AsyncIterator[Stack]:
    one = Stack()
    one.generator.voices = [
        generator_pb2.ModelVoice(name="heart", speaker=0),
        generator_pb2.ModelVoice(name="michael", speaker=1),
    ]
    try:
        await one.up()
        yield one
    finally:
        await one.down()


def said(stack: Stack) -> list[tuple[int, str]]:
    (stream,) = stack.generator.streams
    return list(zip([flush.speaker for flush in stream.flushes], stream.texts, strict=True))


async def test_a_conversation_for_asyncio_says_parts_by_several_voices(named: Stack) -> None:
    async with (
        AsyncClient(named.host.address) as client,
        client.converse(voice="heart") as conversation,
    ):
        await conversation.say("I say this. ", voice="michael")
        await conversation.say("And I that.")
        await conversation.say("So.", "michael")
        await conversation.end_turn()
        await conversation.finish()
        (done,) = [e async for e in conversation if isinstance(e, TurnCompleted)]
    assert not done.warnings
    assert said(named) == WANTED


async def test_a_blocking_conversation_does_too_and_is_told_of_a_voice_that_is_not_known(
    named: Stack,
) -> None:
    def talk() -> TurnCompleted:
        with (
            Client(named.host.address) as client,
            client.converse(voice="heart") as conversation,
        ):
            conversation.say("I say this. ", voice="michael")
            conversation.say("And I that.", voice="nobody")
            conversation.say("So.", voice="michael")
            conversation.end_turn()
            conversation.finish()
            (done,) = [event for event in conversation if isinstance(event, TurnCompleted)]
            return done

    done = await asyncio.to_thread(talk)
    assert said(named) == WANTED
    (warning,) = done.warnings
    assert (warning.kind, warning.first_char) == (WarningKind.IGNORED, 12)
    assert "'nobody' is not known; known are fake, heart, michael" in warning.description


async def test_a_script_is_spoken_by_its_voices(named: Stack) -> None:
    script = "[voice: michael] I say this.\n[voice: heart] And I that.\n[voice: michael] So."
    async with AsyncClient(named.host.address) as client:
        speech = client.synthesize(script)
        assert [chunk async for chunk in speech]
        assert said(named) == WANTED
        with pytest.raises(
            InvalidArgument, match="'bob' is not known; known are fake, heart, michael"
        ):
            async for _ in client.synthesize("[voice: bob] Hello."):
                pass
