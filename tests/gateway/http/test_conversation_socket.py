"""`WS /v1/conversations`: what Converse means, message by message."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.gateway.fakes import FRAME_SAMPLES, Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRAME_BYTES = 2 * FRAME_SAMPLES


class Talk:
    """A client of the route that gathers what it is told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []
        self.audio: dict[str, bytes] = {}

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        message = json.loads(await asyncio.wait_for(self.socket.recv(decode=True), 10))
        self.told.append(message)
        if message["type"] == "audio":
            sound = await asyncio.wait_for(self.socket.recv(), 10)
            assert isinstance(sound, bytes)
            assert len(sound) == message["num_bytes"]
            turn_id = message["turn_id"]
            self.audio[turn_id] = self.audio.get(turn_id, b"") + sound
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        while (message := await self.next())["type"] != kind:
            pass
        return message

    async def closed(self) -> tuple[int, dict[str, Any] | None]:
        """The close code, and the error that came before it."""
        error = None
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await self.next()
                if message["type"] == "error":
                    error = message["error"]
        await self.socket.wait_closed()
        return self.socket.close_code or 0, error


@contextlib.asynccontextmanager
async def talk(served: Stack, **config: Any) -> AsyncIterator[Talk]:
    async with connect(served.http.replace("http", "ws") + "/v1/conversations") as socket:
        one = Talk(socket)
        if config:
            await one.send("config", **config)
        yield one


VOICE = {"voice": "fake"}


async def test_a_turn_is_spoken_and_the_call_ends_well(served: Stack) -> None:
    async with talk(served, voice="fake", sampling={"seed": 3}) as one:
        started = await one.until("started")
        assert started["voice"] == "fake"
        assert started["num_turns"] == 0
        assert started["output_format"] == {
            "encoding": "pcm_s16le",
            "sample_rate_hz": 24_000,
            "channels": 1,
        }
        await one.send("text", text="Hello ")
        await one.send("text", text="there.")
        await one.send("end_of_turn")
        turn = await one.until("turn_started")
        assert turn["seed"] == 3
        completed = await one.until("turn_completed")
        assert completed["turn_id"] == turn["turn_id"]
        assert completed["finish_reason"] == "eos"
        assert completed["kept_audio_ms"] == 240
        assert completed["usage"]["audio_ms"] == 240
        assert 0 < completed["timing"]["decode_ms"] < completed["timing"]["first_frame_ms"]
        assert completed["error"] is None
        assert len(one.audio[turn["turn_id"]]) == 3 * FRAME_BYTES
        (first, *_) = (m for m in one.told if m["type"] == "audio")
        assert (first["first_sample"], first["text_chars"]) == (0, 12)
        await one.send("close")
        assert await one.closed() == (1000, None)
    await served.settled()


async def test_codes_come_with_their_sound_where_they_are_asked_for(served: Stack) -> None:
    options = {"max_leading_silence_ms": 10_000, "even_loudness": False}
    async with talk(served, voice="fake", codes=True, sound_options=options) as one:
        codec = (await one.until("started"))["codec"]
        assert codec == {"num_codebooks": 8, "codebook_size": 512, "frame_ms": 80.0}
        for _ in range(2):
            await one.send("text", text="Hello there. Once more.")
            await one.send("end_of_turn")
            await one.until("turn_completed")
            told = [m["codes"] for m in one.told if m["type"] == "audio"]
            frames = [frame for codes in told for frame in codes]
            # Frame n of a stream of the fake has nothing but n in it, and so has its sound.
            assert len(frames) > 4
            assert frames == [[n] * 8 for n in range(len(frames))]
            sound = b"".join(one.audio.values())
            assert sound == b"".join(frame[0].to_bytes(2, "little") * 1920 for frame in frames)
            one.told.clear()
            one.audio.clear()
    async with talk(served, voice="fake", codes="yes") as one:
        _, error = await one.closed()
        assert error is not None
        assert error["param"] == "config.codes"


async def test_words_come_with_the_sound_that_they_begin_in(served: Stack) -> None:
    async with talk(served, voice="fake", word_times=True) as one:
        await one.send("text", text="Hello there. It is 5.")
        await one.send("end_of_turn")
        await one.until("turn_completed")
        words = [word for m in one.told if m["type"] == "audio" for word in m.get("words", ())]
    assert [(w["word"], w["first_char"], w["end_char"]) for w in words] == [
        ("Hello", 0, 5),
        ("there", 6, 11),
        ("It", 13, 15),
        ("is", 16, 18),
        ("5", 19, 20),
    ]
    starts = [word["start_ms"] for word in words]
    assert starts == sorted(starts)
    assert all(word["end_ms"] >= word["start_ms"] for word in words)


async def test_a_turn_that_its_client_left_goes_on_where_it_was_heard(served: Stack) -> None:
    text = "This is a sentence that is long enough to be left. And so on."
    served.generator.frame_s = 0.02
    try:
        async with talk(served, voice="fake", conversation_id="left", sampling={"seed": 5}) as one:
            await one.send("text", text=text)
            await one.send("end_of_turn")
            turn_id = (await one.until("turn_started"))["turn_id"]
            while len(one.audio.get(turn_id, b"")) < 3 * FRAME_BYTES:
                await one.until("audio")
        await served.settled()
    finally:
        served.generator.frame_s = 0.0
    async with talk(served, voice="fake", conversation_id="left", sampling={"seed": 5}) as one:
        await one.send("resume", turn_id=turn_id, heard_ms=160)
        await one.send("text", text=text)
        await one.send("end_of_turn")
        assert (await one.until("turn_started"))["turn_id"] == turn_id
        completed = await one.until("turn_completed")
        (first, *_) = (m for m in one.told if m["type"] == "audio")
    assert first["first_sample"] == 2 * 1920
    assert completed["finish_reason"] == "eos"
    assert completed["kept_audio_ms"] == 160 + len(one.audio[turn_id]) // FRAME_BYTES * 80


async def test_heard_audio_is_taken_in_and_the_conversation_goes_on_elsewhere(
    served: Stack,
) -> None:
    async with talk(served, conversation_id="ws-heard") as one:
        await one.until("started")
        await one.socket.send(bytes(2 * FRAME_BYTES))
        await one.send("end_of_turn", heard_text="what was said")
        heard = await one.until("turn_completed")
        assert heard["heard"] is True
        await one.send("close")
        await one.closed()
    async with talk(served, conversation_id="ws-heard") as one:
        assert (await one.until("started"))["num_turns"] == 1


async def test_flush_speaks_before_the_turn_ends(served: Stack) -> None:
    async with talk(served, **VOICE) as one:
        await one.send("text", text="No end yet")
        await one.send("flush")
        await one.until("audio")
        await one.send("end_of_turn")
        assert (await one.until("turn_completed"))["finish_reason"] == "eos"


async def test_a_cancel_keeps_what_was_heard(served: Stack) -> None:
    served.generator.frame_s = 0.02
    try:
        async with talk(served, **VOICE) as one:
            await one.send("text", text="A" * 150 + ".")
            await one.send("end_of_turn")
            await one.until("audio")
            await one.until("audio")
            await one.until("audio")
            await one.send("cancel", heard_ms=160)
            completed = await one.until("turn_completed")
            assert completed["finish_reason"] == "cancelled"
            assert completed["kept_audio_ms"] == 160
            await one.send("cancel", turn_id=completed["turn_id"], heard_ms=80)
            truncated = await one.until("turn_truncated")
            assert truncated["kept_audio_ms"] == 80
    finally:
        served.generator.frame_s = 0.0


async def test_the_playback_position_says_how_much_a_cancel_heard(served: Stack) -> None:
    async with talk(served, **VOICE) as one:
        await one.send("text", text="Hello there.")
        await one.send("end_of_turn")
        turn_id = (await one.until("turn_completed"))["turn_id"]
        await one.send("playback", turn_id="another", heard_ms=1)
        await one.send("playback", turn_id=turn_id, heard_ms=80)
        await one.send("cancel")
        truncated = await one.until("turn_truncated")
        assert (truncated["turn_id"], truncated["kept_audio_ms"]) == (turn_id, 80)


async def test_a_ping_is_answered(served: Stack) -> None:
    async with talk(served, **VOICE) as one:
        await one.until("started")
        await one.send("ping")
        assert await one.next() == {"type": "pong"}


async def test_audio_may_be_opus(served: Stack) -> None:
    async with talk(served, output_format={"encoding": "ogg_opus"}) as one:
        assert (await one.until("started"))["output_format"]["encoding"] == "ogg_opus"
        await one.send("text", text="Hello there.")
        await one.send("end_of_turn")
        turn_id = (await one.until("turn_completed"))["turn_id"]
        assert one.audio[turn_id].startswith(b"OggS")


@pytest.mark.parametrize(
    ("messages", "param", "told"),
    [
        ([{"type": "text", "text": "x"}], "config", "allowed is the config"),
        ([b"\0\0"], "config", "the first message is audio"),
        (["no json"], "message", "is no JSON object"),
        (["[" * 50_000], "message", "is no JSON object"),
        ([{"type": "config", "voize": "x"}], "config", "unknown field voize; allowed are"),
        ([{"type": "config", "sampling": {"top_k": -1}}], "config.sampling.top_k", "allowed are"),
        (
            [{"type": "config", "input_format": {"encoding": "file"}}],
            "config.input_format.encoding",
            "is not allowed",
        ),
        ([{"type": "config"}, {"type": "config"}], "config", "a second time"),
        ([{"type": "config"}, {"type": "sing"}], "type", "allowed are text, flush"),
        ([{"type": "config"}, {"type": "text", "text": 1}], "text.text", "must be a string"),
        ([{"type": "config"}, {"type": "text", "text": "\ud800"}], "text.text", "Unicode"),
        ([{"type": "config"}, {"type": "end_of_turn"}], "end_of_turn", "no turn to end"),
        ([{"type": "config"}, {"type": "playback"}], "playback.turn_id", "name of a turn"),
    ],
)
async def test_what_is_wrong_is_named_and_ends_the_call(
    served: Stack, messages: list[Any], param: str, told: str
) -> None:
    async with talk(served) as one:
        for message in messages:
            text = json.dumps(message) if isinstance(message, dict) else message
            await one.socket.send(text)
        code, error = await one.closed()
        assert code == 1008
        assert error is not None
        assert error["param"] == param
        assert told in error["message"]
        assert error["type"] == "invalid_request_error"


async def test_an_unknown_voice_is_told_before_anything_else(served: Stack) -> None:
    async with talk(served, voice="bob") as one:
        code, error = await one.closed()
        assert (code, error["code"]) == (1008, "not_found")  # type: ignore[index]


async def test_a_client_that_leaves_ends_its_turn(served: Stack) -> None:
    served.generator.frame_s = 0.05
    try:
        async with talk(served, **VOICE) as one:
            await one.send("text", text="A" * 2000 + ".")
            await one.send("end_of_turn")
            await one.until("audio")
            one.socket.transport.abort()
        stream = served.generator.streams[-1]
        sent, began = stream.sent, time.monotonic()
        while served.generator.running:
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.005)
        assert stream.sent - sent < 15
    finally:
        served.generator.frame_s = 0.0
    await served.settled()


async def test_a_message_that_is_too_large_ends_the_call(served: Stack) -> None:
    async with talk(served, **VOICE) as one:
        await one.until("started")
        await one.socket.send(bytes((1 << 20) + 1))
        code, _ = await one.closed()
        assert code == 1009
    await served.settled()


@pytest.mark.asyncio(loop_scope="function")
async def test_a_client_that_says_nothing_is_told_so() -> None:
    async with stack(http_port=0, first_message_s=0.2) as one, talk(one) as silent:
        code, error = await silent.closed()
        assert code == 1008
        assert error is not None
        assert "first_message_s" in error["message"]


@pytest.mark.asyncio(loop_scope="function")
async def test_an_idle_conversation_ends_and_pings_do_not_keep_it() -> None:
    async with stack(http_port=0, max_idle_s=0.4) as one, talk(one, **VOICE) as idle:
        await idle.until("started")
        await idle.send("ping")
        code, error = await idle.closed()
        assert code == 1008
        assert error is not None
        assert "max_idle_s" in error["message"]


@pytest.mark.asyncio(loop_scope="function")
async def test_no_more_conversations_than_there_are_places() -> None:
    async with stack(http_port=0, max_converse_calls=1) as one, talk(one, **VOICE) as first:
        await first.until("started")
        async with talk(one, **VOICE) as second:
            code, error = await second.closed()
            assert code == 1013
            assert error is not None
            assert error["type"] == "rate_limit_error"


@pytest.mark.asyncio(loop_scope="function")
async def test_a_drain_speaks_what_was_accepted_and_closes() -> None:
    async with stack(http_port=0, drain_finish_s=5.0) as one:
        one.generator.frame_s = 0.03
        async with talk(one, **VOICE) as speaking:
            await speaking.send("text", text="A" * 50 + ".")
            await speaking.send("end_of_turn")
            await speaking.until("audio")
            stopping = asyncio.create_task(one.host.stop())
            completed = await speaking.until("turn_completed")
            assert completed["finish_reason"] == "eos"
            code, error = await speaking.closed()
            assert code == 1013
            assert error is not None
            assert "shutting down" in error["message"]
            with pytest.raises(ConnectionRefusedError):
                async with talk(one):
                    pass
        await stopping
