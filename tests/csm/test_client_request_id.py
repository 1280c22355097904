"""An error of the SDK names the call as the server's log does."""

import asyncio

import pytest

from csm import errors
from csm.client import AsyncClient, Client, RetryPolicy
from tests.csm.fake_speech import FakeSpeech, serving

ONCE = RetryPolicy(max_attempts=1)
MINE = [("x-request-id", "order-17")]


async def test_the_servers_own_id_is_with_an_error_of_either_client() -> None:
    async with serving(FakeSpeech()) as target:
        async with AsyncClient(target, retry=ONCE) as client:
            with pytest.raises(errors.NotFound) as first:
                await client.get_conversation("c")
            with pytest.raises(errors.NotFound) as second:
                await client.get_conversation("c")
        assert len(first.value.request_id) == 16
        assert first.value.request_id != second.value.request_id

        def blocking() -> None:
            with Client(target, retry=ONCE, metadata=MINE) as client:
                with pytest.raises(errors.FailedPrecondition) as refused:
                    client.delete_conversation("c")
                assert refused.value.request_id == "order-17"

        await asyncio.to_thread(blocking)


async def test_an_id_of_the_callers_own_is_with_errors_of_speech_and_conversations() -> None:
    fake = FakeSpeech()
    fake.fail = lambda attempt, sent: errors.NotFound("voice", "x")
    async with serving(fake) as target, AsyncClient(target, retry=ONCE, metadata=MINE) as client:
        with pytest.raises(errors.NotFound) as refused:
            await client.synthesize("Hello.").read_pcm()
        assert refused.value.request_id == "order-17"


async def test_where_no_server_answered_there_is_none() -> None:
    async with AsyncClient("127.0.0.1:1", retry=ONCE) as client:
        with pytest.raises(errors.Unavailable) as refused:
            await client.get_conversation("c", timeout_s=2)
        assert refused.value.request_id == ""
