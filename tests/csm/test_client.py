"""The SDK against a server that fails, stalls and refuses on demand."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from csm import errors
from csm.client import (
    AsyncClient,
    AudioChunk,
    AudioFormat,
    Client,
    ContextTurn,
    FinishReason,
    RetryPolicy,
    Speech,
    TurnCompleted,
    TurnStarted,
    WordTime,
    requests,
)
from csm.client.retry import from_status
from csm.v1 import speech_pb2
from tests.csm.fake_speech import CHUNK, FakeSpeech, serving

QUICK = RetryPolicy(max_attempts=3, initial_backoff_s=0.01, max_backoff_s=0.02)


@pytest.fixture
def fake() -> FakeSpeech:
    return FakeSpeech()


@pytest.fixture
async def target(fake: FakeSpeech) -> AsyncIterator[str]:
    async with serving(fake) as address:
        yield address


@pytest.fixture
async def client(target: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(target, retry=QUICK) as made:
        yield made


def unavailable(after_s: float = 0.0) -> errors.Unavailable:
    return errors.Unavailable("draining", after_s)


async def test_synthesize_gives_format_chunks_and_terminal(client: AsyncClient) -> None:
    speech = client.synthesize("Hello.", seed=7)
    chunks = [chunk async for chunk in speech]
    assert [c.first_sample for c in chunks] == [0, 1920]
    assert all(c.pcm == CHUNK and c.duration_s == pytest.approx(0.08) for c in chunks)
    assert speech.started is not None
    assert speech.started.format == AudioFormat("s16", 24_000, 1)
    assert speech.started.seed == 7
    assert speech.completed is not None
    assert speech.completed.finish_reason is FinishReason.EOS
    assert speech.completed.usage.generated_frames == 2
    assert speech.completed.timing.queue_ms == 1.5


async def test_read_all_gives_mono_floats(client: AsyncClient) -> None:
    samples = await client.synthesize("Hello.").read_all()
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, np.full(3840, 0.5, np.float32))


async def test_every_option_reaches_the_server(client: AsyncClient, fake: FakeSpeech) -> None:
    codes = np.array([[1, 2], [3, 65535]])
    await client.synthesize(
        "Hi.",
        voice="v",
        conversation_id="c",
        context=[ContextTurn(3, "before", codes=codes), ContextTurn(4, audio=b"RIFF")],
        speaker=0,
        temperature=0.0,
        depth_temperature=0.5,
        top_k=0,
        top_p=0.75,
        seed=2**63,
        max_audio_ms=1000,
        format=AudioFormat("f32", 48_000, 2),
        max_lead_ms=250,
    ).read_pcm()
    (request,) = fake.requests
    assert (request.voice, request.conversation_id, request.max_audio_ms) == ("v", "c", 1000)
    # Zeros that were given are not the same as values left out.
    assert request.HasField("speaker")
    assert request.sampling.HasField("temperature")
    assert request.sampling.HasField("top_k")
    assert request.sampling.seed == 2**63
    assert (request.sampling.depth_temperature, request.sampling.top_p) == (0.5, 0.75)
    assert request.context[0].frames.codes == codes.astype("<u2").tobytes()
    assert request.context[1].audio_file == b"RIFF"
    assert (request.format.sample_rate_hz, request.format.channels) == (48_000, 2)
    assert request.max_lead_ms == 250


async def test_what_is_left_out_is_not_sent(client: AsyncClient, fake: FakeSpeech) -> None:
    await client.synthesize("Hi.").read_pcm()
    (request,) = fake.requests
    assert not request.HasField("speaker")
    assert not request.sampling.ListFields()
    assert not request.HasField("format")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"seed": -1}, "sampling.seed"),
        ({"top_k": -5}, "sampling.top_k"),
        ({"max_audio_ms": -1}, "max_audio_ms"),
        ({"speaker": 2**40}, "speaker"),
        ({"voice": 3}, "voice"),
    ],
)
async def test_a_value_the_wire_cannot_carry_names_its_field(
    client: AsyncClient, options: dict[str, object], field: str
) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        client.synthesize("Hi.", **options)  # type: ignore[arg-type]
    assert caught.value.violations[0].field == field


async def test_unavailable_before_the_first_message_is_tried_again(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: unavailable() if attempt < 3 else None
    assert await client.synthesize("Hi.").read_pcm() == CHUNK * 2
    assert fake.attempts == 3


async def test_retries_are_bounded(client: AsyncClient, fake: FakeSpeech) -> None:
    fake.fail = lambda attempt, sent: unavailable()
    with pytest.raises(errors.Unavailable, match="draining"):
        await client.synthesize("Hi.").read_pcm()
    assert fake.attempts == QUICK.max_attempts


async def test_nothing_is_tried_again_once_audio_was_delivered(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: unavailable() if sent == 1 else None
    speech = client.synthesize("Hi.")
    got: list[AudioChunk] = []

    async def listen() -> None:
        async for chunk in speech:
            got.append(chunk)

    with pytest.raises(errors.Unavailable):
        await listen()
    assert len(got) == 1
    assert fake.attempts == 1


async def test_a_full_queue_is_not_tried_again_and_says_how_long_to_wait(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: errors.QueueFull("16 turns wait", 2.5)
    with pytest.raises(errors.QueueFull) as caught:
        await client.synthesize("Hi.").read_pcm()
    assert caught.value.retry_after_s == 2.5
    assert fake.attempts == 1


async def test_retry_info_of_the_server_is_honoured(client: AsyncClient, fake: FakeSpeech) -> None:
    fake.fail = lambda attempt, sent: unavailable(0.3) if attempt == 1 else None
    began = time.monotonic()
    await client.synthesize("Hi.").read_pcm()
    assert time.monotonic() - began >= 0.3
    assert fake.attempts == 2


async def test_a_retry_that_the_deadline_forbids_is_not_waited_for(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: unavailable(5.0)
    began = time.monotonic()
    with pytest.raises(errors.Unavailable):
        await client.synthesize("Hi.", timeout_s=4.0).read_pcm()
    assert time.monotonic() - began < 3.0
    assert fake.attempts == 1


async def test_invalid_argument_brings_its_violations(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    both = (
        errors.FieldViolation("text", "is empty; 1..4096 characters"),
        errors.FieldViolation("sampling.temperature", "nan is not allowed; 0..10"),
    )
    fake.fail = lambda attempt, sent: errors.InvalidArgument(*both)
    with pytest.raises(errors.InvalidArgument) as caught:
        await client.synthesize("").read_pcm()
    assert caught.value.violations == both
    assert fake.attempts == 1


async def test_other_statuses_become_their_errors(client: AsyncClient, fake: FakeSpeech) -> None:
    with pytest.raises(errors.NotFound, match="it may have expired") as missing:
        await client.get_conversation("c9")
    assert (missing.value.resource_type, missing.value.resource_name) == ("conversation", "c9")
    with pytest.raises(errors.FailedPrecondition, match="in use"):
        await client.delete_conversation("c9")
    fake.fail = lambda attempt, sent: errors.PermissionDenied("no")
    with pytest.raises(errors.PermissionDenied, match="no"):
        await client.synthesize("Hi.").read_pcm()
    fake.fail = lambda attempt, sent: errors.UpstreamError(grpc.StatusCode.DATA_LOSS, "no", ())
    with pytest.raises(errors.UpstreamError) as other:
        await client.synthesize("Hi.").read_pcm()
    assert other.value.code is grpc.StatusCode.DATA_LOSS


async def test_a_fault_of_the_server_is_internal_and_leaks_nothing(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    def broken(attempt: int, sent: int) -> None:
        raise KeyError("secret")

    fake.fail = broken
    with pytest.raises(errors.Internal, match="request id") as caught:
        await client.synthesize("Hi.").read_pcm()
    assert "secret" not in str(caught.value)


async def test_a_server_that_is_not_there_is_named() -> None:
    async with AsyncClient("127.0.0.1:1", retry=QUICK) as client:
        with pytest.raises(errors.Unavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
            await client.synthesize("Hi.").read_pcm()


async def test_the_deadline_ends_a_stalled_call_at_both_ends(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.stall_after = 1
    with pytest.raises(errors.DeadlineExceeded):
        await client.synthesize("Hi.", timeout_s=0.3).read_pcm()
    await asyncio.wait_for(fake.call_ended.wait(), 2)


async def test_cancel_ends_the_iteration_and_the_call_at_the_server(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.stall_after = 1
    speech = client.synthesize("Hi.")
    got = []

    async def listen() -> None:
        async for chunk in speech:
            got.append(chunk)

    listening = asyncio.create_task(listen())
    while not got:
        await asyncio.sleep(0.01)
    speech.cancel()
    await asyncio.wait_for(listening, 2)
    assert speech.completed is None
    await asyncio.wait_for(fake.call_ended.wait(), 2)
    speech.cancel()


async def test_cancelling_the_task_frees_the_server(client: AsyncClient, fake: FakeSpeech) -> None:
    fake.stall_after = 0
    speech = client.synthesize("Hi.")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(speech.read_pcm(), 0.2)
    await asyncio.wait_for(fake.call_ended.wait(), 2)
    assert [chunk async for chunk in speech] == []


async def test_cancel_during_the_wait_for_a_retry_ends_at_once(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: unavailable(5.0)
    speech = client.synthesize("Hi.")
    reading = asyncio.create_task(speech.read_pcm())
    await asyncio.wait_for(fake.call_ended.wait(), 2)
    await asyncio.sleep(0.1)
    speech.cancel()
    assert await asyncio.wait_for(reading, 1) == b""
    assert fake.attempts == 1


def test_a_cancel_that_meets_the_opening_of_the_next_try_ends_that_too() -> None:
    class Refused(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNAVAILABLE

    class Call:
        cancelled = False

        def __next__(self) -> None:
            raise Refused

        def cancel(self) -> None:
            self.cancelled = True

    calls: list[Call] = []

    def open_call(timeout_s: float | None) -> Call:
        if calls:
            speech.cancel()
        calls.append(Call())
        return calls[-1]

    speech = Speech(open_call, "target", QUICK, None)
    assert list(speech) == []
    assert [call.cancelled for call in calls] == [True, True]


async def test_unary_calls_are_tried_again_by_the_channel(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: unavailable() if attempt < 2 else None
    info = await client.server_info()
    assert info.model == "fake"
    assert fake.attempts == 2
    assert (await client.list_voices()).default_voice == "pico"


async def test_converse_gives_typed_events_in_order(client: AsyncClient, fake: FakeSpeech) -> None:
    async with client.converse(voice="v", conversation_id="c", heard_speaker=1) as conv:
        assert conv.conversation_id == "c"
        assert conv.started.voice == "v"
        await conv.send_audio(CHUNK[:333])
        await conv.send_audio(CHUNK[333:])
        await conv.say("Hel")
        await conv.say("lo.")
        await conv.end_turn(heard_text="hm")
        await conv.finish()
        events = [event async for event in conv]
    kinds = [type(event) for event in events]
    assert kinds == [TurnCompleted, TurnStarted, AudioChunk, TurnCompleted]
    assert isinstance(events[0], TurnCompleted)
    assert events[0].heard
    assert fake.heard == CHUNK
    assert fake.configs[0].heard_speaker == 1


async def test_heard_floats_are_sent_in_the_input_format(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    samples = np.array([0.0, 0.5, -1.0, 1.0, 2.0], np.float32)
    async with client.converse(input_format=AudioFormat("s16", 16_000)) as conv:
        await conv.send_audio(samples)
        await conv.end_turn()
        assert isinstance(await anext(conv), TurnCompleted)
    assert np.frombuffer(fake.heard, "<i2").tolist() == [0, 16384, -32768, 32767, 32767]


async def test_heard_audio_of_any_size_is_cut_into_messages(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    minutes = bytes(5 << 20)
    async with client.converse() as conv:
        await conv.send_audio(minutes)
        await conv.end_turn()
        await anext(conv)
    assert len(fake.heard) == len(minutes)


async def test_barge_in_gives_one_cancelled_terminal_and_keeps_the_stream_open(
    client: AsyncClient,
) -> None:
    async with client.converse() as conv:
        await conv.say("A long story...")
        await conv.end_turn()
        assert isinstance(await anext(conv), TurnStarted)
        assert isinstance(await anext(conv), AudioChunk)
        await conv.cancel(heard_ms=40)
        terminal = await anext(conv)
        assert isinstance(terminal, TurnCompleted)
        assert terminal.finish_reason is FinishReason.CANCELLED
        assert terminal.kept_audio_ms == 40
        await conv.say("Short.")
        await conv.end_turn()
        assert isinstance(await anext(conv), TurnStarted)


async def test_a_timeout_while_waiting_for_an_event_loses_nothing(client: AsyncClient) -> None:
    async with client.converse() as conv:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(conv), 0.1)
        await conv.say("Hi.")
        await conv.end_turn()
        events = [await asyncio.wait_for(anext(conv), 2) for _ in range(3)]
    assert [type(e) for e in events] == [TurnStarted, AudioChunk, TurnCompleted]


async def test_leaving_a_conversation_ends_the_call(client: AsyncClient, fake: FakeSpeech) -> None:
    async with client.converse() as conv:
        waiting = asyncio.create_task(anext(conv, None))
        await asyncio.sleep(0.05)
    assert await asyncio.wait_for(waiting, 2) is None
    await asyncio.wait_for(fake.call_ended.wait(), 2)
    with pytest.raises(errors.FailedPrecondition):
        await conv.say("too late")


async def test_an_error_of_the_conversation_is_raised_to_reader_and_writer(
    client: AsyncClient,
) -> None:
    async with client.converse() as conv:
        await conv.end_turn()
        with pytest.raises(errors.InvalidArgument, match="end_of_turn"):
            await anext(conv)
        with pytest.raises(errors.InvalidArgument, match="end_of_turn"):
            await conv.say("too late")
        with pytest.raises(StopAsyncIteration):
            await anext(conv)


async def test_opening_a_conversation_is_tried_again_when_refused(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: unavailable() if attempt < 3 else None
    async with client.converse() as conv:
        assert conv.conversation_id == "fresh"
    assert fake.attempts == 3


async def test_a_refused_conversation_raises_its_error(
    client: AsyncClient, fake: FakeSpeech
) -> None:
    fake.fail = lambda attempt, sent: errors.invalid("config.voice", "'x' is not allowed")
    with pytest.raises(errors.InvalidArgument, match=r"config\.voice"):
        async with client.converse():
            pass


async def test_the_blocking_client_speaks_retries_and_cancels(
    target: str, fake: FakeSpeech
) -> None:
    def use() -> None:
        with Client(target, retry=QUICK) as client:
            fake.fail = lambda attempt, sent: unavailable() if attempt < 2 else None
            speech = client.synthesize("Hi.")
            np.testing.assert_allclose(speech.read_all(), np.full(3840, 0.5, np.float32))
            assert speech.completed is not None
            assert fake.attempts == 2

            fake.stall_after = 1
            with client.synthesize("Hi.") as stalled:
                assert next(stalled).pcm == CHUNK
            assert list(stalled) == []

            with pytest.raises(errors.DeadlineExceeded):
                client.synthesize("Hi.", timeout_s=0.2).read_pcm()
            with pytest.raises(errors.NotFound):
                client.get_conversation("c9")
            assert client.server_info().model == "fake"
            assert client.list_voices().voices[0].name == "pico"

    await asyncio.to_thread(use)
    for _ in range(100):
        if not fake.open_calls:
            break
        await asyncio.sleep(0.02)
    assert fake.open_calls == 0


async def test_the_blocking_client_converses(target: str, fake: FakeSpeech) -> None:
    def use() -> list[type]:
        with Client(target, retry=QUICK) as client:
            fake.fail = lambda attempt, sent: unavailable() if attempt < 2 else None
            with client.converse() as conv:
                conv.send_audio(CHUNK)
                conv.say("Hello.")
                conv.end_turn()
                kinds = [type(next(conv)) for _ in range(4)]
                conv.finish()
                assert list(conv) == []
            with pytest.raises(errors.FailedPrecondition):
                conv.say("too late")
            return kinds

    kinds = await asyncio.to_thread(use)
    assert kinds == [TurnCompleted, TurnStarted, AudioChunk, TurnCompleted]
    assert fake.heard == CHUNK


def test_the_backoff_grows_is_bounded_and_yields_to_the_server() -> None:
    policy = RetryPolicy(max_attempts=10, initial_backoff_s=0.1, max_backoff_s=1.0, max_wait_s=10.0)
    refused = errors.Unavailable("x", 0.0)
    delays = [policy.delay_s(attempt, refused, None) or 0.0 for attempt in range(1, 10)]
    for attempt, delay in enumerate(delays):
        base = min(1.0, 0.1 * 2**attempt)
        assert base <= delay <= base * 1.2
    assert policy.delay_s(10, refused, None) is None
    asked = policy.delay_s(1, errors.Unavailable("x", 4.0), None)
    assert asked is not None
    assert asked >= 4.0
    assert policy.delay_s(1, errors.Unavailable("x", 11.0), None) is None
    assert policy.delay_s(1, refused, 0.05) is None
    assert policy.delay_s(1, errors.QueueFull("x", 0.0), None) is None


def test_a_context_turn_takes_audio_or_codes_of_the_right_kind() -> None:
    codes = np.zeros((2, 8), np.int64)
    with pytest.raises(ValueError, match="not both"):
        ContextTurn(0, audio=b"x", codes=codes).to_proto()
    with pytest.raises(ValueError, match="integers"):
        ContextTurn(0, codes=codes.astype(np.float32)).to_proto()
    with pytest.raises(ValueError, match=r"-1\.\.0"):
        ContextTurn(0, codes=codes - np.eye(2, 8, dtype=np.int64)).to_proto()
    with pytest.raises(ValueError, match="encoding"):
        AudioFormat("mp3")  # type: ignore[arg-type]


def test_a_call_that_met_the_end_of_its_server_may_be_tried_again() -> None:
    class Ended(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.CANCELLED

    failure = from_status(Ended(), "host:1")
    assert isinstance(failure, errors.Unavailable)
    assert RetryPolicy().delay_s(1, failure, None) is not None


def test_a_chunk_says_which_words_begin_in_it() -> None:
    word = speech_pb2.WordTime(first_char=3, end_char=7, start_ms=80, end_ms=240, word="$3.5")
    message = speech_pb2.SpeechAudio(turn_id="t", words=[word])
    (found,) = AudioChunk.from_proto(message, AudioFormat("s16", 24_000)).words
    assert found == WordTime(3, 7, 80, 240, "$3.5")


def test_word_times_are_asked_for_in_both_calls() -> None:
    settings: dict[str, Any] = {"voice": "", "conversation_id": "", "sampling": requests.sampling()}
    settings |= {"max_audio_ms": 0, "max_lead_ms": 0, "text_options": None}
    for wanted in (False, True):
        said = requests.synthesize_request(
            "Yes.", context=[], speaker=None, format=None, word_times=wanted, **settings
        )
        config = requests.converse_config(
            output_format=None, input_format=None, heard_speaker=None, word_times=wanted, **settings
        ).config
        assert said.word_times is config.word_times is wanted
