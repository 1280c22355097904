"""Every bad input gets an error that names field, value and range, and harms nobody."""

import io
import struct
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile
from google.rpc import error_details_pb2

from csm.audio import frames
from csm.errors import rpc_error_details
from csm.v1 import common_pb2, tokenizer_pb2
from tests.pico import BOOKS, CODEBOOK_SIZE
from tests.tokenizer.running_tokenizer import F32, FILE, Tokenizer, chirp, random_codes

Encode = tokenizer_pb2.EncodeRequest
Live = tokenizer_pb2.StreamingEncodeRequest
Decode = tokenizer_pb2.StreamingDecodeRequest


def wav(samples: np.ndarray, rate_hz: int = 24000, subtype: str = "PCM_16") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format="WAV", subtype=subtype)
    return out.getvalue()


def form(encoding: int = 0, rate_hz: int = 0, channels: int = 0) -> common_pb2.AudioFormat:
    return common_pb2.AudioFormat(
        encoding=encoding,  # type: ignore[arg-type]
        sample_rate_hz=rate_hz,
        channels=channels,
    )


async def messages(requests: Iterable[Any]) -> AsyncIterator[Any]:
    for request in requests:
        yield request


async def outcome(call: Any) -> None:
    """Waits for a call's one answer, or for all of them."""
    if isinstance(call, AsyncIterable):
        async for _ in call:
            pass
    else:
        await call


def refused(error: grpc.RpcError, field: str, says: str) -> None:
    """The status is INVALID_ARGUMENT with one violation, of that field."""
    call: Any = error
    assert call.code() is grpc.StatusCode.INVALID_ARGUMENT, call.details()
    (bad,) = [d for d in rpc_error_details(error) if isinstance(d, error_details_pb2.BadRequest)]
    (violation,) = bad.field_violations
    assert violation.field == field
    assert says in violation.description
    assert violation.description in call.details()


async def unharmed(tokenizer: Tokenizer) -> None:
    """No row is lost, and a good call still works."""
    await tokenizer.until_idle()
    assert len(await tokenizer.decode(random_codes(2))) == 2 * 1920 * 4


GOOD = wav(chirp(8000))
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty (0 bytes); allowed are WAV, FLAC, Ogg, MP3"),
    "not audio": (b"Once upon a time", "is not audio (is text)"),
    "truncated": (GOOD[:5000], "declares 16000 bytes of samples, 4956 are there"),
    "cut within the header": (GOOD[:30], "is truncated"),
    "a lying header": (
        GOOD[:40] + struct.pack("<I", 1 << 29) + GOOD[44:],
        "declares 536870912 bytes of samples, 16000 are there",
    ),
    "zero frames": (wav(np.zeros(0)), "has zero frames; allowed is at least 1"),
    "NaN": (wav(np.array([0.0, np.nan]), subtype="FLOAT"), "sample 1 is nan; allowed are finite"),
    "768 kHz": (wav(chirp(99), 768_000), "768000 Hz is not allowed; allowed are 8000..192000 Hz"),
    "7 channels": (wav(np.zeros((99, 7))), "7 channels are not allowed; allowed are 1..6"),
}


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file(tokenizer: Tokenizer, name: str) -> None:
    data, says = BAD_FILES[name]
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.encode(FILE, [data])
    refused(caught.value, "audio", says)
    await unharmed(tokenizer)


@pytest.mark.parametrize(
    ("config", "chunks", "field", "says"),
    [
        (form(0, 7000), [], "config.format.sample_rate_hz", "7000 Hz is not allowed"),
        (form(0, 768_000), [], "config.format.sample_rate_hz", "allowed are 8000..192000"),
        (form(0, 0, 7), [], "config.format.channels", "7 channels are not allowed"),
        (form(77), [], "config.format.encoding", "77 is not allowed here"),
        (F32, [np.array([0, np.inf], "<f4").tobytes()], "audio", "sample 1 is inf"),
        (F32, [b"\0" * 5], "audio", "ends with 1 bytes over; allowed is a multiple of 4"),
        (F32, [b"\0" * ((1 << 20) + 1)], "audio", "a message has 1048577 bytes"),
    ],
)
async def test_a_bad_format_or_bad_pcm(
    tokenizer: Tokenizer,
    config: common_pb2.AudioFormat,
    chunks: list[bytes],
    field: str,
    says: str,
) -> None:
    for call in (tokenizer.encode, tokenizer.encode_live):
        with pytest.raises(grpc.RpcError) as caught:
            await call(config, chunks)
        refused(caught.value, field, says)
    await unharmed(tokenizer)


async def test_a_recording_of_no_samples(tokenizer: Tokenizer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.encode(F32, [])
    refused(caught.value, "audio", "has zero samples; allowed is at least 1")


async def test_a_file_where_only_pcm_is_allowed(tokenizer: Tokenizer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.encode_live(FILE, [])
    refused(caught.value, "config.format.encoding", "AUDIO_ENCODING_FILE is not allowed here")
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.decode(random_codes(1), FILE)
    refused(caught.value, "format.encoding", "AUDIO_ENCODING_FILE is not allowed here")
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.decode_live([], FILE)
    refused(caught.value, "config.format.encoding", "AUDIO_ENCODING_FILE is not allowed here")


CONFIG = {
    "Encode": Encode(config=tokenizer_pb2.EncodeConfig(format=F32)),
    "StreamingEncode": Live(config=tokenizer_pb2.EncodeConfig(format=F32)),
    "StreamingDecode": Decode(config=tokenizer_pb2.StreamingDecodeConfig(format=F32)),
}
DATA = {
    "Encode": Encode(audio=b"\0" * 8),
    "StreamingEncode": Live(audio=b"\0" * 8),
    "StreamingDecode": Decode(frames=frames.pack(random_codes(1))),
}


@pytest.mark.parametrize("method", CONFIG)
@pytest.mark.parametrize("case", ["twice", "never", "late", "empty first", "empty later"])
async def test_a_config_that_comes_twice_or_never(
    tokenizer: Tokenizer, method: str, case: str
) -> None:
    config, data = CONFIG[method], DATA[method]
    empty = type(config)()
    sent, field, says = {
        "twice": ([config, data, config], "config", "came twice"),
        "never": ([], "config", "the first message must be the config, none came"),
        "late": ([data], "config", "the first message must be the config,"),
        "empty first": ([empty], "config", "an empty one came"),
        "empty later": ([config, data, empty], "request", "is empty; after the config only"),
    }[case]
    call = getattr(tokenizer.stub, method)(messages(sent))
    with pytest.raises(grpc.RpcError) as caught:
        await outcome(call)
    refused(caught.value, field, says)
    await unharmed(tokenizer)


def token_frames(**changes: Any) -> common_pb2.TokenFrames:
    message = frames.pack(random_codes(3))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


OUT_OF_RANGE = np.full((3, BOOKS), CODEBOOK_SIZE - 1, np.uint16)
OUT_OF_RANGE[2, 5] = CODEBOOK_SIZE


@pytest.mark.parametrize(
    ("bad", "field", "says"),
    [
        (token_frames(num_codebooks=9), "frames.num_codebooks", "9 is not allowed; this model"),
        (token_frames(num_codebooks=0), "frames.num_codebooks", "0 is not allowed"),
        (
            token_frames(num_frames=4),
            "frames.codes",
            f"{6 * BOOKS} bytes; 4 frames of {BOOKS} codes take {8 * BOOKS}",
        ),
        (token_frames(codes=b"\0" * 41), "frames.codes", "41 bytes"),
        (
            frames.pack(OUT_OF_RANGE),
            "frames.codes",
            f"code {CODEBOOK_SIZE} at frame 2, codebook 5; allowed are 0..{CODEBOOK_SIZE - 1}",
        ),
    ],
)
async def test_bad_frames(
    tokenizer: Tokenizer, bad: common_pb2.TokenFrames, field: str, says: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        async for _ in tokenizer.stub.Decode(tokenizer_pb2.DecodeRequest(frames=bad)):
            pass
    refused(caught.value, field, says)
    sent = [CONFIG["StreamingDecode"], DATA["StreamingDecode"], Decode(frames=bad)]
    with pytest.raises(grpc.RpcError) as caught:
        async for _ in tokenizer.stub.StreamingDecode(messages(sent)):
            pass
    refused(caught.value, field, says)
    await unharmed(tokenizer)


async def test_no_frames_too_many_frames_and_a_cut_beyond_the_end(tokenizer: Tokenizer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.decode(random_codes(0))
    refused(caught.value, "frames.num_frames", "0 is not allowed")
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.decode(random_codes(3751))
    refused(caught.value, "frames.num_frames", "3751 is too many; at most 3750")
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.decode_live([random_codes(1025)])
    refused(caught.value, "frames.num_frames", "1025 is too many; at most 1024")
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.decode(random_codes(2), num_samples=3841)
    refused(caught.value, "num_samples", "3841 is more than the frames' 3840 samples")
    await unharmed(tokenizer)


async def test_too_long_a_recording_and_too_large_a_file(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_audio_s=2, max_file_bytes=150_000)
    second = chirp(24000).tobytes()
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.encode(F32, [second, second, second[:4]])
    refused(caught.value, "audio", "is longer than 2 s, the most that is allowed")
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.encode(FILE, [wav(chirp(60_000))])
    refused(caught.value, "audio", "is longer than 2 s, the most that is allowed")
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.encode(FILE, [bytes(150_000), b"\0"])
    refused(caught.value, "audio", "is a file of more than 150000 bytes")
    assert tokenizer.value("csm_tokenizer_rejected_total", reason="too_long") == 3
    assert (await tokenizer.encode(F32, [second, second])).num_samples == 48_000
    _, completed = await tokenizer.encode_live(F32, [second, second, second])
    assert completed.num_samples == 72_000
    await unharmed(tokenizer)


async def test_streams_that_fail_do_not_touch_those_that_run(tokenizer: Tokenizer) -> None:
    codes = random_codes(12)
    alone = await tokenizer.decode(codes)
    call = tokenizer.stub.StreamingDecode()
    await call.write(CONFIG["StreamingDecode"])
    heard = b""
    for index in range(12):
        await call.write(Decode(frames=frames.pack(codes[index : index + 1])))
        heard += (await call.read()).audio
        with pytest.raises(grpc.RpcError):
            await tokenizer.decode_live([random_codes(1), OUT_OF_RANGE])
        with pytest.raises(grpc.RpcError):
            await tokenizer.encode_live(F32, [np.full(4000, np.nan, "<f4").tobytes()])
    await call.done_writing()
    np.testing.assert_allclose(np.frombuffer(heard, "<f4"), np.frombuffer(alone, "<f4"), atol=1e-5)


async def test_a_sender_in_full_flow_gets_the_status_and_not_one_of_its_own_making(
    start_tokenizer: Callable[..., Any],
) -> None:
    """grpc.aio puts INTERNAL over the status of a call that ends while it writes."""
    tokenizer: Tokenizer = await start_tokenizer(max_streams=1, stream_wait_s=0)
    nan = [np.full(4000, np.nan, "<f4").tobytes()] + [bytes(16_000)] * 50
    for _ in range(10):
        for call in (tokenizer.encode, tokenizer.encode_live):
            with pytest.raises(grpc.RpcError) as caught:
                await call(F32, nan)
            refused(caught.value, "audio", "sample 0 is nan")
        with pytest.raises(grpc.RpcError) as caught:
            await tokenizer.encode_live(FILE, [bytes(1000)] * 20)
        refused(caught.value, "config.format.encoding", "AUDIO_ENCODING_FILE")
    taken = await tokenizer.service.pool.acquire("decode")
    for _ in range(10):
        with pytest.raises(grpc.RpcError) as caught:
            await tokenizer.decode_live([random_codes(3)] * 100)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    taken.close()
    await unharmed(tokenizer)


async def test_absurdly_loud_audio_leaves_nothing_in_the_row_of_the_next_stream(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_streams=1)
    good = chirp(24_000).tobytes()
    before = await tokenizer.encode(F32, [good])
    await tokenizer.encode(F32, [(chirp(24_000) * np.float32(1e38)).tobytes()])
    after = await tokenizer.encode(F32, [good])
    assert after.frames.codes == before.frames.codes
