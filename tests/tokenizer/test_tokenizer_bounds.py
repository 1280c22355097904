"""What one caller can make the service hold or do has a bound, and a status that names it."""

import asyncio
import functools
import io
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

from csm.audio import frames
from csm.errors import asked_wait_s, rpc_error_details
from csm.v1 import common_pb2, tokenizer_pb2
from tests.tokenizer.running_tokenizer import F32, FILE, Tokenizer, chirp, random_codes

EncodeConfig = tokenizer_pb2.EncodeConfig
Encode = tokenizer_pb2.EncodeRequest
Live = tokenizer_pb2.StreamingEncodeRequest
Decode = tokenizer_pb2.StreamingDecodeRequest
HALF_HOUR_S = 1800


@functools.cache
def silence(container: str, seconds: int, rate_hz: int = 8000, **how: Any) -> bytes:
    """A file of silence, as small as its container makes it."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate_hz, 1, format=container, **how) as sound:
        for _ in range(seconds):
            sound.write(np.zeros(rate_hz, np.int16))
    return out.getvalue()


def flac_that_says(total_samples: int, data: bytes) -> bytes:
    """The FLAC with another length in its STREAMINFO; 0: unknown."""
    lying = bytearray(data)
    lying[21] = lying[21] & 0xF0 | total_samples >> 32
    lying[22:26] = struct.pack(">I", total_samples & 0xFFFFFFFF)
    return bytes(lying)


def half_hour(container: str, **how: Any) -> bytes:
    return silence(container, HALF_HOUR_S, **how)


def from_a_pipe() -> bytes:
    """A WAV whose header does not say how long it is."""
    return half_hour("WAV", subtype="PCM_U8")[:40] + b"\xff" * 4 + bytes(8000 * HALF_HOUR_S)


BOMBS: dict[str, Callable[[], bytes]] = {
    "a FLAC": lambda: half_hour("FLAC"),
    "a FLAC of open length": lambda: flac_that_says(0, half_hour("FLAC")),
    "a FLAC that says 24 days": lambda: flac_that_says((1 << 36) - 1, silence("FLAC", 1)),
    "an Ogg": lambda: half_hour("OGG"),
    "an MP3": lambda: half_hour("MP3"),
    "a WAV": lambda: half_hour("WAV", subtype="PCM_U8"),
    "a WAV from a pipe": from_a_pipe,
}


async def messages(*sent: Any, then: float = 0.0) -> AsyncIterator[Any]:
    for message in sent:
        yield message
    await asyncio.sleep(then)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """How a call ends that must fail, whatever it answers before."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call ended well")


def steps(tokenizer: Tokenizer, operation: str) -> float:
    return tokenizer.value("csm_tokenizer_step_seconds_count", operation=operation)


@pytest.mark.parametrize("name", BOMBS)
async def test_a_file_of_half_an_hour_is_refused_at_once_and_costs_the_codec_nothing(
    tokenizer: Tokenizer, name: str
) -> None:
    data = BOMBS[name]()
    chunks = [data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20)]
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tokenizer.encode(FILE, chunks)
    took_s = time.perf_counter() - began
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "audio: is longer than 300 s, the most that is allowed" in str(caught.value.details())
    assert took_s < 2, "half of it is what tracemalloc costs"
    assert peak_bytes - 2 * len(data) < 50 << 20
    assert steps(tokenizer, "encode") == 0
    assert tokenizer.value("csm_tokenizer_rejected_total", reason="too_long") == 1


async def test_a_file_that_holds_more_than_it_says_is_read_as_far_as_it_says(
    tokenizer: Tokenizer,
) -> None:
    answer = await tokenizer.encode(FILE, [flac_that_says(8000, half_hour("FLAC"))])
    assert answer.num_samples == 24_000


@pytest.mark.parametrize("rate_hz", [24_000, 44_100])
async def test_a_caller_says_how_much_audio_it_can_use(tokenizer: Tokenizer, rate_hz: int) -> None:
    samples = chirp(rate_hz * 2, rate_hz)
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate_hz, format="WAV", subtype="FLOAT")
    pcm = common_pb2.AudioFormat(
        encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=rate_hz
    )

    def calls(max_samples: int) -> list[Any]:
        stub = tokenizer.stub
        file = EncodeConfig(format=FILE, max_samples=max_samples)
        raw = EncodeConfig(format=pcm, max_samples=max_samples)
        parts = [samples[at : at + 9999].tobytes() for at in range(0, len(samples), 9999)]
        return [
            stub.Encode(messages(Encode(config=file), Encode(audio=wav.getvalue()))),
            stub.Encode(messages(Encode(config=raw), *(Encode(audio=p) for p in parts))),
            stub.StreamingEncode(messages(Live(config=raw), *(Live(audio=p) for p in parts))),
        ]

    for call in calls(47_999):
        error = await failure(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "audio: is longer than 1.99996 s, the most that" in str(error.details())
    assert tokenizer.value("csm_tokenizer_rejected_total", reason="too_long") == 3
    for max_samples in (48_000, 1 << 63):
        file, raw, live = calls(max_samples)
        assert (await file).num_samples == (await raw).num_samples == 48_000
        assert [a async for a in live][-1].completed.num_samples == 48_000


async def test_a_decoding_that_is_too_long_is_counted(start_tokenizer: Callable[..., Any]) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_audio_s=2)
    with pytest.raises(grpc.aio.AioRpcError, match="26 is too many; at most 25"):
        await tokenizer.decode(random_codes(26))
    assert tokenizer.value("csm_tokenizer_rejected_total", reason="too_long") == 1


async def test_no_more_bytes_of_files_are_held_than_are_allowed(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_files_bytes=100_000)
    one = tokenizer.stub.Encode()
    await one.write(Encode(config=EncodeConfig(format=FILE)))
    await one.write(Encode(audio=bytes(60_000)))
    await asyncio.sleep(0.1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tokenizer.encode(FILE, [bytes(60_000)])
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert asked_wait_s(rpc_error_details(caught.value)) == 1.0
    assert tokenizer.value("csm_tokenizer_rejected_total", reason="files_full") == 1
    one.cancel()
    await asyncio.sleep(0.1)
    with pytest.raises(grpc.aio.AioRpcError, match="is not audio"):
        await tokenizer.encode(FILE, [bytes(60_000)])


async def test_calls_that_only_stand_open_hold_no_codec_state(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_streams=1, stream_wait_s=0)
    stub = tokenizer.stub
    almost = chirp(1919).tobytes()
    open_calls: list[tuple[Any, list[Any]]] = [
        (stub.StreamingEncode(), [Live(config=EncodeConfig(format=F32))]),
        (stub.StreamingEncode(), [Live(config=EncodeConfig(format=F32)), Live(audio=almost)]),
        (stub.Encode(), [Encode(config=EncodeConfig(format=FILE)), Encode(audio=b"RIFF")]),
        (stub.Encode(), [Encode(config=EncodeConfig(format=F32)), Encode(audio=almost)]),
        (stub.StreamingDecode(), [Decode(config=tokenizer_pb2.StreamingDecodeConfig())]),
    ]
    for call, sent in open_calls:
        for message in sent:
            await call.write(message)
    await asyncio.sleep(0.1)
    assert tokenizer.active() == 0
    assert (await tokenizer.encode(F32, [chirp(5000).tobytes()])).num_samples == 5000
    assert len(await tokenizer.decode(random_codes(2))) == 2 * 1920 * 4
    for call, _ in open_calls:
        call.cancel()


@pytest.mark.parametrize("method", ["Encode", "StreamingEncode", "StreamingDecode"])
async def test_a_call_that_says_nothing_is_ended(
    start_tokenizer: Callable[..., Any], method: str
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(first_message_s=0.2, max_idle_s=0.4)
    config: Any = {
        "Encode": Encode(config=EncodeConfig(format=F32)),
        "StreamingEncode": Live(config=EncodeConfig(format=F32)),
        "StreamingDecode": Decode(config=tokenizer_pb2.StreamingDecodeConfig()),
    }[method]
    data: Any = {
        "Encode": Encode(audio=chirp(1920 * 3).tobytes()),
        "StreamingEncode": Live(audio=chirp(1920 * 3).tobytes()),
        "StreamingDecode": Decode(frames=frames.pack(random_codes(3))),
    }[method]
    stub = getattr(tokenizer.stub, method)
    for sent, says in (
        ([], "none came within 0.2 s (first_message_s)"),
        ([config], "no message came for 0.4 s (max_idle_s)"),
        ([config, data], "no message came for 0.4 s (max_idle_s)"),
    ):
        began = time.monotonic()
        error = await failure(stub(messages(*sent, then=20)))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert says in str(error.details())
        assert time.monotonic() - began < 5
        assert tokenizer.active() == 0


async def test_a_call_that_stands_open_is_told_when_the_service_stops(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer()
    call = tokenizer.stub.StreamingEncode()
    await call.write(Live(config=EncodeConfig(format=F32)))
    await asyncio.sleep(0.1)
    stopping = asyncio.create_task(tokenizer.host.stop(finish_s=0.1))
    error = await failure(call)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in str(error.details())
    await stopping


async def test_what_is_accepted_while_all_streams_are_in_use_is_decoded_in_its_turn(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_streams=2)
    taken = [await tokenizer.service.pool.acquire("decode") for _ in range(2)]
    codes = random_codes(3)
    waiting = [
        asyncio.create_task(call)
        for call in (tokenizer.decode(codes), tokenizer.decode_live([codes, codes]))
    ]
    await asyncio.sleep(0.2)
    assert not any(task.done() for task in waiting)
    for stream in taken:
        stream.close()
    assert [len(await task) for task in waiting] == [3 * 1920 * 4, 6 * 1920 * 4]


async def test_a_stream_that_waits_in_vain_is_told_when_to_come_back(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(
        max_streams=1, stream_wait_s=0.3, max_waiting_streams=1
    )
    taken = await tokenizer.service.pool.acquire("encode")
    file = silence("WAV", 1)
    first = asyncio.create_task(tokenizer.encode(FILE, [file]))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    for late, says, within_s in (
        (tokenizer.encode(FILE, [file]), "1 wait", 0.2),
        (first, "none was free within 0.3 s (stream_wait_s)", 1.0),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await late
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert says in str(caught.value.details())
        assert asked_wait_s(rpc_error_details(caught.value)) == 1.0
        assert time.monotonic() - began < within_s
    taken.close()
    assert (await tokenizer.encode(FILE, [file])).num_samples == 24_000


WIDE = common_pb2.AudioFormat(
    encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=192_000, channels=6
)


async def test_a_client_that_reads_nothing_costs_a_bounded_number_of_bytes(
    tokenizer: Tokenizer,
) -> None:
    """A frame is 369 kB at this format: what the client sent would be 1.4 GB of audio."""
    sent_frames = 0
    block = random_codes(32)

    async def endless() -> AsyncIterator[Any]:
        nonlocal sent_frames
        yield Decode(config=tokenizer_pb2.StreamingDecodeConfig(format=WIDE))
        while sent_frames < 4000:
            yield Decode(frames=frames.pack(block))
            sent_frames += len(block)

    def made() -> float:
        seconds = tokenizer.value("csm_tokenizer_audio_seconds_total", operation="decode")
        return round(seconds * 12.5)

    tracemalloc.start()
    call = tokenizer.stub.StreamingDecode(endless())
    assert 0 < len((await call.read()).audio) <= 1920 * 8 * 6 * 4
    before = -1.0
    while before != made():
        before = made()
        await asyncio.sleep(0.5)
    held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made() < 64
    assert held_bytes < 4 << 20
    assert peak_bytes < 16 << 20
    taken = tokenizer.registry.get_sample_value(
        "grpc_server_msg_received_total",
        {
            "grpc_service": "csm.v1.TokenizerService",
            "grpc_method": "StreamingDecode",
            "grpc_type": "bidi_stream",
        },
    )
    assert taken is not None
    assert taken < 10, "its input is left where it is"
    call.cancel()
    await tokenizer.until_idle()


async def test_audio_that_comes_faster_than_the_codec_waits_where_it_is(
    start_tokenizer: Callable[..., Any],
) -> None:
    """A MiB of 8 bits at 8 kHz is 12.6 MB of samples; of three, little is converted ahead."""
    tokenizer: Tokenizer = await start_tokenizer(max_streams=1)
    form = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_PCM_U8, sample_rate_hz=8000)
    tracemalloc.start()
    call = tokenizer.stub.StreamingEncode()
    await call.write(Live(config=EncodeConfig(format=form)))
    for _ in range(3):
        await call.write(Live(audio=b"\x80" * (1 << 20)))
        await asyncio.sleep(0.3)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    call.cancel()
    assert peak_bytes < 12 << 20
    await tokenizer.until_idle()


@pytest.mark.parametrize(
    ("native", "dtype", "says"),
    [
        ("required", "bfloat16", "bfloat16"),
        ("required", "float32", "float32"),
        ("off", "bfloat16", "float32"),
    ],
)
async def test_the_info_says_what_decodes(
    start_tokenizer: Callable[..., Any], native: str, dtype: str, says: str
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(native=native, dtype=dtype)
    info = await tokenizer.stub.GetTokenizerInfo(tokenizer_pb2.GetTokenizerInfoRequest())
    assert info.dtype == says
