"""TokenizerService over real gRPC, with the voice of the repository."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from prometheus_client import generate_latest

from csm.audio import frames
from csm.audio.files import read_audio
from csm.audio.resample import resample
from csm.errors import FailedPrecondition
from csm.v1 import common_pb2, tokenizer_pb2
from services.tokenizer import codec
from tests.pico import BOOKS, CODEBOOK_SIZE
from tests.tokenizer.running_tokenizer import F32, FILE, Tokenizer, chirp, random_codes, unpacked

S16 = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_PCM_S16LE)
# One frame batched with others, or eight at once, sums in another order.
ROUNDING = 1e-5


def floats(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, "<f4")


def decoded(pico: codec.Mimi, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    """What the codec itself makes of codes [F, codebooks], at once."""
    audio = pico.decode(torch.from_numpy(codes.astype(np.int64)).T[None]).numpy().reshape(-1)
    # Random codes are loud; PCM is clipped, floats too.
    return np.clip(audio, -1, 1)


def encoded(pico: codec.Mimi, samples: NDArray[np.float32]) -> NDArray[np.uint16]:
    """What the codec itself makes of samples, at once: codes [F, codebooks]."""
    return pico.encode(torch.from_numpy(samples)[None, None])[0].T.numpy().astype(np.uint16)


def cut(data: bytes, *sizes: int) -> Iterator[bytes]:
    """Bytes in chunks of sizes that repeat, at whatever place that is."""
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at : at + size]
        at, turn = at + size, turn + 1


async def test_the_info_says_what_the_codec_is(tokenizer: Tokenizer) -> None:
    info = await tokenizer.stub.GetTokenizerInfo(tokenizer_pb2.GetTokenizerInfoRequest())
    assert (info.model, info.sample_rate_hz, info.frame_samples) == ("pico", 24000, 1920)
    assert (info.frame_rate_hz, info.num_codebooks, info.codebook_size) == (
        12.5,
        BOOKS,
        CODEBOOK_SIZE,
    )
    assert (info.max_streams, info.max_audio_ms) == (24, 300_000)
    assert len(info.digest) == 64
    assert info.dtype == "float32"


async def test_a_whole_decoding_equals_the_codec_and_starts_after_one_frame(
    tokenizer: Tokenizer, pico: codec.Mimi
) -> None:
    codes = random_codes(100)
    answers: list[tokenizer_pb2.DecodeResponse] = []
    audio = floats(await tokenizer.decode(codes, each=answers.append))
    np.testing.assert_allclose(audio, decoded(pico, codes), atol=ROUNDING)
    assert len(answers[0].audio) == 1920 * 4
    ends = np.cumsum([len(a.audio) // 4 for a in answers]).tolist()
    assert [a.first_sample for a in answers] == [0, *ends[:-1]]


@pytest.mark.parametrize("sizes", [(1,), (3, 1, 7), (40,)])
async def test_a_streamed_decoding_equals_the_one_shot(
    tokenizer: Tokenizer, pico: codec.Mimi, sizes: tuple[int, ...]
) -> None:
    codes = random_codes(160)
    blocks, at, turn = [], 0, 0
    while at < len(codes):
        blocks.append(codes[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    streamed = floats(await tokenizer.decode_live(blocks))
    np.testing.assert_allclose(streamed, decoded(pico, codes), atol=ROUNDING)
    # In 16 bits a rounding error may tip a sample by one step; a seam would be hundreds.
    once = np.frombuffer(await tokenizer.decode(codes, S16), "<i2").astype(int)
    again = np.frombuffer(await tokenizer.decode_live(blocks, S16), "<i2").astype(int)
    assert np.abs(once - again).max() <= 1


async def test_the_first_audio_comes_after_the_first_frame(tokenizer: Tokenizer) -> None:
    codes = random_codes(2)
    call = tokenizer.stub.StreamingDecode()
    await call.write(
        tokenizer_pb2.StreamingDecodeRequest(config=tokenizer_pb2.StreamingDecodeConfig())
    )
    for index in range(2):
        await call.write(
            tokenizer_pb2.StreamingDecodeRequest(frames=frames.pack(codes[index : index + 1]))
        )
        answer = await asyncio.wait_for(call.read(), 5)
        assert len(answer.audio) == 1920 * 2
        assert (answer.first_sample, answer.num_frames) == (1920 * index, index + 1)
    await call.done_writing()
    assert await call.read() == grpc.aio.EOF  # type: ignore[attr-defined]
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 44100, 48000, 192000])
async def test_another_output_rate_is_resampled_without_a_seam(
    tokenizer: Tokenizer, pico: codec.Mimi, rate_hz: int
) -> None:
    codes = random_codes(25)
    form = common_pb2.AudioFormat(
        encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=rate_hz, channels=2
    )
    stereo = floats(await tokenizer.decode_live([codes[:1], codes[1:7], codes[7:]], form))
    left, right = stereo.reshape(-1, 2).T
    assert np.array_equal(left, right)
    expected = np.clip(resample(decoded(pico, codes), 24000, rate_hz), -1, 1)
    np.testing.assert_allclose(left, expected, atol=1e-4)


async def test_a_recording_is_encoded_as_the_codec_does(
    tokenizer: Tokenizer, pico: codec.Mimi
) -> None:
    samples = chirp(24000 * 8 + 777)
    answer = await tokenizer.encode(F32, cut(samples.tobytes(), 9999, 5, 100_001))
    assert answer.num_samples == len(samples)
    assert answer.sample_rate_hz == 24000
    codes = unpacked(answer.frames)
    expected = encoded(pico, samples)
    assert codes.shape == expected.shape == (101, BOOKS)
    # Two codewords may be equally near; then rounding, and so the chunking, decides.
    assert (codes == expected).mean() > 0.995


@pytest.mark.parametrize("num_samples", [1, 1919, 1920, 1921, 50_000])
async def test_a_round_trip_keeps_the_length_to_the_sample(
    tokenizer: Tokenizer, num_samples: int
) -> None:
    samples = chirp(num_samples)
    answer = await tokenizer.encode(F32, [samples.tobytes()])
    codes = unpacked(answer.frames)
    assert len(codes) == -(-num_samples // 1920)
    audio = await tokenizer.decode(codes, num_samples=answer.num_samples)
    assert len(floats(audio)) == num_samples
    assert len(floats(await tokenizer.decode(codes))) == len(codes) * 1920


@pytest.mark.parametrize("num_samples", [0, 1, 1920, 40_000])
async def test_live_encoding_gives_frames_and_then_its_terminal(
    tokenizer: Tokenizer, pico: codec.Mimi, num_samples: int
) -> None:
    samples = chirp(num_samples)
    codes, completed = await tokenizer.encode_live(F32, cut(samples.tobytes(), 1001, 4000))
    assert (completed.num_samples, completed.num_frames) == (num_samples, len(codes))
    assert len(codes) == -(-num_samples // 1920)
    if num_samples:
        assert (codes == encoded(pico, samples)).mean() > 0.99


async def test_a_live_frame_comes_as_soon_as_it_is_complete(tokenizer: Tokenizer) -> None:
    samples = chirp(1920 * 2)
    call = tokenizer.stub.StreamingEncode()
    config = tokenizer_pb2.EncodeConfig(format=F32)
    await call.write(tokenizer_pb2.StreamingEncodeRequest(config=config))
    for index in range(2):
        chunk = samples[1920 * index : 1920 * (index + 1)].tobytes()
        await call.write(tokenizer_pb2.StreamingEncodeRequest(audio=chunk))
        answer = await asyncio.wait_for(call.read(), 5)
        assert (answer.frames.num_frames, answer.frames.first_frame) == (1, index)
    call.cancel()


async def test_many_streams_at_once_equal_each_alone(
    tokenizer: Tokenizer, pico: codec.Mimi
) -> None:
    async def one(seed: int) -> None:
        codes = random_codes(20 + 7 * seed, seed)
        blocks = [codes[at : at + 1 + seed % 3] for at in range(0, len(codes), 1 + seed % 3)]
        audio = await tokenizer.decode_live(blocks, pause_s=0.001 * seed)
        np.testing.assert_allclose(floats(audio), decoded(pico, codes), atol=ROUNDING)
        samples = chirp(20_000 + 3000 * seed, seed=seed)
        codes, _ = await tokenizer.encode_live(F32, cut(samples.tobytes(), 5000 + 301 * seed))
        assert (codes == encoded(pico, samples)).mean() > 0.99

    await asyncio.gather(*(one(seed) for seed in range(12)))
    sizes = {
        name: tokenizer.value(f"csm_tokenizer_batch_size_{name}", operation="decode")
        for name in ("sum", "count")
    }
    assert sizes["sum"] > 1.2 * sizes["count"], "streams share steps"
    await tokenizer.until_idle()


async def test_a_cancelled_call_frees_its_row_and_others_go_on(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_streams=2, stream_wait_s=0)
    codes = random_codes(30)

    async def open_stream() -> Any:
        call = tokenizer.stub.StreamingDecode()
        config = tokenizer_pb2.StreamingDecodeConfig(format=F32)
        await call.write(tokenizer_pb2.StreamingDecodeRequest(config=config))
        await call.write(tokenizer_pb2.StreamingDecodeRequest(frames=frames.pack(codes[:2])))
        assert (await call.read()).audio
        return call

    one, two = await open_stream(), await open_stream()
    assert tokenizer.value("csm_tokenizer_sessions_active", operation="decode") == 2
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.decode(codes)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert tokenizer.value("csm_tokenizer_rejected_total", reason="streams_full") == 1
    one.cancel()
    async with asyncio.timeout(2):
        while tokenizer.active() > 1:
            await asyncio.sleep(0.005)
    assert len(floats(await tokenizer.decode(codes))) == 30 * 1920
    two.cancel()
    await tokenizer.until_idle()


async def test_a_call_without_frames_takes_no_stream_from_others(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_streams=1)
    codes = random_codes(5)
    waits = tokenizer.stub.StreamingDecode()
    config = tokenizer_pb2.StreamingDecodeConfig(format=F32)
    await waits.write(tokenizer_pb2.StreamingDecodeRequest(config=config))
    await asyncio.sleep(0.1)
    assert tokenizer.active() == 0
    assert len(floats(await tokenizer.decode(codes))) == 5 * 1920
    await waits.write(tokenizer_pb2.StreamingDecodeRequest(frames=frames.pack(codes[:2])))
    assert (await waits.read()).audio
    assert tokenizer.active() == 1
    await waits.done_writing()
    await tokenizer.until_idle()
    silent = tokenizer.stub.StreamingDecode()
    await silent.write(tokenizer_pb2.StreamingDecodeRequest(config=config))
    await silent.done_writing()
    assert await silent.read() is grpc.aio.EOF
    assert await silent.code() is grpc.StatusCode.OK


async def test_a_deadline_that_passes_frees_the_row(tokenizer: Tokenizer) -> None:
    call = tokenizer.stub.StreamingDecode(timeout=0.2)
    config = tokenizer_pb2.StreamingDecodeConfig(format=F32)
    await call.write(tokenizer_pb2.StreamingDecodeRequest(config=config))
    with pytest.raises(grpc.RpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await tokenizer.until_idle()


async def test_a_reader_that_stands_still_holds_up_nobody_and_loses_nothing(
    tokenizer: Tokenizer, pico: codec.Mimi
) -> None:
    codes = random_codes(400, 1)
    slow = aiter(
        tokenizer.stub.Decode(tokenizer_pb2.DecodeRequest(frames=frames.pack(codes), format=F32))
    )
    first = await anext(slow)
    other = random_codes(50, 2)
    audio = floats(await asyncio.wait_for(tokenizer.decode(other), 20))
    np.testing.assert_allclose(audio, decoded(pico, other), atol=ROUNDING)
    rest = [answer.audio async for answer in slow]
    whole = floats(first.audio + b"".join(rest))
    np.testing.assert_allclose(whole, decoded(pico, codes), atol=ROUNDING)


async def test_metrics_tell_of_both_directions_and_return_to_zero(tokenizer: Tokenizer) -> None:
    answer = await tokenizer.encode(F32, [chirp(19200).tobytes()])
    codes = unpacked(answer.frames)
    await tokenizer.decode(codes)
    await tokenizer.until_idle()
    for operation in ("encode", "decode"):
        assert tokenizer.value(
            "csm_tokenizer_audio_seconds_total", operation=operation
        ) == pytest.approx(0.8)
        for name in ("first_chunk_seconds", "payload_bytes"):
            assert tokenizer.value(f"csm_tokenizer_{name}_count", operation=operation) == 1
        assert tokenizer.value("csm_tokenizer_payload_bytes_sum", operation=operation) == 76_800
    assert b"csm_tokenizer_step_seconds_bucket" in generate_latest(tokenizer.registry)


async def test_it_is_ready_when_warm_and_alive_throughout(tokenizer: Tokenizer) -> None:
    health = health_pb2_grpc.HealthStub(tokenizer.channel)
    for service in ("", "csm.v1.TokenizerService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_drain_ends_open_streams_with_unavailable(
    start_tokenizer: Callable[..., Any],
) -> None:
    tokenizer: Tokenizer = await start_tokenizer()
    call = tokenizer.stub.StreamingDecode()
    config = tokenizer_pb2.StreamingDecodeConfig(format=F32)
    await call.write(tokenizer_pb2.StreamingDecodeRequest(config=config))
    await call.write(tokenizer_pb2.StreamingDecodeRequest(frames=frames.pack(random_codes(1))))
    assert (await call.read()).audio
    stopping = asyncio.create_task(tokenizer.host.stop(finish_s=0.1))
    with pytest.raises(grpc.RpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in str(caught.value.details())
    await stopping
    assert not tokenizer.service.pool.alive(60)


def spoken(tmp_path: Path) -> bytes:
    """Speech from another program at another rate; a sweep where none is installed."""
    path = tmp_path / "speech.wav"
    text = "The quick brown fox jumps over the lazy dog."
    if flite := shutil.which("flite"):
        subprocess.run([flite, "-t", text, "-o", str(path)], check=True)
        return path.read_bytes()
    if espeak := shutil.which("espeak-ng"):
        return subprocess.run([espeak, "--stdout", text], check=True, capture_output=True).stdout
    from csm.audio.files import write_audio

    write_audio(path, chirp(44100 * 3, 44100), 44100)
    return path.read_bytes()


async def test_speech_from_elsewhere_goes_in_and_comes_out(
    tokenizer: Tokenizer, pico: codec.Mimi, tmp_path: Path
) -> None:
    data = spoken(tmp_path)
    samples, rate_hz = read_audio(data, max_seconds=60)
    assert rate_hz != 24000
    heard = resample(samples, rate_hz, 24000)
    answer = await tokenizer.encode(FILE, cut(data, 4096))
    assert answer.num_samples == len(heard)
    codes = unpacked(answer.frames)
    assert (codes == encoded(pico, heard)).mean() > 0.99
    audio = floats(await tokenizer.decode(codes, num_samples=answer.num_samples))
    assert len(audio) == len(heard)
    # What comes out is loud where what went in was loud.
    loudness = [
        np.sqrt(np.square(x[: len(x) // 1920 * 1920].reshape(-1, 1920)).mean(axis=1))
        for x in (heard, audio)
    ]
    assert np.corrcoef(loudness[0], loudness[1])[0, 1] > 0.8


async def test_a_minute_of_audio_leaves_live_streams_their_pace(
    tokenizer: Tokenizer,
) -> None:
    """A whole recording goes through in short blocks; a live stream beside it keeps moving."""

    async def recording() -> None:
        second = (chirp(24000) * 32767).astype("<i2").tobytes()
        answer = await tokenizer.encode(S16, (second for _ in range(60)))
        assert answer.num_samples == 60 * 24000

    async def live() -> AsyncIterator[int]:
        codes = random_codes(20)
        call = tokenizer.stub.StreamingDecode()
        config = tokenizer_pb2.StreamingDecodeConfig(format=F32)
        await call.write(tokenizer_pb2.StreamingDecodeRequest(config=config))
        for index in range(20):
            frame = frames.pack(codes[index : index + 1])
            await call.write(tokenizer_pb2.StreamingDecodeRequest(frames=frame))
            before = steps("encode")
            assert (await call.read()).num_frames == index + 1
            yield int(steps("encode") - before)
        await call.done_writing()

    def steps(operation: str) -> float:
        return tokenizer.value("csm_tokenizer_step_seconds_count", operation=operation)

    running = asyncio.create_task(recording())
    while not steps("encode"):
        await asyncio.sleep(0.005)
    between = [count async for count in live()]
    assert max(between) <= 4, f"encoder steps while a live frame waited: {between}"
    await running


async def test_the_model_directory_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    tokenizer = Tokenizer()
    tokenizer.settings.model = tmp_path / "nowhere"
    with pytest.raises(FailedPrecondition, match=r"model: .*nowhere does not exist"):
        await tokenizer.host.start()
    await tokenizer.host.server.stop(0)
    await tokenizer.service.stop()


async def test_a_limit_that_no_message_can_hold_is_refused_at_the_start() -> None:
    tokenizer = Tokenizer(max_audio_s=7200, max_message_bytes=1 << 20)
    taken = 7200 * 25 // 2 * 2 * BOOKS
    with pytest.raises(FailedPrecondition, match=f"the frames of 7200 s take {taken} bytes"):
        await tokenizer.host.start()
    await tokenizer.host.server.stop(0)
    await tokenizer.service.stop()
