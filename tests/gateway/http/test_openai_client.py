"""The official client, unchanged, and the requests of clients that are not OpenAI's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import openai
import pytest
import pytest_asyncio

from csm import errors
from tests.gateway.fakes import FRAME_SAMPLES, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PCM_BYTES = 3 * 2 * FRAME_SAMPLES
"""Of "Hello there."."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(served: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{served.http}/v1", api_key="any", max_retries=0
    ) as one:
        yield one


async def test_it_gets_a_whole_answer(client: openai.AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(
        model="tts-1", voice="alloy", input="Hello there.", response_format="pcm"
    )
    assert len(answer.content) == PCM_BYTES
    assert answer.response.headers["content-type"] == "audio/pcm"


async def test_it_streams_into_a_file(client: openai.AsyncOpenAI, tmp_path: Path) -> None:
    async with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="coral",
        input="Hello there.",
        instructions="Speak in a cheerful tone.",
        response_format="wav",
        speed=1.0,
    ) as answer:
        await answer.stream_to_file(tmp_path / "said.wav")
    assert (tmp_path / "said.wav").stat().st_size == 44 + PCM_BYTES


async def test_it_streams_events(client: openai.AsyncOpenAI) -> None:
    async with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="coral", input="Hello there.", stream_format="sse"
    ) as answer:
        lines = [line async for line in answer.iter_lines() if line]
    assert all(line.startswith("data: {") for line in lines)
    assert '"speech.audio.done"' in lines[-1]


async def test_it_sends_what_only_we_know(served: Stack, client: openai.AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(
        model="tts-1",
        voice="fake",
        input="Hello there.",
        response_format="pcm",
        extra_body={"csm": {"seed": 11}},
    )
    assert answer.response.headers["x-csm-seed"] == "11"
    assert served.generator.streams[-1].config.sampling.seed == 11


async def test_it_lists_models(client: openai.AsyncOpenAI) -> None:
    assert (await anext(aiter(client.models.list()))).id == "fake"
    assert (await client.models.retrieve("fake")).owned_by == "csm"


async def test_it_knows_our_refusals(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.audio.speech.create(model="tts-1", voice="fake", input="")
    assert refused.value.param == "input"
    assert refused.value.request_id
    with pytest.raises(openai.NotFoundError) as missing:
        await client.audio.speech.create(model="tts-1", voice="bob", input="Hi.")
    assert missing.value.param == "voice"


async def test_it_comes_back_when_it_is_told_to(served: Stack, client: openai.AsyncOpenAI) -> None:
    served.generator.refuse_streams[:] = []
    served.generator.refuse[:] = [errors.QueueFull("full", 0.05)] * 3
    try:
        answer = await client.with_options(max_retries=4).audio.speech.create(
            model="tts-1", voice="fake", input="Hello there.", response_format="pcm"
        )
    finally:
        served.generator.refuse.clear()
    assert len(answer.content) == PCM_BYTES


async def test_what_open_webui_asks(http: httpx.AsyncClient) -> None:
    """It asks for models and voices, then sends text and voice and keeps what comes as MP3."""
    models = (await http.get("/v1/audio/models")).json()["models"]
    voices = (await http.get("/v1/audio/voices")).json()["voices"]
    answer = await http.post(
        "/v1/audio/speech",
        json={"model": models[0]["id"], "input": "Hello there.", "voice": voices[0]["id"]},
        headers={
            "authorization": "Bearer sk-x",
            "x-openwebui-user-name": "Ada",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.content[:2] == b"\xff\xf3"
    assert "x-csm-warnings" not in answer.headers


@pytest.mark.parametrize("stream_format", ["sse", "audio"])
async def test_what_the_openai_plugin_of_livekit_asks(
    client: openai.AsyncOpenAI, stream_format: str
) -> None:
    """MP3 in events, by the official client; it tells by Content-Type what it got."""
    async with client.audio.speech.with_streaming_response.create(
        input="Hello there.",
        model="gpt-4o-mini-tts",
        voice="ash",
        response_format="mp3",
        speed=1.0,
        instructions="",
        timeout=httpx.Timeout(30, connect=10.0),
        extra_body={"stream_format": stream_format},
    ) as answer:
        kind = answer.headers["content-type"]
        sound = b"".join([part async for part in answer.iter_bytes()])
    assert kind == ("text/event-stream" if stream_format == "sse" else "audio/mpeg")
    assert sound


async def test_what_the_openai_service_of_pipecat_asks(client: openai.AsyncOpenAI) -> None:
    """PCM, which it takes for 24 kHz."""
    async with client.audio.speech.with_streaming_response.create(
        input="Hello there.", model="gpt-4o-mini-tts", voice="alloy", response_format="pcm"
    ) as answer:
        assert answer.status_code == 200
        size = sum([len(part) async for part in answer.iter_bytes(1024)])
    assert size == PCM_BYTES
