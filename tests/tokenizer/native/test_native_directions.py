"""The service runs the codec natively where it can, by torch where it cannot or is told to."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csm.errors import FailedPrecondition
from csm.v1 import common_pb2
from services.native import levels
from services.native.build import Library, NativeUnavailable
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.native.build import LIBRARY
from services.tokenizer.native.directions import (
    NativeDecodeDirection,
    NativeDirection,
    NativeEncodeDirection,
)
from services.tokenizer.native.select import directions
from services.tokenizer.torch_direction import TorchDecodeDirection, TorchEncodeDirection
from tests.tokenizer.codec.cases import FIVE
from tests.tokenizer.native.harness import audio_of, codes_of, mimi
from tests.tokenizer.running_tokenizer import F32, Tokenizer, chirp, random_codes

S16 = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_PCM_S16LE)


@pytest.fixture
def no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a compiler, on which nothing was ever built."""
    monkeypatch.setenv("CSM_NATIVE_DIR", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda command: None)


def decoder_of(running: Tokenizer) -> CodecDirection:
    return running.service.pool._directions["decode"]


def test_blocks_go_to_their_rows_and_come_back_from_them() -> None:
    model = mimi("five")
    codes = codes_of(FIVE, 3, 6).astype(np.uint16)
    audio = audio_of(FIVE, 3, 6)
    for native, by_torch, whole in (
        (NativeDecodeDirection(model, 4, threads=1), TorchDecodeDirection(model, 4), codes),
        (NativeEncodeDirection(model, 4, threads=1), TorchEncodeDirection(model, 4), audio),
    ):
        assert (native.operation, native.rows) == (by_torch.operation, 4)
        blocks: list[Block | None] = [whole[0], None, whole[2]]
        for start in (0, 3):
            step = [None if block is None else block[start : start + 3] for block in blocks]
            ours, theirs = native.step(1, step), by_torch.step(1, step)
            assert ours[1] is None
            for got, expected in ((ours[0], theirs[0]), (ours[2], theirs[2])):
                assert got is not None
                assert expected is not None
                assert got.dtype == expected.dtype
                np.testing.assert_allclose(got, expected, atol=1e-4)
        assert native.silence(2).dtype == by_torch.silence(2).dtype
        assert native.silence(2).shape == by_torch.silence(2).shape


def test_off_is_off_and_required_is_native() -> None:
    model = mimi("five")
    assert [type(one) for one in directions(model, 2, "off")] == [
        TorchEncodeDirection,
        TorchDecodeDirection,
    ]
    both = directions(model, 2, "required", threads=1)
    assert [type(one) for one in both] == [NativeEncodeDirection, NativeDecodeDirection]


@pytest.mark.usefixtures("no_library")
def test_without_a_compiler_the_codec_runs_by_torch_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = mimi("five")
    with caplog.at_level(logging.WARNING):
        assert isinstance(directions(model, 2, "auto", threads=1)[1], TorchDecodeDirection)
    assert "the codec runs by torch" in caplog.text
    assert "no C++ compiler" in caplog.text
    with pytest.raises(NativeUnavailable, match="no C\\+\\+ compiler"):
        directions(model, 2, "required", threads=1)


def test_auto_compiles_no_generic_level_and_required_takes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(levels, "available", lambda: [levels.named("generic")])
    model = mimi("five")
    # As if it had never been compiled.
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Library, "find", lambda *_: None)
        assert isinstance(directions(model, 1, "auto", threads=1)[1], TorchDecodeDirection)
    assert "the codec runs by torch" in caplog.text
    assert "only level generic fits this processor" in caplog.text
    assert isinstance(directions(model, 1, "required", threads=1)[1], NativeDecodeDirection)


@pytest.mark.usefixtures("no_library")
async def test_a_service_that_must_be_native_does_not_start_without() -> None:
    with pytest.raises(FailedPrecondition, match="native: required cannot be had here"):
        await Tokenizer(native="required").start()


async def test_the_service_is_native_by_default_and_sounds_as_by_torch(
    start_tokenizer: Callable[..., Any],
) -> None:
    native = await start_tokenizer()
    by_torch = await start_tokenizer(native="off")
    assert isinstance(decoder_of(native), NativeDirection)
    assert isinstance(decoder_of(by_torch), TorchDecodeDirection)
    codes = random_codes(60)
    ours, theirs = [
        np.frombuffer(await running.decode(codes, S16), "<i2").astype(int)
        for running in (native, by_torch)
    ]
    assert np.abs(ours - theirs).max() <= 1
    samples = chirp(30_000).tobytes()
    live, _ = await native.encode_live(F32, [samples])
    again, _ = await by_torch.encode_live(F32, [samples])
    assert (live == again).mean() > 0.99


async def test_a_service_decodes_by_the_weights_it_is_told(
    start_tokenizer: Callable[..., Any],
) -> None:
    sizes, audio = {}, {}
    codes = random_codes(60)
    for dtype in ("auto", "float32", "bfloat16"):
        running = await start_tokenizer(dtype=dtype)
        decoder = decoder_of(running)
        assert isinstance(decoder, NativeDirection)
        sizes[dtype] = decoder.nbytes
        audio[dtype] = np.frombuffer(await running.decode(codes, S16), "<i2").astype(float)
    # A codec as small as pico's stays as it is.
    assert sizes["auto"] == sizes["float32"]
    assert sizes["bfloat16"] < 0.65 * sizes["float32"]
    error = np.square(audio["bfloat16"] - audio["float32"]).mean()
    assert 0 < error < 1e-4 * np.square(audio["float32"]).mean()


async def test_the_same_frames_are_the_same_bytes_however_they_come(
    start_tokenizer: Callable[..., Any],
) -> None:
    running = await start_tokenizer(native="required")
    codes = random_codes(70)
    once = await running.decode(codes, S16)
    for size, pause_s in ((1, 0.0), (1, 0.002), (7, 0.0), (70, 0.0)):
        blocks = [codes[at : at + size] for at in range(0, 70, size)]
        assert await running.decode_live(blocks, S16, pause_s) == once
    samples = chirp(60_000).tobytes()
    whole, _ = await running.encode_live(F32, [samples])
    for size in (4000, 33_336):
        chunks = [samples[at : at + size] for at in range(0, len(samples), size)]
        assert np.array_equal((await running.encode_live(F32, chunks))[0], whole)


def test_the_library_is_the_codecs_own() -> None:
    level = levels.available()[-1]
    path = LIBRARY.path(level)
    assert path.name.startswith(f"csm-tokenizer-{LIBRARY.source_hash()}-{level.name}-")
