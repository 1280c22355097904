"""What a gateway's log says of each call, and what it never says."""

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from csm.serving.logs.access import CALL_ENDED, CALL_FIELDS, TURN_ENDED, TURN_FIELDS
from csm.serving.logs.format import JsonLines
from csm.serving.logs.setup import _OURS, _Context
from csm.v1 import speech_pb2
from gateway.http.openapi import document
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.fakes import Stack, stack
from tests.gateway.voices.making import AUDIO, WORDS, create_requests

CANARY = "canarybird"
"""In texts, names, files, fields and paths."""
TOKEN = (("authorization", f"Bearer {CANARY}"),)
SPEECH = "csm.v1.SpeechService"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """All that our loggers say at DEBUG, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(_Context())
    handler.setFormatter(JsonLines())
    loggers = [logging.getLogger(name) for name in _OURS]
    before = [one.level for one in loggers]
    logging.getLogger().addHandler(handler)
    for one in loggers:
        one.setLevel("DEBUG")
    yield stream
    logging.getLogger().removeHandler(handler)
    for one, level in zip(loggers, before, strict=True):
        one.setLevel(level)


def lines(output: io.StringIO, message: str | None = None) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in output.getvalue().splitlines()]
    return [one for one in told if message is None or one["message"] == message]


async def last(output: io.StringIO) -> dict[str, Any]:
    """The line of the gateway's last call, waited for: a client sees its end first."""
    for _ in range(100):
        if found := [one for one in lines(output, CALL_ENDED) if SPEECH in one["method"]]:
            return found[-1]
        await asyncio.sleep(0.01)
    raise AssertionError(f"no line of a call: {output.getvalue()}")


async def test_a_text_that_is_spoken_is_one_line_with_its_figures(
    running: Stack, output: io.StringIO
) -> None:
    heard = await synthesize(running, "Hello there.", conversation_id="c-1")
    told = await last(output)
    assert (told["method"], told["status"], told["level"]) == (f"{SPEECH}/Synthesize", "OK", "INFO")
    assert (told["conversation_id"], told["turns"], told["peer"]) == ("c-1", 1, "127.0.0.1")
    assert told["turn_id"] == heard.completed[0].turn_id
    assert told["frames"] == len(heard.frames) == 3
    assert (told["audio_s"], told["reused_frames"]) == (0.24, 4)
    assert 0 < told["first_audio_ms"] <= told["duration_ms"]
    assert told["bytes_in"] < 100 < len(heard.pcm) < told["bytes_out"]
    assert told["finish_reason"] == "EOS"
    assert told["request_id"]
    ours = [one for one in lines(output, CALL_ENDED) if one["method"].startswith(SPEECH)]
    assert len(ours) == 1
    assert lines(output, TURN_ENDED) == []
    generated = [one for one in lines(output, CALL_ENDED) if one["method"].endswith("/Generate")]
    assert [one["request_id"] for one in generated] == [told["request_id"]]


async def test_each_turn_of_a_conversation_is_a_line_and_the_call_adds_them_up(
    running: Stack, output: io.StringIO
) -> None:
    async with Conversation(running, conversation_id="c-2") as talk:
        await talk.say("One.")
        await talk.end()
        await talk.until("turn_completed")
        await talk.hear(5)
        await talk.end("You said.")
        await talk.until("turn_completed", 2)
        await talk.say("A second one.")
        await talk.end()
        await talk.done()
    told = await last(output)
    turns = lines(output, TURN_ENDED)
    assert [one["kind"] for one in turns] == ["spoken", "heard", "spoken"]
    assert {one["conversation_id"] for one in (*turns, told)} == {"c-2"}
    assert {one["request_id"] for one in turns} == {told["request_id"]}
    assert (told["turns"], told["heard_turns"], told["heard_s"]) == (2, 1, 0.4)
    spoken = [one for one in turns if one["kind"] == "spoken"]
    assert told["frames"] == sum(one["frames"] for one in spoken)
    assert told["first_audio_ms"] == spoken[0]["first_audio_ms"]
    assert [one["text_chars"] for one in turns] == [4, 9, 13]
    assert "text" not in turns[0]


async def test_a_turn_that_is_cancelled_and_a_call_that_is_left_are_told(
    running: Stack, output: io.StringIO
) -> None:
    running.generator.frame_s = 0.02
    async with Conversation(running) as talk:
        await talk.say("A text that goes on for a very long time, and on and on.")
        await talk.end()
        await talk.until("audio")
        await talk.cancel()
        await talk.until("turn_completed")
        await talk.say("Another one that goes on for a very long time, and on and on.")
        await talk.end()
        await talk.until("audio", len(talk.all("audio")) + 1)
    told = await last(output)
    first, second = lines(output, TURN_ENDED)
    assert (first["outcome"], first["finish_reason"]) == ("cancelled", "CANCELLED")
    assert second["outcome"] == "cancelled"
    assert "finish_reason" not in second
    assert second["frames"] > 0
    assert (told["status"], told["turns"]) == ("CANCELLED", 2)


async def test_with_log_text_a_turn_says_the_beginning_of_its_text(output: io.StringIO) -> None:
    async with stack(log_text=True) as running:
        await synthesize(running, "Hello there.")
        assert (await last(output))["text"] == "Hello there."
        async with Conversation(running) as talk:
            await talk.end("You\nsaid.")
            await talk.say("One, ")
            await talk.say("two.")
            await talk.end()
            await talk.done()
        assert [one["text"] for one in lines(output, TURN_ENDED)] == ["You\nsaid.", "One, two."]


async def test_without_an_access_log_only_failures_are_told(output: io.StringIO) -> None:
    async with stack(access_log=False) as running:
        await synthesize(running, "Hello there.")
        with pytest.raises(grpc.aio.AioRpcError):
            await running.stub.GetVoice(speech_pb2.GetVoiceRequest(name="nobody"))
        await last(output)
        ours = [one for one in lines(output, CALL_ENDED) if one["method"].startswith(SPEECH)]
        assert [(one["status"], one["error"]) for one in ours] == [("NOT_FOUND", "no such voice")]


async def test_a_request_id_is_taken_or_made_and_given_back_on_errors_too(running: Stack) -> None:
    call = running.stub.GetServerInfo(
        speech_pb2.GetServerInfoRequest(), metadata=(("x-request-id", "mine-1"),)
    )
    await call
    assert dict(await call.trailing_metadata())["x-request-id"] == "mine-1"
    made = []
    for given in ((), (("x-request-id", "not allowed: blanks"),)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await running.stub.GetVoice(speech_pb2.GetVoiceRequest(name="x"), metadata=given)
        made.append(dict(refused.value.trailing_metadata())["x-request-id"])
    assert len(set(made)) == 2
    assert all(len(one) == 16 for one in made)


def test_the_fields_of_the_lines_are_those_that_are_documented() -> None:
    from csm.serving.calls.record import CallRecord
    from csm.serving.calls.turn_record import TurnRecord
    from csm.serving.logs.access import call_fields, turn_fields

    assert list(call_fields(CallRecord(""))) == list(CALL_FIELDS)
    assert list(turn_fields(CallRecord(""), TurnRecord(0.0))) == list(TURN_FIELDS)


# --- what is never told ---


async def rpcs(running: Stack) -> dict[str, list[Callable[[], Awaitable[Any]]]]:
    """Of each RPC calls that go well and calls that fail, with the canary wherever it can be."""
    stub = running.stub

    def call(method: str, request: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: getattr(stub, method)(request, metadata=TOKEN)

    async def speak(text: str, **fields: Any) -> None:
        request = speech_pb2.SynthesizeRequest(text=text, **fields)
        async for _ in stub.Synthesize(request, metadata=TOKEN):
            pass

    async def talk(*requests: Any) -> None:
        stream = stub.Converse(metadata=TOKEN)
        for one in requests:
            await stream.write(speech_pb2.ConverseRequest(**one))
        await stream.done_writing()
        async for _ in stream:
            pass

    async def broken() -> None:
        running.generator.fail_before_end = [KeyError(CANARY)] * 9  # type: ignore[list-item]
        try:
            await speak(f"The {CANARY} breaks.")
        finally:
            running.generator.fail_before_end = []

    def recording(name: str) -> Callable[[], Awaitable[Any]]:
        recordings = [(f"{WORDS} {CANARY}", AUDIO)]
        return lambda: stub.CreateVoice(
            create_requests(name, recordings, description=CANARY), metadata=TOKEN
        )

    config = {"config": speech_pb2.ConverseConfig(conversation_id="c-3")}
    text = {"text": speech_pb2.ConverseText(text=f"A {CANARY} sings {{{CANARY}}}.")}
    end = {"end_of_turn": speech_pb2.ConverseEndOfTurn(heard_text=f"Which {CANARY}?")}
    bad = {"resume": speech_pb2.ConverseResume(turn_id=CANARY)}
    turn = speech_pb2.ContextTurn(text=CANARY, audio_file=CANARY.encode())
    sp = speech_pb2
    return {
        "Synthesize": [
            lambda: speak(f"A {CANARY} sings. {CANARY}", conversation_id="c-3"),
            lambda: speak(f"A {CANARY} sings.", voice=CANARY),
            lambda: speak(CANARY * 2000),
            lambda: speak(CANARY, context=[turn]),
            broken,
        ],
        "Converse": [lambda: talk(config, text, end), lambda: talk(config, text, bad, config)],
        "PrepareText": [
            call("PrepareText", sp.PrepareTextRequest(text=f"A {CANARY} sings.")),
            call("PrepareText", sp.PrepareTextRequest(text=CANARY, voice=CANARY)),
        ],
        "ListVoices": [
            call("ListVoices", sp.ListVoicesRequest(name_contains=CANARY)),
            call("ListVoices", sp.ListVoicesRequest(page_token=CANARY)),
        ],
        "GetVoice": [call("GetVoice", sp.GetVoiceRequest(name=CANARY))],
        "CreateVoice": [recording("bird"), recording(f"{CANARY} {CANARY}!")],
        "UpdateVoice": [call("UpdateVoice", sp.UpdateVoiceRequest(name=CANARY))],
        "DeleteVoice": [call("DeleteVoice", sp.DeleteVoiceRequest(name=CANARY))],
        "GetConversation": [
            call("GetConversation", sp.GetConversationRequest(conversation_id="c-3")),
            call("GetConversation", sp.GetConversationRequest(conversation_id=CANARY * 20)),
        ],
        "DeleteConversation": [
            call("DeleteConversation", sp.DeleteConversationRequest(conversation_id="c-3")),
        ],
        "GetServerInfo": [call("GetServerInfo", sp.GetServerInfoRequest())],
    }


async def test_no_rpc_brings_words_names_of_files_or_credentials_into_the_log(
    running: Stack, output: io.StringIO
) -> None:
    calls = await rpcs(running)
    assert set(calls) == set(
        speech_pb2.DESCRIPTOR.services_by_name["SpeechService"].methods_by_name
    )
    told = set()
    for name, ones in calls.items():
        for one in ones:
            try:
                await one()
                told.add((name, True))
            except grpc.aio.AioRpcError:
                told.add((name, False))
    assert {("Synthesize", True), ("Synthesize", False), ("Converse", True)} <= told
    assert {("Converse", False), ("CreateVoice", True), ("CreateVoice", False)} <= told
    await running.settled()
    assert CANARY not in output.getvalue()
    methods = {one["method"].rpartition("/")[2] for one in lines(output, CALL_ENDED)}
    assert set(calls) <= methods
    assert "KeyError" in output.getvalue()


@pytest.fixture
async def served() -> AsyncIterator[Stack]:
    async with stack(http_port=0) as one:
        yield one


async def test_no_route_brings_words_names_of_files_or_credentials_into_the_log(
    served: Stack, output: io.StringIO
) -> None:
    headers = {"authorization": f"Bearer {CANARY}", "x-request-id": "r-1", CANARY: CANARY}
    form = {"name": "bird", "text": f"{WORDS} {CANARY}"}
    wrong = {"name": f"{CANARY}!", CANARY: CANARY}
    sound = {"file": (f"{CANARY}.wav", AUDIO, "audio/wav")}
    async with httpx.AsyncClient(base_url=served.http, headers=headers, timeout=20) as http:
        for path, verbs in document(1000)["paths"].items():
            filled = path.replace("{request_id}", CANARY).replace("{name}", CANARY)
            filled = filled.replace("{model}", CANARY) + f"?{CANARY}={CANARY}"
            for verb in {*verbs, "patch"}:
                answer = await http.request(verb, filled, json={"input": CANARY, CANARY: 1})
                assert answer.headers["x-request-id"] == "r-1"
                body = {"input": f"A {CANARY} sings.", "text": f"A {CANARY} sings."}
                await http.request(verb, filled, json=body)
                await http.request(verb, filled, content=f"{{{CANARY}")
        for data in (form, wrong):
            await http.post("/v1/audio/voices", data=data, files=sound)
        await http.get(f"/{CANARY}")
    address = served.http.replace("http", "ws") + f"/v1/conversations?{CANARY}"
    async with connect(address, additional_headers={"authorization": CANARY}) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"]
        await socket.send(json.dumps({"type": "start"}))
        await socket.send(json.dumps({"type": "text", "text": f"A {CANARY} sings."}))
        await socket.send(json.dumps({"type": "end_of_turn", "heard_text": CANARY}))
        await socket.send(json.dumps({"type": CANARY, CANARY: CANARY}))
        with contextlib.suppress(ConnectionClosed):
            async for _ in socket:
                pass
    await served.settled()
    assert CANARY not in output.getvalue()
    told = {(one["transport"], one["method"]) for one in lines(output, CALL_ENDED)}
    assert ("websocket", "WS /v1/conversations") in told
    assert ("http", "POST /v1/audio/speech") in told
    assert ("http", "GET other") in told
    (socket_told,) = [one for one in lines(output, CALL_ENDED) if one["transport"] == "websocket"]
    assert socket_told["status"] == "101"
    assert socket_told["error"].startswith("fields ")
    assert any(one["status"] == "200" and one.get("frames") for one in lines(output, CALL_ENDED))
    probes = [one for one in lines(output, CALL_ENDED) if one["method"].endswith("z")]
    assert {one["level"] for one in probes} <= {"DEBUG"}
