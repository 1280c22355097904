"""Synthesize from end to end over real gRPC, against fake backends."""

import asyncio
import time
from typing import Any

import grpc
import pytest

from csm.v1 import common_pb2, speech_pb2
from gateway.synthesize_call import FILES_AT_ONCE
from tests.gateway.calls import synthesize, tokens, turns_of, violations
from tests.gateway.fakes import EOS, FRAME_SAMPLES, MAX_DURATION, RATE, Stack, stack

S16 = common_pb2.AUDIO_ENCODING_PCM_S16LE


async def test_a_text_comes_back_as_started_audio_and_completed(running: Stack) -> None:
    heard = await synthesize(running, "Hello there, you.")
    assert heard.frames == [0, 1, 2, 3]
    assert [a.first_sample for a in heard.audio] == [n * FRAME_SAMPLES for n in range(4)]
    (started,) = heard.started
    assert (started.format.encoding, started.format.sample_rate_hz) == (S16, RATE)
    assert started.format.channels == 1
    assert started.seed == 1000
    (completed,) = heard.completed
    assert completed.finish_reason == EOS
    assert not completed.heard
    assert completed.kept_audio_ms == 320
    assert {a.turn_id for a in heard.audio} == {started.turn_id} == {completed.turn_id}
    await running.settled()


async def test_sentences_share_one_generator_stream_and_one_decoder(running: Stack) -> None:
    text = "The first one. And a second one! Last?"
    heard = await synthesize(running, text)
    (stream,) = running.generator.streams
    assert stream.texts == ["The first one.", "And a second one!", "Last?"]
    assert heard.frames == list(range(3 + 4 + 1))
    assert [a.text_chars for a in heard.audio] == [14] * 3 + [32] * 4 + [len(text)]
    usage = heard.completed[0].usage
    assert usage.generated_frames == 8
    assert usage.audio_ms == 640
    assert usage.text_tokens == len("".join(stream.texts))
    assert usage.prompt_frames == 30
    assert usage.reused_frames == 12


async def test_the_first_audio_leaves_after_the_first_frame(running: Stack) -> None:
    running.generator.frame_s = 0.05
    call = running.stub.Synthesize(speech_pb2.SynthesizeRequest(text="x" * 100))
    async for answer in call:
        if answer.WhichOneof("response") == "audio":
            break
    assert running.generator.streams[0].sent <= 3
    call.cancel()
    await running.settled()


async def test_timing_and_metrics_are_filled_in(running: Stack) -> None:
    running.generator.frame_s = 0.01
    completed = (await synthesize(running, "Hello there, you all.")).completed[0]
    timing = completed.timing
    assert timing.queue_ms == 1.5
    assert timing.prefill_ms == 2.5
    assert 5 < timing.first_frame_ms <= timing.total_ms < 5000
    name = "csm_gateway_"
    assert running.sample(name + "requests_total", rpc="Synthesize", outcome="completed") == 1
    assert running.sample(name + "time_to_first_audio_seconds_count", rpc="Synthesize") == 1
    assert running.sample(name + "time_to_first_audio_seconds_sum", rpc="Synthesize") == (
        pytest.approx(timing.first_frame_ms / 1000)
    )
    for histogram in (
        "utterance_duration_seconds",
        "real_time_factor",
        "audio_underrun_seconds",
        "text_preparation_seconds",
    ):
        assert running.sample(name + histogram + "_count") == 1, histogram
    assert running.sample(name + "audio_seconds_total") == pytest.approx(5 * 0.08)
    assert running.sample(name + "chunk_gap_seconds_count") == 4
    assert running.sample(name + "pacing_lead_seconds_count") == 5
    for stage in ("generate_first_frame", "decode_first_chunk", "send_first_chunk"):
        assert running.sample(name + "stage_duration_seconds_count", stage=stage) == 1, stage
    assert running.sample(name + "streams_active") == 0


async def test_sampling_speaker_seed_and_limit_reach_the_generator(running: Stack) -> None:
    heard = await synthesize(
        running,
        "One thing.",
        speaker=7,
        sampling=common_pb2.Sampling(temperature=0.5, top_k=9, seed=41),
        max_audio_ms=4000,
    )
    config = running.generator.streams[0].config
    assert config.speaker == 7
    assert config.max_audio_ms == 4000
    assert config.sampling.top_k == 9
    assert config.sampling.seed == 41
    assert heard.started[0].seed == 41
    assert config.conversation_id == ""


async def test_max_audio_ms_ends_the_whole_turn_whichever_sentence_reaches_it(
    running: Stack,
) -> None:
    one = await synthesize(running, "x" * 100, max_audio_ms=400)
    assert len(one.frames) == 5
    assert one.completed[0].finish_reason == MAX_DURATION
    text = "Ten chars. Ten chars. Ten chars. Ten chars. Ten chars."
    three = await synthesize(running, text, max_audio_ms=400)
    assert three.frames == [0, 1, 2, 3, 4]
    assert three.completed[0].finish_reason == MAX_DURATION
    assert three.completed[0].kept_audio_ms == 400
    stream = running.generator.streams[1]
    assert stream.texts == ["Ten chars."] * 3
    await running.settled()


async def test_another_format_is_asked_of_the_tokenizer_and_told_to_the_client(
    running: Stack,
) -> None:
    form = common_pb2.AudioFormat(
        encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=48_000, channels=2
    )
    heard = await synthesize(running, "Hello.", format=form)
    assert heard.started[0].format == form
    # The fake ignores the format: what counts here is that samples are counted in it.
    assert heard.audio[1].first_sample == len(heard.audio[0].audio) // 8


async def test_context_is_encoded_and_sent_before_the_text(running: Stack) -> None:
    turns = [
        speech_pb2.ContextTurn(speaker=3, text="A recording.", audio_file=b"RIFF" + bytes(496)),
        speech_pb2.ContextTurn(speaker=0, text="Frames.", frames=tokens(4)),
        speech_pb2.ContextTurn(speaker=1, text="Text alone."),
    ]
    await synthesize(running, "Go on.", context=turns)
    context = running.generator.streams[0].context
    assert [(s.speaker, s.text, s.frames.num_frames) for s in context] == [
        (3, "A recording.", 5),
        (0, "Frames.", 4),
        (1, "Text alone.", 0),
    ]
    assert context[0].frames.num_codebooks == 8
    assert not context[2].HasField("frames")
    assert running.tokenizer.files == [b"RIFF" + bytes(496)]
    assert running.sample("csm_gateway_stage_duration_seconds_count", stage="context_encode") == 1


async def test_an_empty_text_continues_the_last_turn_of_the_context(running: Stack) -> None:
    turn = speech_pb2.ContextTurn(speaker=5, text="Once upon", frames=tokens(3))
    heard = await synthesize(running, "", context=[turn])
    stream = running.generator.streams[0]
    assert stream.texts == [""]
    assert stream.config.speaker == 5
    assert len(heard.frames) == 5
    assert heard.completed[0].finish_reason == EOS


async def test_turns_of_a_conversation_join_it_and_are_sent_as_context(running: Stack) -> None:
    await synthesize(running, "First. Second.", conversation_id="c/ü")
    await synthesize(running, "Third.", conversation_id="c/ü")
    context = running.generator.streams[1].context
    assert [(s.text, s.frames.num_frames, s.pinned) for s in context] == [
        ("First.", 2, False),
        ("Second.", 2, False),
    ]
    assert await turns_of(running, "c/ü") == [
        (False, 0, "First. Second.", 320),
        (False, 0, "Third.", 160),
    ]
    assert running.generator.streams[1].config.conversation_id == "c/ü"
    first, second = (m["x-csm-conversation"] for m in running.generator.metadata)
    assert first == second
    assert len(first) == 32
    assert running.sample("csm_gateway_conversations_active") == 1
    await running.stub.DeleteConversation(
        speech_pb2.DeleteConversationRequest(conversation_id="c/ü")
    )
    assert running.generator.evicted == ["c/ü"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await turns_of(running, "c/ü")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_slow_reader_pauses_its_own_turn_and_no_other(running: Stack) -> None:
    # A second of text is far more than the credit; what the client does not read stays unmade.
    slow = running.stub.Synthesize(
        speech_pb2.SynthesizeRequest(text="x" * 199 + ".", max_audio_ms=600_000)
    )
    running.generator.frames_per_char = 20
    await slow.read()
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 10:
        await asyncio.sleep(0.2)
        if running.generator.streams[0].sent == last:
            break
        last = running.generator.streams[0].sent
    assert 64 <= last < 4000
    running.generator.frames_per_char = 0.2
    assert len((await synthesize(running, "Quick.")).frames) == 2
    got = 0
    while (answer := await slow.read()) is not grpc.aio.EOF:
        got += answer.WhichOneof("response") == "audio"
    assert got == 4000
    # Credit goes back in batches, not a message a frame.
    assert running.generator.streams[0].credit_messages <= 4000 / 16
    await running.settled()


async def test_paced_audio_keeps_to_its_lead_and_holds_generation_back(running: Stack) -> None:
    running.generator.frames_per_char = 1
    began = time.monotonic()
    arrivals = []
    request = speech_pb2.SynthesizeRequest(text="x" * 20, max_lead_ms=400)
    async for answer in running.stub.Synthesize(request):
        if answer.WhichOneof("response") == "audio":
            arrivals.append(time.monotonic() - began)
            assert running.generator.streams[0].sent <= len(arrivals) + 8 + 2
    assert len(arrivals) == 20
    # Chunk n may leave when it ends at most 400 ms ahead of real time.
    for n, at in enumerate(arrivals):
        assert at >= (n + 1) * 0.08 - 0.4 - 0.03
    assert arrivals[-1] >= 20 * 0.08 - 0.4 - 0.05


async def test_a_client_that_goes_frees_everything_and_what_was_sent_is_kept(
    running: Stack,
) -> None:
    running.generator.frame_s = 0.02
    call = running.stub.Synthesize(
        speech_pb2.SynthesizeRequest(text="x" * 190 + ".", conversation_id="gone")
    )
    for _ in range(6):
        await call.read()
    call.cancel()
    await running.settled()
    assert running.generator.streams[0].sent < 30
    ((heard, speaker, text, audio_ms),) = await turns_of(running, "gone")
    assert not heard
    assert speaker == 0
    assert 5 * 80 <= audio_ms <= 30 * 80
    assert 0 < len(text) < 191
    assert running.sample("csm_gateway_requests_total", rpc="Synthesize", outcome="cancelled") == 1


async def test_a_deadline_is_passed_on_and_ends_the_backends_work(running: Stack) -> None:
    running.generator.mute.clear()
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Never.", timeout_s=0.4)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 2
    await running.settled()
    assert running.sample("csm_gateway_requests_total", rpc="Synthesize", outcome="deadline") == 1


async def test_more_calls_than_allowed_are_refused_with_a_time_to_wait() -> None:
    async with stack(max_streams=1) as running:
        running.generator.mute.clear()
        first = running.stub.Synthesize(speech_pb2.SynthesizeRequest(text="Long."))
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await synthesize(running, "Refused.")
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-retry-pushback-ms" in dict(caught.value.trailing_metadata() or ())
        first.cancel()
        await running.settled()
        running.generator.mute.set()
        assert (await synthesize(running, "Taken.")).completed
        labels = {"rpc": "Synthesize", "outcome": "rejected"}
        assert running.sample("csm_gateway_requests_total", **labels) == 1


BAD = [
    ({"text": ""}, "text"),
    ({"text": "x" * 100_000}, "text"),
    ({"text": "🙂🎉"}, "text"),
    ({"text": "\x00\x07\n"}, "text"),
    ({"text": "..."}, "text"),
    ({"text": "a", "conversation_id": "x" * 129}, "conversation_id"),
    ({"text": "a", "conversation_id": "a\nb"}, "conversation_id"),
    (
        {"text": "a", "conversation_id": "x", "context": [speech_pb2.ContextTurn(text="b")]},
        "context",
    ),
    ({"text": "a", "context": [speech_pb2.ContextTurn(text="b")] * 65}, "context"),
    ({"text": "a", "context": [speech_pb2.ContextTurn()]}, "context[0]"),
    ({"text": "a", "context": [speech_pb2.ContextTurn(text="🙂")]}, "context[0]"),
    ({"text": "", "context": [speech_pb2.ContextTurn(text="b")]}, "text"),
    ({"text": "a", "context": [speech_pb2.ContextTurn(audio_file=b"")]}, "context[0].audio_file"),
    (
        {"text": "a", "context": [speech_pb2.ContextTurn(audio_file=b"no sound")]},
        "context[0].audio_file",
    ),
    (
        {"text": "a", "context": [speech_pb2.ContextTurn(audio_file=bytes((3 << 20) + 1))]},
        "context[0].audio_file",
    ),
    (
        {"text": "a", "context": [speech_pb2.ContextTurn(frames=tokens(2, width=5))]},
        "context[0].frames.num_codebooks",
    ),
    (
        {"text": "a", "context": [speech_pb2.ContextTurn(frames=tokens(2, code=512))]},
        "context[0].frames.codes",
    ),
    (
        {"text": "a", "context": [speech_pb2.ContextTurn(frames=tokens(0))]},
        "context[0].frames.num_frames",
    ),
    (
        {"text": "a", "context": [speech_pb2.ContextTurn(text="b", speaker=65536)]},
        "context[0].speaker",
    ),
    ({"text": "a", "speaker": 65536}, "speaker"),
    ({"text": "a", "sampling": common_pb2.Sampling(temperature=-1)}, "sampling.temperature"),
    (
        {"text": "a", "sampling": common_pb2.Sampling(temperature=float("nan"))},
        "sampling.temperature",
    ),
    (
        {"text": "a", "sampling": common_pb2.Sampling(depth_temperature=11)},
        "sampling.depth_temperature",
    ),
    ({"text": "a", "sampling": common_pb2.Sampling(top_k=65537)}, "sampling.top_k"),
    ({"text": "a", "sampling": common_pb2.Sampling(top_p=0)}, "sampling.top_p"),
    ({"text": "a", "sampling": common_pb2.Sampling(top_p=1.5)}, "sampling.top_p"),
    ({"text": "a", "sampling": common_pb2.Sampling(top_p=float("nan"))}, "sampling.top_p"),
    ({"text": "a", "max_audio_ms": 79}, "max_audio_ms"),
    ({"text": "a", "max_audio_ms": 600_001}, "max_audio_ms"),
    ({"text": "a", "max_lead_ms": 600_001}, "max_lead_ms"),
    (
        {"text": "a", "format": common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)},
        "format.encoding",
    ),
    ({"text": "a", "format": common_pb2.AudioFormat(encoding=99)}, "format.encoding"),  # type: ignore[arg-type]
    (
        {"text": "a", "format": common_pb2.AudioFormat(sample_rate_hz=768_000)},
        "format.sample_rate_hz",
    ),
    ({"text": "a", "format": common_pb2.AudioFormat(channels=99)}, "format.channels"),
]


async def test_bad_requests_are_refused_naming_the_field_and_the_server_is_unharmed(
    running: Stack,
) -> None:
    for fields, field in BAD:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await synthesize(running, **fields)
        found = violations(caught.value)
        assert list(found) == [field], (fields.keys(), found)
        assert "allowed" in found[field] or field == "context[0].audio_file"
    assert running.generator.streams == []
    assert (await synthesize(running, "Still here.")).completed
    labels = {"rpc": "Synthesize", "outcome": "rejected"}
    assert running.sample("csm_gateway_requests_total", **labels) == len(BAD)


async def test_every_wrong_field_is_named_at_once(running: Stack) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(
            running,
            "...",
            speaker=70_000,
            sampling=common_pb2.Sampling(temperature=-1, top_p=2),
            max_audio_ms=1,
        )
    assert set(violations(caught.value)) == {
        "text",
        "speaker",
        "sampling.temperature",
        "sampling.top_p",
        "max_audio_ms",
    }


async def test_an_unknown_voice_is_not_found(running: Stack) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello.", voice="nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "fake" in (caught.value.details() or "")


async def test_files_of_a_context_are_encoded_a_few_at_a_time(running: Stack) -> None:
    running.tokenizer.encode_s = 0.02
    context = [speech_pb2.ContextTurn(text="x", audio_file=b"RIFF" + bytes(300))] * 20
    await synthesize(running, "Hello.", context=context)
    assert len(running.tokenizer.files) == 20
    assert 1 < running.tokenizer.most_encodes <= FILES_AT_ONCE


@pytest.mark.parametrize("kind", ["audio_file", "frames"])
async def test_a_turn_of_the_context_longer_than_any_is_named(running: Stack, kind: str) -> None:
    sound: dict[str, Any] = {"audio_file": b"RIFF" + bytes(210_000)}
    if kind == "frames":
        sound = {"frames": tokens(2049)}
    turns = [speech_pb2.ContextTurn(text="a"), speech_pb2.ContextTurn(text="x", **sound)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello.", context=turns)
    field = "context[1].audio_file" if kind == "audio_file" else "context[1].frames.num_frames"
    ((named, description),) = violations(caught.value).items()
    assert named == field
    assert "2048" in description
    await running.settled()
