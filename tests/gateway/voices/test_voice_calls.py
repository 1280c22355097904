"""CreateVoice, UpdateVoice, DeleteVoice, ListVoices and GetVoice, through a gateway."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from csm.errors import InvalidArgument
from csm.serving.metrics import Metrics
from csm.v1 import common_pb2, generator_pb2, speech_pb2
from gateway import voice_messages
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from tests.gateway.calls import Conversation, synthesize, violations
from tests.gateway.fakes import Stack, stack
from tests.gateway.voices.making import (
    AUDIO,
    FRAME_CODE,
    WORDS,
    create,
    create_requests,
    names,
    refusal,
)


async def get(running: Stack, name: str) -> speech_pb2.GetVoiceResponse:
    answer = await running.stub.GetVoice(speech_pb2.GetVoiceRequest(name=name))
    assert isinstance(answer, speech_pb2.GetVoiceResponse)
    return answer


async def delete(running: Stack, name: str) -> None:
    await running.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name=name))


async def update(running: Stack, name: str, **more: Any) -> speech_pb2.Voice:
    answer = await running.stub.UpdateVoice(speech_pb2.UpdateVoiceRequest(name=name, **more))
    return answer.voice  # type: ignore[no-any-return]


async def test_a_voice_is_made_and_speaks_with_its_recording_before_all_else(
    running: Stack,
) -> None:
    consent = speech_pb2.VoiceConsent(statement="yes, for tests", given_by="Anna")
    made = await create(
        running,
        "Anna",
        speaker=4,
        description="calm",
        language="en-GB",
        consent=consent,
        sampling=common_pb2.Sampling(temperature=0.5),
        lexicon=[speech_pb2.LexiconEntry(word="SQL", spelling="sequel")],
    )
    assert made.voice.name == "Anna"
    assert made.voice.source == speech_pb2.VOICE_SOURCE_CREATED
    assert (made.voice.speaker, made.voice.prompt_segments) == (4, 1)
    assert made.voice.updated_unix_s > 1_700_000_000
    (report,) = made.recordings
    assert (report.audio_ms, report.text, list(report.warnings)) == (2000, WORDS, [])
    # The fake decodes a tone of 1 kHz at half of full scale, a tenth of each second quiet.
    assert report.loudness_lufs == pytest.approx(-9.5, abs=0.5)
    assert report.peak_dbfs == pytest.approx(-6, abs=0.1)
    assert report.noise_dbfs < -80
    whole = await get(running, "ANNA")
    assert (whole.voice, list(whole.recordings), whole.consent) == (made.voice, [report], consent)
    assert await names(running) == ["Anna", "fake"]
    heard = await synthesize(running, "SQL is good.", voice="anna")
    assert heard.completed
    stream = running.generator.streams[-1]
    assert (stream.context[0].text, stream.context[0].pinned) == (WORDS, True)
    assert stream.context[0].frames.codes[:2] == FRAME_CODE.to_bytes(2, "little")
    assert (stream.config.speaker, stream.texts) == (4, ["sequel is good."])
    assert len(running.tokenizer.files) == 1


async def test_sampling_of_a_call_goes_before_the_voices_and_that_before_the_models(
    running: Stack,
) -> None:
    await create(running, "anna", sampling=common_pb2.Sampling(temperature=0.5, top_k=7))
    own = common_pb2.Sampling(top_k=0, top_p=0.9)
    await synthesize(running, "One.", voice="anna", sampling=own)
    async with Conversation(running, voice="anna", sampling=own) as call:
        await call.say("Two.")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    for stream in running.generator.streams[-2:]:
        sampling = stream.config.sampling
        assert (sampling.temperature, sampling.top_k, sampling.HasField("top_k")) == (0.5, 0, True)
        assert sampling.top_p == pytest.approx(0.9)
        assert not sampling.HasField("depth_temperature")


async def test_a_voices_language_holds_where_a_call_names_none(running: Stack) -> None:
    await create(running, "anna", language="de")
    said = {}
    for voice, tag in (("anna", ""), ("anna", "en"), ("fake", "")):
        answer = await running.stub.PrepareText(
            speech_pb2.PrepareTextRequest(
                text="Am 3. Mai.", voice=voice, text_options=speech_pb2.TextOptions(language=tag)
            )
        )
        said[voice, tag] = answer.spoken_form
    assert said["anna", ""] == "Am 3. Mai."
    assert said["anna", "en"] == said["fake", ""] != said["anna", ""]


@pytest.mark.parametrize(
    ("config", "field", "told"),
    [
        ({"name": ""}, "config.name", "no name for a voice; allowed are 1..64 letters"),
        ({"name": "x" * 129}, "config.name", "129 characters"),
        ({"name": "a\x00b"}, "config.name", r"'a\x00b' is no name"),
        ({"name": "ünal"}, "config.name", "no name"),
        ({"speaker": 65536}, "config.speaker", "65536 is not allowed"),
        ({"description": "x" * 1001}, "config.description", "1001 characters; allowed are at most"),
        ({"description": "a\x07"}, "config.description", "control characters"),
        ({"language": "e!"}, "config.language", "'e!' is no language"),
        ({"sampling": {"temperature": 11}}, "config.sampling.temperature", "11 is not allowed"),
        ({"consent": {"statement": "x"}}, "config.consent.given_by", "is empty"),
        ({"consent": {"given_by": "x"}}, "config.consent.statement", "is empty"),
        ({"consent": {"statement": "x" * 4097, "given_by": "x"}}, "config.consent.statement", "40"),
        ({"lexicon": [{"word": "", "spelling": "x"}]}, "config.lexicon[0].word", "0 characters"),
    ],
)
async def test_a_wrong_config_names_its_field(
    running: Stack, config: dict[str, Any], field: str, told: str
) -> None:
    given = {"name": "anna", **config}
    error = await refusal(running.stub.CreateVoice(create_requests(**given)))
    assert told in violations(error)[field]
    assert await names(running) == ["fake"]


def pieces(*requests: Any) -> Iterator[speech_pb2.CreateVoiceRequest]:
    yield speech_pb2.CreateVoiceRequest(config=speech_pb2.CreateVoiceConfig(name="anna"))
    yield from requests


RECORDING = speech_pb2.CreateVoiceRequest(recording=speech_pb2.CreateVoiceRecording(text=WORDS))
PART = speech_pb2.CreateVoiceRequest(audio=AUDIO)


@pytest.mark.parametrize(
    ("requests", "field", "told"),
    [
        ([], "config", "the first message is nothing"),
        ([RECORDING], "config", "the first message is recording"),
        ([*pieces(), *pieces()], "config", "a second time"),
        ([*pieces(PART)], "audio", "before a recording"),
        ([*pieces(RECORDING)], "recordings[0].audio", "is empty"),
        ([*pieces(RECORDING, PART, RECORDING)], "recordings[1].audio", "is empty"),
        ([*pieces(speech_pb2.CreateVoiceRequest())], "request", "is empty"),
        ([*pieces(*[RECORDING, PART] * 17)], "recordings", "more than 16"),
        (
            [*pieces(RECORDING, speech_pb2.CreateVoiceRequest(audio=bytes((1 << 20) + 1)))],
            "recordings[0].audio",
            "1048577 bytes in a message",
        ),
        (
            [*pieces(RECORDING, *[speech_pb2.CreateVoiceRequest(audio=bytes(1 << 20))] * 13)],
            "recordings[0].audio",
            "larger than 12582912 bytes",
        ),
        (
            [*pieces(*[RECORDING, *[speech_pb2.CreateVoiceRequest(audio=bytes(1 << 20))] * 9] * 3)],
            "recordings",
            "larger than 25165824 bytes together",
        ),
        (
            [*pieces(speech_pb2.CreateVoiceRequest(recording={"text": "..."}), PART)],
            "recordings[0].text",
            "nothing to speak",
        ),
        (
            [*pieces(speech_pb2.CreateVoiceRequest(recording={"text": "x" * 4097}), PART)],
            "recordings[0].text",
            "4097 characters",
        ),
    ],
)  # fmt: skip
async def test_a_wrong_stream_names_what_is_wrong(
    running: Stack, requests: list[Any], field: str, told: str
) -> None:
    error = await refusal(running.stub.CreateVoice(iter(requests), timeout=20))
    assert told in violations(error)[field]
    assert running.service._speech.encoder._context_bytes == 0


async def test_a_recording_that_is_none_too_long_or_silent_is_refused_by_name(
    running: Stack,
) -> None:
    two = [(WORDS, AUDIO), (WORDS, b"text")]
    error = await refusal(running.stub.CreateVoice(create_requests("anna", two)))
    assert violations(error) == {"recordings[1].audio": "is no audio"}
    # The tokenizer is told to take no more than 30 s.
    assert set(running.tokenizer.max_samples) == {30 * 24_000}
    running.tokenizer.refuse_files = [InvalidArgument()]
    running.tokenizer.odd = ["it is silent: its level is more than 70 dB below full scale"]
    error = await refusal(running.stub.CreateVoice(create_requests("anna")))
    error = await refusal(running.stub.CreateVoice(create_requests("anna")))
    assert "it is silent" in violations(error)["recordings[0].audio"]
    assert await names(running) == ["fake"]


async def test_what_is_odd_about_a_recording_is_reported_and_words_that_cannot_be_in_it(
    running: Stack,
) -> None:
    running.tokenizer.odd = ["it is quiet"]
    made = await create(running, "anna", recordings=[(WORDS * 10, AUDIO)])
    odd, wrong = made.recordings[0].warnings
    assert odd == "it is quiet"
    assert "410 characters take about" in wrong
    assert "Anna" not in wrong


async def test_prompts_that_leave_no_room_are_refused(running: Stack) -> None:
    running.generator.max_pinned_positions = 100
    error = await refusal(running.stub.CreateVoice(create_requests("anna")))
    (told,) = violations(error).values()
    assert "the pinned segments take" in told


async def test_validate_only_reports_and_makes_nothing(running: Stack) -> None:
    made = await create(running, "anna", validate_only=True)
    assert made.recordings[0].audio_ms == 2000
    assert await names(running) == ["fake"]


async def test_a_voice_may_be_a_speaker_alone_of_those_that_the_model_names() -> None:
    running = Stack()
    running.generator.voices = [
        generator_pb2.ModelVoice(name="michael", speaker=3),
        generator_pb2.ModelVoice(name="heart", speaker=2),
    ]
    try:
        await running.up()
        made = await create(running, "anna", recordings=[])
        assert (made.voice.speaker, made.voice.prompt_segments) == (2, 0)
        error = await refusal(running.stub.CreateVoice(create_requests("b", speaker=9)))
        assert "9 is no speaker of this model" in violations(error)["config.speaker"]
    finally:
        await running.down()


async def test_a_name_that_is_taken_is_refused_before_the_recordings_come() -> None:
    async with stack(voice_aliases="alloy=anna") as running:
        await create(running, "anna")
        taken = {"ANNA": "'anna' already, created", "Fake": "the model's", "alloy": "an alias of"}
        for name, told in taken.items():
            error = await refusal(running.stub.CreateVoice(create_requests(name)))
            assert error.code() is grpc.StatusCode.ALREADY_EXISTS  # type: ignore[attr-defined]
            assert told in error.details()  # type: ignore[attr-defined]
        assert len(running.tokenizer.files) == 1
        assert (await get(running, "Alloy")).voice.name == "anna"
        listed = await running.stub.ListVoices(speech_pb2.ListVoicesRequest(name_contains="ALL"))
        assert [(v.name, list(v.aliases)) for v in listed.voices] == [("anna", ["alloy"])]


async def test_an_update_changes_what_it_names_and_nothing_else(running: Stack) -> None:
    await create(running, "anna", description="calm", language="en")
    voice = await update(running, "ANNA", description="loud")
    assert (voice.name, voice.description, voice.language) == ("anna", "loud", "en")
    voice = await update(running, "anna", language="", sampling={"temperature": 0.25})
    assert (voice.description, voice.language, voice.sampling.temperature) == ("loud", "", 0.25)
    await update(running, "anna", consent={"statement": "yes", "given_by": "A."})
    entries = [speech_pb2.LexiconEntry(word="SQL", spelling="sequel")]
    await update(running, "anna", lexicon=speech_pb2.LexiconUpdate(entries=entries))
    whole = await get(running, "anna")
    assert (whole.consent.given_by, whole.voice.sampling.temperature) == ("A.", 0.25)
    assert len(whole.recordings) == 1
    await synthesize(running, "SQL.", voice="anna")
    assert running.generator.streams[-1].texts == ["sequel."]
    error = await refusal(update(running, "anna", description="x" * 1001, language="!"))
    assert set(violations(error)) == {"description", "language"}


async def test_the_models_and_the_operators_voices_are_not_changed_by_calls(
    tmp_path: Path,
) -> None:
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "voice.json").write_text(
        json.dumps({"speaker": 2, "language": "de", "sampling": {"top_k": 3}})
    )
    async with stack(voices_directory=tmp_path, voice_aliases="alloy=bert") as running:
        bert = (await get(running, "bert")).voice
        assert bert.source == speech_pb2.VOICE_SOURCE_OPERATOR
        assert (bert.language, bert.sampling.top_k, list(bert.aliases)) == ("de", 3, ["alloy"])
        refused = {"bert": "the operator's", "fake": "the model's", "alloy": "an alias of"}
        for name, told in refused.items():
            for call in (update(running, name, description="x"), delete(running, name)):
                error = await refusal(call)
                assert error.code() is grpc.StatusCode.FAILED_PRECONDITION  # type: ignore[attr-defined]
                assert told in error.details()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "told"), [("", "0 characters"), ("x" * 129, "129 characters"), ("a\n\x1b", "control")]
)
async def test_a_name_that_can_be_none_is_refused_by_every_call(
    running: Stack, name: str, told: str
) -> None:
    for call in (get(running, name), update(running, name), delete(running, name)):
        assert told in violations(await refusal(call))["name"]


async def test_a_voice_that_is_not_there_is_not_found(running: Stack) -> None:
    for call in (get(running, "none"), update(running, "none"), delete(running, "none")):
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]


async def test_a_listing_that_is_wrong_names_its_fields(running: Stack) -> None:
    error = await refusal(
        running.stub.ListVoices(
            speech_pb2.ListVoicesRequest(page_size=1001, language="!", name_contains="x" * 65)
        )
    )
    assert set(violations(error)) == {"page_size", "language", "name_contains"}


async def test_voices_are_listed_in_pages(running: Stack) -> None:
    for name in ("c", "a", "b"):
        await create(running, name, recordings=[])
    first = await running.stub.ListVoices(speech_pb2.ListVoicesRequest(page_size=2))
    assert ([v.name for v in first.voices], first.num_voices) == (["a", "b"], 4)
    second = await running.stub.ListVoices(
        speech_pb2.ListVoicesRequest(page_size=2, page_token=first.next_page_token)
    )
    assert ([v.name for v in second.voices], second.next_page_token) == (["c", "fake"], "")


async def test_there_is_room_for_so_many_voices_and_bytes() -> None:
    async with stack(max_created_voices=2) as running:
        await create(running, "a")
        await create(running, "b")
        error = await refusal(running.stub.CreateVoice(create_requests("c")))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
        assert "max_created_voices" in error.details()  # type: ignore[attr-defined]
        await delete(running, "a")
        await create(running, "c")
    async with stack(max_created_voices_bytes=1 << 20) as running:
        long = [("\u4e8c" * 4096, AUDIO)] * 16
        await create(running, "a", recordings=long)
        await create(running, "b", recordings=long)
        await create(running, "c", recordings=long)
        error = await refusal(running.stub.CreateVoice(create_requests("d", long)))
        assert "max_created_voices_bytes" in error.details()  # type: ignore[attr-defined]
        await delete(running, "a")
        await create(running, "d", recordings=long)


async def test_a_deleted_voice_speaks_on_in_a_call_that_has_it_and_its_conversation_says_so(
    running: Stack,
) -> None:
    await create(running, "anna")
    async with Conversation(running, voice="anna", conversation_id="c") as call:
        await call.until("started")
        await delete(running, "anna")
        await call.say("One.")
        await call.end()
        await call.until("turn_completed")
        assert running.generator.streams[-1].context[0].text == WORDS
        await call.done()
    assert await names(running) == ["fake"]
    with pytest.raises(grpc.RpcError, match="the conversation had it, and it is gone") as caught:
        await synthesize(running, "Two.", conversation_id="c")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]
    heard = await synthesize(running, "Two.", conversation_id="c", voice="fake")
    assert heard.completed


async def test_the_default_voice_is_not_deleted(tmp_path: Path) -> None:
    async with stack(created_voices_directory=tmp_path) as running:
        await create(running, "Anna")
    async with stack(created_voices_directory=tmp_path, default_voice="anna") as running:
        listed = await running.stub.ListVoices(speech_pb2.ListVoicesRequest())
        assert listed.default_voice == "Anna"
        error = await refusal(delete(running, "anna"))
        assert "is the default voice" in error.details()  # type: ignore[attr-defined]


async def test_a_voice_in_a_folder_is_there_after_a_restart_and_not_encoded_again(
    tmp_path: Path,
) -> None:
    async with stack(created_voices_directory=tmp_path) as running:
        made = await create(running, "anna", speaker=4)
    async with stack(created_voices_directory=tmp_path) as running:
        assert (await get(running, "anna")).voice == made.voice
        await synthesize(running, "Hello.", voice="anna")
        assert running.generator.streams[-1].context[0].text == WORDS
        assert not running.tokenizer.files


async def test_a_voice_of_another_codec_is_encoded_anew_from_its_recording(tmp_path: Path) -> None:
    async with stack(created_voices_directory=tmp_path) as running:
        await create(running, "anna", description="calm")
    running = Stack()
    running.tokenizer.digest = "another"
    try:
        await running.up(created_voices_directory=tmp_path)
        error = await refusal(get(running, "anna"))
        assert "being encoded for the codec" in error.details()  # type: ignore[attr-defined]
        # The process that hears what is said is started anew for it.
        async with asyncio.timeout(60):
            while "anna" not in await names(running):
                await asyncio.sleep(0.05)
        assert running.tokenizer.files == [AUDIO]
        assert (await get(running, "anna")).voice.description == "calm"
    finally:
        await running.down()


async def test_a_client_that_stops_in_the_middle_is_left_and_its_bytes_are_given_back(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_messages, "IDLE_S", 0.1)
    call = running.stub.CreateVoice(timeout=20)
    for request in pieces(RECORDING, PART):
        await call.write(request)
    with pytest.raises(grpc.RpcError, match="nothing came for") as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
    assert running.service._speech.encoder._context_bytes == 0
    # One that goes away.
    call = running.stub.CreateVoice(timeout=20)
    for request in pieces(RECORDING, PART):
        await call.write(request)
    call.cancel()
    async with asyncio.timeout(5):
        while running.service._speech.encoder._context_bytes:
            await asyncio.sleep(0.01)


async def test_one_folder_is_not_the_operators_and_that_of_created_voices(tmp_path: Path) -> None:
    both = {"voices_directory": tmp_path, "created_voices_directory": tmp_path / "x" / ".."}
    with pytest.raises(ValueError, match="is voices_directory too; allowed is another folder"):
        GatewayService(GatewaySettings(**both), Metrics())


async def test_aliases_that_are_wrong_stop_the_start() -> None:
    for aliases, told in (("x", "not allowed"), ("fake=heart", "'fake' is the name of a voice")):
        with pytest.raises(ValueError, match=told):
            async with stack(voice_aliases=aliases):
                pass
