"""Quotas over HTTP and WebSocket, and as the SDK raises them."""

import time

import httpx
import pytest

import csm
from csm import errors
from csm.client import RetryPolicy
from tests.gateway.fakes import stack
from tests.gateway.http.test_conversation_socket import talk

pytestmark = pytest.mark.asyncio


async def test_http_answers_429_with_when_to_come_back() -> None:
    async with (
        stack(http_port=0, quota_requests_per_minute=2) as served,
        httpx.AsyncClient(base_url=served.http, timeout=20) as http,
    ):
        body = {"input": "Hi.", "voice": "fake"}
        assert (await http.post("/v1/audio/speech", json=body)).status_code == 200
        answer = await http.post("/v1/audio/tokens", content=b"RIFF" + bytes(996))
        assert answer.status_code == 200
        for call in (
            http.post("/v1/audio/speech", json=body),
            http.post("/v1/audio/tokens", content=b"RIFF" + bytes(996)),
            http.post("/v1/audio/detokenize", content=answer.content),
            http.post("/v1/text/prepare", json={"input": "Hi."}),
            http.post(
                "/v1/audio/voices",
                data={"name": "anna", "text": "Hi."},
                files=[("file", ("a.wav", b"RIFF" + bytes(2496), "audio/wav"))],
            ),
        ):
            refused = await call
            assert refused.status_code == 429, refused.request.url
            assert 50 < int(refused.headers["retry-after"]) <= 60
            assert 50_000 < int(refused.headers["retry-after-ms"]) <= 60_000
            error = refused.json()["error"]
            assert (error["code"], error["type"]) == ("quota_exceeded", "rate_limit_error")
            assert "2 requests a minute are used up" in error["message"]
        # They do not count, and are never refused.
        for path in ("/healthz", "/readyz", "/v1/models", "/v1/audio/voices", "/openapi.json"):
            assert (await http.get(path)).status_code == 200


async def test_a_websocket_is_told_in_band_of_a_turn_and_closed_where_it_may_not_begin() -> None:
    async with stack(http_port=0, quota_requests_per_minute=2) as served:
        async with talk(served, voice="fake") as one:
            await one.until("started")
            for reason in ("eos", "error"):
                await one.send("text", text="Hello.")
                await one.send("end_of_turn")
                completed = await one.until("turn_completed")
                assert completed["finish_reason"] == reason
            assert completed["error"]["code"] == "quota_exceeded"
            await one.send("close")
            assert await one.closed() == (1000, None)
        async with talk(served, voice="fake") as one:
            code, error = await one.closed()
            assert error is not None
            assert (code, error["code"]) == (1013, "quota_exceeded")


async def test_the_sdk_raises_it_at_once_and_waits_for_no_day() -> None:
    async with stack(quota_characters_per_day=10) as served:
        patient = RetryPolicy(max_attempts=9)
        async with csm.AsyncClient(served.host.address, retry=patient) as client:
            await client.synthesize("Ten chars.").read_pcm()
            began = time.monotonic()
            with pytest.raises(errors.QuotaExceeded) as caught:
                await client.synthesize("Once more.").read_pcm()
            assert time.monotonic() - began < 2
            assert caught.value.subject == "tenant:/characters_per_day"
            assert 86_000 < caught.value.retry_after_s <= 86_400
            async with client.converse() as conversation:
                await conversation.say("Hello.")
                await conversation.end_turn()
                async for event in conversation:
                    if isinstance(event, csm.TurnCompleted):
                        break
                assert isinstance(event.error, errors.QuotaExceeded)
    assert RetryPolicy().delay_s(1, errors.QuotaExceeded("tenant:a/streams", "", 1.0), None) is None
    assert csm.client.QuotaExceeded is errors.QuotaExceeded
