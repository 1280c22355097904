"""Several voices in one turn, from end to end over real gRPC, against fake backends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from csm import errors
from csm.v1 import common_pb2, generator_pb2, speech_pb2
from tests.gateway.calls import Conversation, synthesize, turns_of, violations
from tests.gateway.conversations.redis.server import needs_redis, redis_server
from tests.gateway.fakes import EOS, K, Stack, stack

IGNORED = common_pb2.WARNING_KIND_IGNORED
NAMED = [
    generator_pb2.ModelVoice(name=name, speaker=number)
    for number, name in enumerate(("heart", "michael", "emma", "fable"))
]
SCRIPT = (
    "[voice: michael] Good evening.\n[voice: heart] Hello you. How are you?\n[voice: michael] Fine."
)


def who_said_what(stream: Any) -> list[tuple[int, str]]:
    """The speaker and the text of each sentence, as the generator was told."""
    speakers = [
        f.speaker if f.HasField("speaker") else stream.config.speaker for f in stream.flushes
    ]
    return list(zip(speakers, stream.texts, strict=True))


def contexts(stream: Any) -> list[tuple[int, str, bool]]:
    return [(s.speaker, s.text, s.pinned) for s in stream.context]


async def say(call: Conversation, text: str, voice: str = "") -> None:
    await call.send(text=speech_pb2.ConverseText(text=text, voice=voice))


def folder(path: Path, **speakers: int) -> Path:
    """A folder of voices with a prompt each."""
    for name, speaker in speakers.items():
        (path / name).mkdir()
        prompts = [{"audio": "one.wav", "text": f"My name is {name.capitalize()}."}]
        (path / name / "voice.json").write_text(
            json.dumps({"speaker": speaker, "prompts": prompts, "lexicon": {"SQL": f"{name} says"}})
        )
        (path / name / "one.wav").write_bytes(b"RIFF" + bytes(296))
    return path


@pytest.fixture
async def named() -> Any:
    """A stack over a model that names its speakers, as pico does."""
    one = Stack()
    one.generator.voices = NAMED
    try:
        await one.up()
        yield one
    finally:
        await one.down()


async def test_a_script_of_two_voices_is_spoken_in_turn(named: Stack) -> None:
    heard = await synthesize(named, SCRIPT, conversation_id="c")
    assert heard.completed[0].finish_reason == EOS
    assert not heard.completed[0].warnings
    (stream,) = named.generator.streams
    assert who_said_what(stream) == [
        (1, "Good evening."),
        (0, "Hello you."),
        (0, "How are you?"),
        (1, "Fine."),
    ]
    # One stream and one decoder: each hears what the other said, without a seam.
    assert heard.frames == list(range(len(heard.frames)))
    assert len(named.tokenizer.formats) == 1
    # One turn, the first speaker's; what was said before it is context under each one's number.
    assert await turns_of(named, "c") == [
        (False, 1, "Good evening. Hello you. How are you? Fine.", len(heard.frames) * 80)
    ]
    await synthesize(named, "And now?", conversation_id="c")
    stream = named.generator.streams[1]
    assert contexts(stream) == [
        (1, "Good evening.", False),
        (0, "Hello you.", False),
        (0, "How are you?", False),
        (1, "Fine.", False),
    ]
    assert all(s.frames.num_frames and s.frames.num_codebooks == K for s in stream.context)
    assert who_said_what(stream) == [(0, "And now?")]


async def test_however_the_script_arrives_the_same_is_spoken(named: Stack) -> None:
    for parts in ([SCRIPT], list(SCRIPT), [SCRIPT[at : at + 7] for at in range(0, len(SCRIPT), 7)]):
        async with Conversation(named) as call:
            for part in parts:
                await call.say(part)
            await call.end()
            await call.done()
        assert call.error is None
        (turn,) = call.spoken
        assert turn.completed[0].finish_reason == EOS
    first, *others = [who_said_what(stream) for stream in named.generator.streams]
    assert [speaker for speaker, _ in first] == [1, 0, 0, 1]
    assert others == [first, first]


async def test_parts_of_a_conversation_name_their_voice(named: Stack) -> None:
    async with Conversation(named, voice="emma") as call:
        await say(call, "I say so. And", "michael")
        await say(call, "so do I.", "fable")
        await say(call, " And I")
        await call.end()
        await say(call, "The next turn is the conversation's.")
        await call.end()
        await call.done()
    assert call.error is None
    first, second = named.generator.streams
    assert who_said_what(first) == [
        (1, "I say so."), (1, "And"), (3, "so do I."), (2, "And I"),
    ]  # fmt: skip
    assert who_said_what(second) == [(2, "The next turn is the conversation's.")]
    assert [speaker for speaker, *_ in contexts(second)] == [1, 1, 3, 2]


async def test_an_unknown_voice_is_refused_before_any_audio_and_ignored_in_a_conversation(
    named: Stack,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await synthesize(named, "One. [voice: bob] Two. [voice: michael] Three.")
    assert violations(refused.value) == {
        "text": "characters 5..17: voice 'bob' is not known; "
        "known are emma, fable, fake, heart, michael"
    }
    assert not named.generator.streams
    async with Conversation(named) as call:
        await say(call, "One. [voice: bob] Two. ")
        await say(call, "Three.", "nobody" * 100)
        await call.end()
        await call.done()
    assert call.error is None
    (turn,) = call.spoken
    assert turn.completed[0].finish_reason == EOS
    told = [(w.kind, w.field, w.first_char, w.end_char) for w in turn.completed[0].warnings]
    assert told == [(IGNORED, "text", 5, 17), (IGNORED, "text", 23, 23)]
    assert [who for who, _ in who_said_what(named.generator.streams[0])] == [0, 0, 0]


async def test_prepare_text_tells_of_a_voice_that_is_not_known(named: Stack) -> None:
    request = speech_pb2.PrepareTextRequest(text="[voice: michael] One. [voice: bob] Two.")
    answer = await named.stub.PrepareText(request)
    assert [s.text for s in answer.sentences] == ["One.", "Two."]
    assert [(w.kind, w.first_char, w.end_char) for w in answer.warnings] == [(IGNORED, 22, 34)]


async def test_voices_of_one_number_get_numbers_of_their_own(tmp_path: Path) -> None:
    async with stack(voices_directory=folder(tmp_path, anna=0, bert=0)) as running:
        generator = running.generator
        text = "SQL. [voice: bert] SQL."
        await synthesize(running, text, voice="anna", conversation_id="c")
        stream = generator.streams[-1]
        assert contexts(stream) == [(0, "My name is Anna.", True), (1, "My name is Bert.", True)]
        # Each says words as its own lexicon has it.
        assert who_said_what(stream) == [(0, "anna says."), (1, "bert says.")]
        # Whoever the conversation's voice is then: each keeps the number, and so does the history.
        await synthesize(running, "Again.", voice="bert", conversation_id="c")
        stream = generator.streams[-1]
        assert contexts(stream) == [
            (1, "My name is Bert.", True),
            (0, "My name is Anna.", True),
            (0, "anna says.", False),
            (1, "bert says.", False),
        ]
        assert who_said_what(stream) == [(1, "Again.")]
        # And who is heard is none of them.
        async with Conversation(running, conversation_id="c") as call:
            await call.end("And I?")
            await call.until("turn_completed")
            await call.done()
        assert (await turns_of(running, "c"))[-1][:3] == (True, 2, "And I?")


async def test_a_voice_that_joins_amid_a_turn_has_its_prompts_before_all_that_was_said(
    tmp_path: Path,
) -> None:
    # The frames are told by their samples, which are not to be made louder.
    settings = {"voices_directory": folder(tmp_path, anna=0, bert=0), "even_loudness": "off"}
    async with stack(**settings) as running:
        async with Conversation(running, voice="anna") as call:
            await call.say("This is the first. This")
            await call.until("audio")
            # Its sentence is spoken, and nobody has named another yet.
            assert contexts(running.generator.streams[-1]) == [(0, "My name is Anna.", True)]
            await call.say(" goes on. [voice: bert] So do I. [voice: anna] And I.")
            await call.end()
            await call.done()
        assert call.error is None
        stream = running.generator.streams[-1]
        assert who_said_what(stream) == [
            (0, "This is the first."),
            (0, "This goes on."),
            (2, "So do I."),
            (0, "And I."),
        ]
        said = contexts(stream)
        assert said[:3] == [
            (0, "My name is Anna.", True),
            (2, "My name is Bert.", True),
            (0, "This is the first.", False),
        ]
        assert all(not pinned for *_, pinned in said[2:])
        (turn,) = call.spoken
        assert turn.frames == list(range(len(turn.frames)))


async def test_a_turn_that_begins_again_has_the_same_voices(tmp_path: Path) -> None:
    async with stack(voices_directory=folder(tmp_path, anna=0, bert=0)) as running:
        running.generator.refuse.append(errors.Unavailable("gone", retry_after_s=0.01))
        num_streams = len(running.generator.streams)
        heard = await synthesize(running, "One. [voice: bert] Two.", voice="anna")
        assert heard.completed[0].finish_reason == EOS
        first, second = running.generator.streams[num_streams:]
        assert who_said_what(second) == [(0, "One."), (1, "Two.")]
        assert contexts(first) == contexts(second)
        assert len(contexts(second)) == 2


async def test_a_sentence_that_is_said_anew_is_said_by_its_voice(tmp_path: Path) -> None:
    """The client reads nothing, so the second sentence is withdrawn before it is decoded."""
    settings: dict[str, Any] = {
        "voices_directory": folder(tmp_path, anna=0, bert=0),
        "max_pcm_bytes": 64 << 10,
        "initial_credit_frames": 1024,
    }
    first = "word " * 29 + "end."
    second = "This sentence takes about five seconds to say in an even voice."
    async with asyncio.timeout(20), stack(**settings) as running:
        running.generator.frames_per_char = 1
        running.generator.early = {1: 1}
        num_streams = len(running.generator.streams)
        request = speech_pb2.SynthesizeRequest(text=f"{first} [voice: bert] {second}", voice="anna")
        call = running.stub.Synthesize(request)
        await call.read()
        while len(running.generator.streams) == num_streams:
            await asyncio.sleep(0.02)
        stream = running.generator.streams[-1]
        while len(stream.texts) < 3:
            await asyncio.sleep(0.02)
        while await call.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]
            pass
    assert who_said_what(stream) == [(0, first), (1, second), (1, second)]
    assert contexts(stream) == [
        (0, "My name is Anna.", True),
        (1, "My name is Bert.", True),
        (0, first, False),
    ]


async def test_voices_without_room_for_their_prompts_are_refused_by_name(tmp_path: Path) -> None:
    running = Stack()
    running.generator.max_positions = 60
    try:
        await running.up(voices_directory=folder(tmp_path, anna=0, bert=0))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await synthesize(running, "[voice: bert] Hi.", voice="anna")
        assert "the prompts of voice 'bert'" in violations(refused.value)["text"]
        async with Conversation(running, voice="anna") as call:
            await call.say("[voice: bert] Hi.")
            await call.end()
            await call.done()
        (turn,) = call.spoken
        assert [w.kind for w in turn.completed[0].warnings] == [IGNORED]
    finally:
        await running.down()


async def test_a_speaker_number_of_the_call_is_that_of_its_own_voice(named: Stack) -> None:
    await synthesize(named, "One. [voice: emma] Two. [/voice] Three.", voice="heart", speaker=3)
    speakers = [speaker for speaker, _ in who_said_what(named.generator.streams[0])]
    assert speakers == [3, 2, 3]


async def test_a_speaker_number_of_the_call_does_not_stay_with_the_voice(tmp_path: Path) -> None:
    async with stack(voices_directory=folder(tmp_path, anna=0)) as running:
        await synthesize(running, "One.", voice="anna", speaker=3, conversation_id="c")
        await synthesize(running, "Two.", voice="anna", conversation_id="c")
        assert who_said_what(running.generator.streams[-1]) == [(0, "Two.")]
        assert contexts(running.generator.streams[-1])[1] == (3, "One.", False)


async def test_what_was_not_heard_of_another_voice_is_forgotten(named: Stack) -> None:
    async with Conversation(named, conversation_id="c", max_lead_ms=100) as call:
        await call.say("One two three four. [voice: michael] Five six seven eight nine ten eleven.")
        await call.end()
        await call.until("audio", 2)
        await call.cancel(heard_ms=80)
        completed = await call.until("turn_completed")
        assert completed.kept_audio_ms == 80
        await call.done()
    assert [turn[:3] for turn in await turns_of(named, "c")] == [(False, 0, "One")]


@needs_redis
async def test_the_numbers_hold_at_another_gateway(tmp_path: Path) -> None:
    voices = folder(tmp_path, anna=0, bert=0)
    with redis_server() as server:
        settings: dict[str, Any] = {"store_url": server.url, "voices_directory": voices}
        async with stack(**settings) as one, stack(**settings) as two:
            text = "One. [voice: bert] Two."
            await synthesize(one, text, voice="anna", conversation_id="c")
            await synthesize(two, "Three.", voice="bert", conversation_id="c")
            assert contexts(two.generator.streams[-1]) == [
                (1, "My name is Bert.", True),
                (0, "My name is Anna.", True),
                (0, "One.", False),
                (1, "Two.", False),
            ]
