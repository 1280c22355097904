"""A decoder that is built anew in mid-turn: what is heard at the seam, measured on pico's codec."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from csm.audio.frames import WIRE_DTYPE
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.v1 import common_pb2, tokenizer_pb2, tokenizer_pb2_grpc
from gateway.backends.calls import Decoding
from gateway.backends.failure import BackendFailure
from gateway.commands import StreamFormat
from gateway.speaking.fate import Source
from gateway.speaking.late_decoder import DecoderFormat, LateDecoder
from services.generator.loading import load
from services.generator.model.generate import generate
from services.generator.model.prompt import PromptSegment, prompt_frames
from services.tokenizer.main import build
from services.tokenizer.settings import TokenizerSettings
from tests.system.conftest import PICO

FRAME_SAMPLES = 1920
TEXTS = ("good morning to you, how are you doing today?", "the train leaves at nine, once more.")


class Backends:
    """As much of the gateway's as a decoding asks for."""

    def __init__(self, channel: grpc.aio.Channel, info: Any) -> None:
        self.tokenizer = tokenizer_pb2_grpc.TokenizerServiceStub(channel)
        self.info = type("Info", (), {"tokenizer": info})


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    """Frames of speech [F, K], as pico says it."""
    loaded = load(PICO, device="cpu", dtype="float32", native="off", threads=1)
    books, sampling = loaded.model.config.num_codebooks, loaded.defaults.sampling
    found = []
    for seed, text in enumerate(TEXTS):
        prompt = prompt_frames([PromptSegment(0, text)], loaded.tokenizer, books)
        codes = generate(loaded.model, prompt, sampling, 60, seed).numpy()
        found.append(codes[codes.any(axis=1)])
    return np.concatenate(found)


@pytest.fixture
async def backends() -> AsyncIterator[Any]:
    settings = TokenizerSettings(port=0, metrics_port=None, model=PICO, threads=1)
    metrics = Metrics()
    host = Host(build(settings, metrics), settings, metrics)
    await host.start()
    async with grpc.aio.insecure_channel(host.address) as channel:
        stub = tokenizer_pb2_grpc.TokenizerServiceStub(channel)
        info = await stub.GetTokenizerInfo(tokenizer_pb2.GetTokenizerInfoRequest())
        yield Backends(channel, info)
    await host.stop(finish_s=0)


async def decoded(
    backends: Any, codes: np.ndarray, rate_hz: int, lost_behind: int | None = None
) -> np.ndarray:
    """Their sound; the decoder is lost once so many frames were decoded."""
    form = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, rate_hz, 1)
    frame_bytes = codes.shape[1] * WIRE_DTYPE.itemsize

    async def go_on(failure: BackendFailure) -> bool:
        return True

    late = LateDecoder(
        lambda: Decoding(backends, form, 20),
        DecoderFormat(frame_bytes, rate_hz * 0.08, 2, 0.08),
        10_000,
        go_on,
        lambda source: None,
    )
    pcm = bytearray()
    lost = False

    def on_sound(part: bytes, num_frames: int) -> None:
        nonlocal lost
        pcm.extend(part)
        if lost_behind is not None and num_frames >= lost_behind and not lost:
            lost = True
            late.decoding.fail(BackendFailure.silent(Source.TOKENIZER, 1.0, "audio"))

    running = asyncio.create_task(late.run(on_sound))
    for row in codes.astype(WIRE_DTYPE):
        late.feed(row.tobytes(), 1)
        if late.fed_frames == lost_behind:
            async with asyncio.timeout(20):
                while not lost:
                    await asyncio.sleep(0.001)
    late.close()
    await running
    return np.frombuffer(bytes(pcm), "<i2").astype(np.float64) / 32768


def spectral_jumps(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """How much the spectrum changes from one window of 10 ms to the next, in dB."""
    width = rate_hz // 100
    windows = samples[: len(samples) // width * width].reshape(-1, width) * np.hanning(width)
    levels = 20 * np.log10(np.abs(np.fft.rfft(windows, axis=1)) + 1e-3)
    return np.abs(np.diff(levels, axis=0)).mean(axis=1)


@pytest.mark.parametrize("rate_hz", [24_000, 8_000])
async def test_no_click_is_heard_where_a_decoder_was_built_anew(
    backends: Any, spoken: np.ndarray, rate_hz: int
) -> None:
    whole = await decoded(backends, spoken, rate_hz)
    for frame in (3, 20, 45, 58):
        mended = await decoded(backends, spoken, rate_hz, lost_behind=frame)
        assert len(mended) == len(whole)
        at = round(frame * 0.08 * rate_hz)
        around = slice(at - rate_hz // 10, at + rate_hz // 10)
        # A sample jumps there no more than samples do inside, and nor does the spectrum.
        assert np.abs(np.diff(mended))[at - 3 : at + 3].max() <= np.abs(np.diff(whole)).max()
        window = at // (rate_hz // 100)
        seam = spectral_jumps(mended, rate_hz)[window - 2 : window + 2].max()
        assert seam <= spectral_jumps(whole, rate_hz).max()
        # And what is heard is what would have been heard, but for a rounding.
        assert np.abs(mended[around] - whole[around]).max() < 0.002
        assert np.sqrt(np.mean((mended - whole) ** 2)) < 0.01 * np.sqrt(np.mean(whole**2))
