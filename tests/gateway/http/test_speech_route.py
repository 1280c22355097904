"""`POST /v1/audio/speech`: audio in every format, its headers, refusals, and clients that leave."""

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import av
import httpx
import pytest

from csm import errors
from csm.serving.logs.access import CALL_ENDED
from tests.csm.serving.logs.logged import logged
from tests.gateway.fakes import ERROR, FRAME_SAMPLES, Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEECH = "/v1/audio/speech"
TEXT = "Hello there."  # three frames of the fake


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "tts-1", "input": TEXT, "voice": "fake", "response_format": "pcm", **fields}


async def to_the_end(parts: AsyncIterator[bytes]) -> None:
    async for _ in parts:
        pass


async def spoken(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    answer = await http.post(SPEECH, json=body(**fields))
    assert answer.status_code == 200, answer.text
    return answer


async def test_pcm_is_what_grpc_gives(served: Stack, http: httpx.AsyncClient) -> None:
    answer = await spoken(http)
    assert answer.headers["content-type"] == "audio/pcm"
    assert len(answer.content) == 3 * 2 * FRAME_SAMPLES
    assert served.tokenizer.formats[-1].sample_rate_hz == 24_000


async def test_wav_has_a_header_of_unknown_length(http: httpx.AsyncClient) -> None:
    answer = await spoken(http, response_format="wav")
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content[:4] == b"RIFF"
    assert answer.content[40:44] == b"\xff\xff\xff\xff"
    assert len(answer.content) == 44 + 3 * 2 * FRAME_SAMPLES


@pytest.mark.parametrize(
    ("response_format", "content_type", "codec"),
    [
        ("mp3", "audio/mpeg", "mp3"),
        ("flac", "audio/flac", "flac"),
        ("opus", "audio/ogg", "opus"),
        ("aac", "audio/aac", "aac"),
    ],
)
async def test_coded_formats_decode_to_the_length_that_was_spoken(
    http: httpx.AsyncClient, response_format: str, content_type: str, codec: str
) -> None:
    answer = await spoken(http, response_format=response_format)
    assert answer.headers["content-type"] == content_type
    with av.open(io.BytesIO(answer.content)) as container:
        assert container.streams.audio[0].codec_context.name.startswith(codec)
        frames = list(container.decode(audio=0))
    seconds = sum(frame.samples / frame.sample_rate for frame in frames)
    assert 0.23 <= seconds <= 0.24 + 0.13


async def test_nothing_said_of_the_format_is_mp3(http: httpx.AsyncClient) -> None:
    answer = await http.post(SPEECH, json={"input": TEXT})
    assert answer.headers["content-type"] == "audio/mpeg"


async def test_a_format_that_is_not_there_is_a_clear_400(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    answer = await http.post(SPEECH, json=body(response_format="aac"))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "response_format"
    assert "PyAV" in error["message"]


@pytest.mark.parametrize("response_format", ["wav", "pcm", "mp3", "flac", "opus"])
async def test_the_first_bytes_come_after_the_first_frame(
    served: Stack, http: httpx.AsyncClient, response_format: str
) -> None:
    fake = served.generator
    fake.frame_s = 0.15
    try:
        async with http.stream(
            "POST", SPEECH, json=body(input="A" * 50, response_format=response_format)
        ) as answer:
            async for _ in answer.aiter_raw():
                break
            # Ten frames take 1.5 s.
            assert served.generator.streams[-1].sent < 9
    finally:
        fake.frame_s = 0.0
    await served.settled()


async def test_events_are_those_of_openai(http: httpx.AsyncClient) -> None:
    answer = await spoken(http, stream_format="sse", response_format="wav")
    assert answer.headers["content-type"] == "text/event-stream"
    lines = answer.text.split("\n\n")
    assert lines.pop() == ""
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert audio == (await spoken(http, response_format="wav")).content
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15},
    }


async def test_headers_say_the_request_its_seed_and_its_time(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        SPEECH, json=body(csm={"seed": 42}), headers={"x-request-id": "my-request"}
    )
    assert answer.headers["x-request-id"] == "my-request"
    assert answer.headers["x-csm-seed"] == "42"
    assert answer.headers["x-csm-sample-rate-hz"] == "24000"
    assert answer.headers["server-timing"].startswith("first_audio;dur=")
    assert "x-csm-warnings" not in answer.headers


async def test_a_request_id_that_is_none_gets_a_new_one(http: httpx.AsyncClient) -> None:
    answer = await http.post(SPEECH, json=body(), headers={"x-request-id": "no spaces"})
    assert len(answer.headers["x-request-id"]) == 16


async def test_what_is_not_used_is_warned_of_and_not_repeated(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        SPEECH,
        json=body(instructions="whisper it", model="kokoro", lang_code="a", **{"bad name!": 1}),
    )
    warnings = answer.headers["x-csm-warnings"]
    assert warnings == (
        "instructions: not used, this model knows none; model: not used, one model is served; "
        "lang_code: not known"
    )
    outcome = (await http.get(f"{SPEECH}/{answer.headers['x-request-id']}")).json()
    assert [w["description"] for w in outcome["warnings"]] == warnings.split("; ")


@pytest.mark.parametrize("voice", ["alloy", {"id": "alloy"}])
async def test_a_voice_of_openai_speaks_as_the_default_with_a_warning(
    http: httpx.AsyncClient, voice: Any
) -> None:
    answer = await spoken(http, voice=voice)
    told = answer.headers["x-csm-warnings"]
    assert told == "voice: there is no alloy here, the default voice speaks"


async def test_another_unknown_voice_is_a_404_that_names_those_there_are(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.post(SPEECH, json=body(voice="bob"))
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "voice")
    assert "known are fake" in error["message"]


async def test_what_only_we_know_reaches_the_generator(
    served: Stack, http: httpx.AsyncClient
) -> None:
    extras = {
        "seed": 7,
        "temperature": 0.5,
        "max_audio_ms": 160,
        "text_options": {"lexicon": [{"word": "SQL", "spelling": "see quel"}]},
        "sample_rate_hz": 16_000,
        "conversation_id": "talk",
    }
    answer = await spoken(http, input="SQL is here.", csm=extras)
    stream = served.generator.streams[-1]
    assert stream.config.sampling.seed == 7
    assert stream.config.sampling.temperature == 0.5
    assert stream.texts == ["see quel is here."]
    assert answer.headers["x-csm-sample-rate-hz"] == "16000"
    assert len(answer.content) == 2 * 2 * 1280
    conversation = await served.service.store.read("talk")
    assert len(conversation.turns) == 1


@pytest.mark.parametrize(
    ("given", "param", "told"),
    [
        ({"input": None}, "input", "is missing"),
        ({"input": ""}, "input", "is empty"),
        ({"input": "x" * 5000}, "input", "5000 characters; allowed are 1..4096"),
        ({"input": "half \ud800"}, "input", "is not valid Unicode"),
        ({"input": 3}, "input", "valid string"),
        ({"response_format": "ogg"}, "response_format", "'mp3', 'opus', 'aac'"),
        ({"stream_format": "x"}, "stream_format", "'audio' or 'sse'"),
        ({"voice": 3}, "voice", "must be a string"),
        ({"voice": {"name": "x"}}, "voice", "an object with id"),
        ({"speed": "fast"}, "speed", "number"),
        ({"csm": []}, "csm", "dictionary"),
        ({"csm": {"seed": -1}}, "csm.seed", "-1 is not allowed; allowed are 0.."),
        ({"csm": {"seed": True}}, "csm.seed", "must be an integer"),
        ({"csm": {"sede": 1}}, "csm", "has an unknown field sede; allowed are"),
        ({"csm": {"top_p": 2}}, "csm.top_p", "2 is not allowed; must be above 0"),
        ({"csm": {"temperature": 1e300}}, "csm.temperature", "must be 0..10"),
        ({"csm": {"max_audio_ms": 1}}, "csm.max_audio_ms", "allowed are 80..600000"),
        ({"csm": {"sample_rate_hz": 7}}, "csm.sample_rate_hz", "allowed are 8000..192000"),
        (
            {"response_format": "mp3", "csm": {"sample_rate_hz": 11_111}},
            "csm.sample_rate_hz",
            "not allowed for mp3",
        ),
        ({"speed": 2.5}, "speed", "2.5 is not allowed; allowed are 0.5..2"),
        (
            {"speed": 1.5, "csm": {"sound_options": {"speed": 2.5}}},
            "csm.sound_options.speed",
            "2.5 is not allowed; allowed are 0.5..2",
        ),
        ({"csm": {"text_options": 1}}, "csm.text_options", "must be an object"),
        ({"csm": {"text_options": {"markup": "x"}}}, "csm.text_options.markup", "strip, obey"),
        (
            {"csm": {"text_options": {"lexicon": [1]}}},
            "csm.text_options.lexicon[0]",
            "must be an object",
        ),
    ],
)
async def test_what_is_wrong_is_named_with_what_is_allowed(
    http: httpx.AsyncClient, given: dict[str, Any], param: str, told: str
) -> None:
    answer = await http.post(
        SPEECH,
        content=json.dumps(body(**given)),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert told in error["message"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("[1]", "application/json", 400),
        ("[" * 100_000, "application/json", 400),
        ('{"input": "hi"}', "text/plain", 415),
    ],
)
async def test_a_body_that_is_no_object_of_json_is_refused(
    http: httpx.AsyncClient, content: str, kind: str, status: int
) -> None:
    answer = await http.post(SPEECH, content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_refusal_of_the_generator_is_a_429_with_when_to_come_back(
    served: Stack, http: httpx.AsyncClient
) -> None:
    full = [errors.QueueFull("the queue is full", 0.4)] * 50
    served.generator.refuse[:] = full
    try:
        answer = await http.post(SPEECH, json=body())
    finally:
        served.generator.refuse.clear()
    assert answer.status_code == 429
    assert answer.headers["retry-after-ms"] == "400"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert answer.headers["x-request-id"]


async def test_a_turn_that_fails_before_any_audio_is_a_status(
    served: Stack, http: httpx.AsyncClient
) -> None:
    served.generator.refuse[:] = [errors.Internal("secret words")] * 20
    try:
        answer = await http.post(SPEECH, json=body())
    finally:
        served.generator.refuse.clear()
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text


async def test_audio_that_breaks_off_does_not_look_whole(
    served: Stack, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(served.generator.finish, 0, ERROR)
    given = {"x-request-id": "broken"}
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post(SPEECH, json=body(input="A" * 50), headers=given)
    outcome = (await http.get(f"{SPEECH}/broken")).json()
    assert outcome["finish_reason"] == "error"
    assert outcome["error"]["type"] == "server_error"


async def test_events_that_break_off_end_with_an_error(
    served: Stack, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(served.generator.finish, 0, ERROR)
    answer = await spoken(http, input="A" * 50, stream_format="sse")
    last = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["type"] == "speech.audio.error"
    assert last["error"]["code"] == "internal"


async def test_how_a_request_ended_is_known_by_its_id(http: httpx.AsyncClient) -> None:
    answer = await spoken(http, csm={"seed": 5})
    told = (await http.get(f"{SPEECH}/{answer.headers['x-request-id']}")).json()
    assert told["status"] == "completed"
    assert told["finish_reason"] == "eos"
    assert told["seed"] == 5
    assert told["usage"]["audio_ms"] == 240
    assert told["timing"]["total_ms"] > 0
    assert told["error"] is None
    refused = await http.post(SPEECH, json=body(voice="bob"))
    told = (await http.get(f"{SPEECH}/{refused.headers['x-request-id']}")).json()
    assert (told["status"], told["error"]["code"]) == ("completed", "not_found")
    missing = await http.get(f"{SPEECH}/nobody")
    assert missing.status_code == 404
    assert missing.json()["error"]["param"] == "request"


async def test_a_client_that_leaves_ends_its_turn(served: Stack, http: httpx.AsyncClient) -> None:
    served.generator.frame_s = 0.05
    try:
        async with http.stream("POST", SPEECH, json=body(input="A" * 2000)) as answer:
            async for _ in answer.aiter_raw():
                break
            rid = answer.headers["x-request-id"]
            stream = served.generator.streams[-1]
        began, sent = time.monotonic(), stream.sent
        while served.generator.running or served.tokenizer.decoding:
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.005)
        # A step or two on the way.
        assert stream.sent - sent < 15
    finally:
        served.generator.frame_s = 0.0
    await served.settled()
    outcome = (await http.get(f"{SPEECH}/{rid}")).json()
    assert (outcome["status"], outcome["finish_reason"]) == ("completed", "cancelled")


async def test_what_is_found_wrong_later_is_named_as_it_was_given(
    served: Stack, http: httpx.AsyncClient
) -> None:
    wrong = errors.invalid("context_that_is_not_ours", "is too long")
    served.generator.refuse_streams[:] = [wrong]
    answer = await http.post(SPEECH, json=body())
    served.generator.refuse_streams.clear()
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "context_that_is_not_ours"


async def test_a_client_that_leaves_before_any_audio_ends_its_turn(served: Stack) -> None:
    served.generator.mute.clear()
    try:
        async with httpx.AsyncClient(base_url=served.http) as leaving:
            with pytest.raises(httpx.ReadTimeout):
                await leaving.post(SPEECH, json=body(), timeout=0.3)
        await served.settled()
    finally:
        served.generator.mute.set()


async def test_no_log_has_the_words_of_a_request(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await spoken(http, input="My secret is plums.", instructions="plums")
    await http.post(f"{SPEECH}?plums=1", json=body(voice="plums", csm={"plums": 1}))
    await http.get("/plums/plums")
    told = [(call["method"], call["status"]) for call in logged(caplog, CALL_ENDED)]
    assert ("POST /v1/audio/speech", "200") in told
    assert ("GET other", "404") in told
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert "plums" not in "\n".join(f"{r.getMessage()} {vars(r)}" for r in ours)


async def test_speed_reaches_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.http import messages

    seen = []

    class Checking:
        def synthesis(self, request: Any, rules: Any) -> None:
            seen.append(request)

    for speed in (1.0, 1.5):
        messages.synthesis(
            Checking(),  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            text="x", voice="", speed=speed, encoding="PCM_S16LE", rate_hz=24_000, extras={},
        )  # fmt: skip
    assert not seen[0].HasField("sound_options")
    assert seen[1].sound_options.speed == 1.5


@pytest.fixture
async def draining() -> AsyncIterator[Stack]:
    async with stack(http_port=0, drain_finish_s=5.0) as one:
        yield one


@pytest.mark.asyncio(loop_scope="function")
async def test_a_drain_ends_what_runs_and_refuses_the_rest(draining: Stack) -> None:
    draining.generator.frame_s = 0.03
    async with httpx.AsyncClient(base_url=draining.http, timeout=20) as http:
        async with http.stream("POST", SPEECH, json=body(input="A" * 100)) as answer:
            parts = aiter(answer.aiter_raw())
            sound = await anext(parts)
            stopping = asyncio.create_task(draining.host.stop())
            await asyncio.sleep(0.1)
            with pytest.raises(httpx.ConnectError):
                async with httpx.AsyncClient(base_url=draining.http) as late:
                    await late.get("/healthz")
            sound += b"".join([part async for part in parts])
            assert len(sound) == 20 * 2 * FRAME_SAMPLES
        await stopping


@pytest.mark.asyncio(loop_scope="function")
async def test_what_a_drain_does_not_wait_for_breaks_off() -> None:
    async with stack(http_port=0) as one:
        one.generator.frame_s = 0.1
        async with httpx.AsyncClient(base_url=one.http, timeout=20) as http:
            async with http.stream("POST", SPEECH, json=body(input="A" * 500)) as answer:
                parts = aiter(answer.aiter_raw())
                await anext(parts)
                stopping = asyncio.create_task(one.host.stop(finish_s=0.2))
                with pytest.raises(httpx.RemoteProtocolError):
                    await to_the_end(parts)
            await stopping
