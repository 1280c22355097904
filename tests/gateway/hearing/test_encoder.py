"""What all calls together may have encoded, and held, as context."""

import asyncio
import time

import grpc
import pytest

from csm import errors
from csm.errors import asked_wait_s, rpc_error_details
from csm.v1 import common_pb2, speech_pb2
from gateway.commands import ContextEntry
from gateway.hearing.encoder import AudioEncoder
from tests.gateway.calls import synthesize, violations
from tests.gateway.fakes import FRAME_SAMPLES, Stack, stack


def file_turn(num_bytes: int) -> speech_pb2.ContextTurn:
    return speech_pb2.ContextTurn(text="x", audio_file=b"RIFF" + bytes(num_bytes - 4))


def texts(number: int) -> list[speech_pb2.ContextTurn]:
    """A file, and texts of 20,000 bytes each."""
    return [file_turn(300), *[speech_pb2.ContextTurn(text="中" * 4000)] * number]


async def test_files_of_all_calls_together_are_encoded_a_few_at_a_time() -> None:
    async with stack(max_files_encoding=3) as running:
        running.tokenizer.encode_s = 0.05
        await asyncio.gather(
            *(synthesize(running, "Hello.", context=[file_turn(300)] * 3) for _ in range(8))
        )
        assert len(running.tokenizer.files) == 24
        assert running.tokenizer.most_encodes == 3


async def test_the_tokenizer_is_told_how_much_of_a_file_the_model_can_use(running: Stack) -> None:
    await synthesize(running, "Hello.", context=[file_turn(300)])
    assert running.tokenizer.max_samples == [running.generator.max_positions * FRAME_SAMPLES + 1]


async def test_a_file_that_is_too_long_is_named_in_the_callers_words(running: Stack) -> None:
    running.generator.max_positions = 100
    await asyncio.sleep(0.3)  # until the gateway has looked again
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello.", context=[file_turn(20_000)])
    assert list(violations(caught.value)) == ["context[0].audio_file"]


async def test_context_of_all_calls_together_is_bounded_and_the_refusal_says_when() -> None:
    async with stack(max_context_bytes=1 << 20) as running:
        running.tokenizer.encode_s = 2.0
        first = asyncio.create_task(synthesize(running, "Hello.", context=texts(35)))
        while not running.tokenizer.encodes:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await synthesize(running, "Hello.", context=texts(35))
        assert time.monotonic() - began < 1.5
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert asked_wait_s(rpc_error_details(caught.value))
        assert "700301 bytes beside 700301 of other calls; at most 1048576" in (
            caught.value.details() or ""
        )
        # Others are not in the way, and when the first is done there is room again.
        await synthesize(running, "Hello.", context=texts(15))
        await first
        await synthesize(running, "Hello.", context=texts(35))
        await running.settled()


async def test_texts_and_frames_count_as_context_too_and_one_alone_is_let_in() -> None:
    async with stack(max_context_bytes=1 << 20) as running:
        encoder = AudioEncoder(running.service.backends, running.settings)
        words = [ContextEntry("context[0]", 0, "中" * 100_000)] * 2
        codes = [ContextEntry("context[0]", 0, "", codes=bytes(100_000))]
        with encoder.holding(words), pytest.raises(errors.QueueFull), encoder.holding(codes):
            pass
        with encoder.holding(words * 10):
            pass
        with encoder.holding(codes), encoder.holding(codes):
            pass


async def test_a_tokenizer_that_does_not_answer_is_given_up_and_its_place_is_free() -> None:
    async with stack(encode_timeout_s=0.3, max_files_encoding=1) as running:
        encoder = running.service._speech.encoder
        running.tokenizer.encode_s = 30
        with pytest.raises(errors.Unavailable, match=r"did not encode audio within 0\.3 s"):
            await encoder.encode(b"RIFF", "audio")
        running.tokenizer.encode_s = 0
        await encoder.encode(b"RIFF" + bytes(300), "audio")


async def test_a_file_that_gets_no_place_in_time_is_refused() -> None:
    async with stack(encode_timeout_s=0.6, max_files_encoding=1) as running:
        encoder = running.service._speech.encoder
        running.tokenizer.encode_s = 30
        holds = asyncio.create_task(encoder.encode(b"RIFF", "audio"))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(encoder.encode(b"RIFF", "audio", time.monotonic() + 0.1))
        with pytest.raises(errors.DeadlineExceeded, match="waited to be encoded"):
            await late
        with pytest.raises(errors.Unavailable):
            await holds
        # A deadline of the caller's own is the caller's.
        with pytest.raises(errors.ServiceError) as caught:
            await encoder.encode(b"RIFF", "audio", time.monotonic() + 0.1)
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        # Whoever waits when all places are taken for good is refused.
        encoder._places = asyncio.Semaphore(0)
        with pytest.raises(errors.QueueFull, match=r"none was done within 0\.6 s"):
            await encoder.encode(b"RIFF", "audio")


async def test_what_is_odd_about_a_file_of_context_is_in_the_turns_terminal(
    running: Stack,
) -> None:
    running.tokenizer.odd = ["it is clipped", "it is quiet"]
    words = "Many words that nobody says in two frames of eighty milliseconds. " * 3
    context = [
        speech_pb2.ContextTurn(text="Plain."),
        file_turn(300),
        speech_pb2.ContextTurn(text=words, audio_file=b"RIFF" + bytes(200)),
        speech_pb2.ContextTurn(text=words, frames=frames_of(2)),
    ]
    heard = await synthesize(running, "Hello.", context=context)
    told = [(w.field, w.description[:16]) for w in heard.completed[0].warnings]
    assert told == [
        ("context[1].audio_file", "it is clipped"),
        ("context[1].audio_file", "it is quiet"),
        ("context[2].audio_file", "it is clipped"),
        ("context[2].audio_file", "it is quiet"),
        ("context[2].audio_file", "its 198 characte"),
        ("context[3].frames", "its 198 characte"),
    ]
    kinds = {w.kind for w in heard.completed[0].warnings}
    assert kinds == {common_pb2.WARNING_KIND_RECORDING}


async def test_a_text_without_words_is_refused_beside_an_odd_recording(running: Stack) -> None:
    running.tokenizer.odd = ["it is clipped"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "...", context=[file_turn(300)])
    assert list(violations(caught.value)) == ["text"]


@pytest.mark.parametrize("mend", [True, False])
async def test_files_are_mended_as_the_setting_says(mend: bool) -> None:
    async with stack(mend_recordings=mend) as running:
        await synthesize(running, "Hello.", context=[file_turn(300)])
        assert running.tokenizer.mends == [mend]


async def test_a_file_larger_than_a_message_is_refused_with_the_remedy(running: Stack) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello.", context=[file_turn((3 << 20) + 1)])
    (told,) = violations(caught.value).values()
    assert "3145729 bytes; allowed are 1..3145728; encode a larger one by the tokenizer" in told


def frames_of(number: int) -> common_pb2.TokenFrames:
    return common_pb2.TokenFrames(codes=bytes(number * 8 * 2), num_frames=number, num_codebooks=8)
