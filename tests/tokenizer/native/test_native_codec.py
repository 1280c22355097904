"""The native codec makes of codes and audio what `Mimi` makes of them."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from services.native import levels
from services.native.build import NativeUnavailable
from services.tokenizer import codec
from services.tokenizer.native.codec import MAX_STEP_FRAMES, NativeDecoder, NativeEncoder
from tests.tokenizer.codec.cases import FIVE, assert_same_codes
from tests.tokenizer.native.harness import (
    CONFIGS,
    as_torch,
    audio_of,
    codes_of,
    decoded,
    mimi,
)
from tests.tokenizer.running_tokenizer import chirp

FRAMES = 2 * MAX_STEP_FRAMES + 9
LEVELS = pytest.mark.parametrize("level", levels.available(), ids=lambda level: level.name)
NAMES = pytest.mark.parametrize("name", [*sorted(CONFIGS), "voice"])


@LEVELS
@NAMES
def test_audio_is_that_of_mimi(name: str, level: levels.Level) -> None:
    model = mimi(name)
    codes = codes_of(model.config, 2, FRAMES)
    expected = decoded(model, codes)
    got = NativeDecoder(model, 3, threads=1, level=level).step([2, 0], codes)
    scale = np.abs(expected).max()
    assert scale > 0.01
    assert np.abs(got - expected).max() < 2e-5 * scale


@LEVELS
@NAMES
def test_audio_of_bf16_weights_is_40_db_close(name: str, level: levels.Level) -> None:
    model = mimi(name)
    codes = codes_of(model.config, 2, FRAMES)
    small = NativeDecoder(model, 3, "bf16", threads=1, level=level)
    got, expected = small.step([2, 0], codes), decoded(model, codes)
    error = got - expected
    assert 0 < np.square(error).mean() < 1e-4 * np.square(expected).mean()
    whole = NativeDecoder(model, 3, threads=1, level=level)
    # Of level amx panels are filled up to whole tiles, which the smallest of these feel.
    assert small.nbytes < (0.75 if level.name == "amx" else 0.65) * whole.nbytes


@LEVELS
@NAMES
def test_codes_are_those_of_mimi_but_for_ties(name: str, level: levels.Level) -> None:
    model = mimi(name)
    audio = audio_of(model.config, 2, FRAMES)
    got = NativeEncoder(model, 3, threads=1, level=level).step([2, 0], audio)
    heard = as_torch(model.config, audio)
    codes = torch.from_numpy(got).transpose(1, 2)
    assert_same_codes(model, heard, codes, model.encode(heard))
    assert len(np.unique(got)) > 10


@LEVELS
def test_codewords_that_int8_cannot_tell_apart_are_told_apart(level: levels.Level) -> None:
    model = codec.create(FIVE, seed=3).requires_grad_(False)
    generator = torch.Generator().manual_seed(4)
    for quantizer in (model.quantizer.semantic, model.quantizer.acoustic):
        books = quantizer.codebooks[:, ::8].repeat_interleave(8, 1)
        books += 0.02 * books.std() * torch.randn(books.shape, generator=generator)
        books[:, 3] *= 40
        books[:, 9] = 0
        quantizer.set_codebooks(books)
    audio = audio_of(model.config, 2, FRAMES)
    got = NativeEncoder(model, 2, threads=2, level=level).step([0, 1], audio)
    heard = as_torch(model.config, audio)
    assert_same_codes(model, heard, torch.from_numpy(got).transpose(1, 2), model.encode(heard))
    assert len(np.unique(got)) > 20


@LEVELS
def test_of_codewords_as_near_the_first_is_taken(level: levels.Level) -> None:
    model = codec.create(FIVE, seed=3).requires_grad_(False)
    half = model.config.codebook_size // 2
    for quantizer in (model.quantizer.semantic, model.quantizer.acoustic):
        quantizer.set_codebooks(quantizer.codebooks[:, :half].repeat(1, 2, 1))
    got = NativeEncoder(model, 1, level=level).step([0], audio_of(model.config, 1, FRAMES))
    assert got.max() < half


@LEVELS
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e25])
def test_a_codeword_that_no_sum_holds_is_passed_over(bad: float, level: levels.Level) -> None:
    audio = audio_of(FIVE, 1, FRAMES)
    codes = {}
    for word in (bad, 1e4):
        model = codec.create(FIVE, seed=3).requires_grad_(False)
        for quantizer in (model.quantizer.semantic, model.quantizer.acoustic):
            books = quantizer.codebooks.clone()
            books[:, [50, 51]] = word
            quantizer.set_codebooks(books)
        codes[word] = NativeEncoder(model, 1, level=level).step([0], audio)
    assert np.array_equal(codes[bad], codes[1e4])
    assert not np.isin(codes[bad], [50, 51]).any()


def test_codebooks_without_numbers_give_the_first_code() -> None:
    model = codec.create(FIVE, seed=3).requires_grad_(False)
    for quantizer in (model.quantizer.semantic, model.quantizer.acoustic):
        quantizer.set_codebooks(torch.full_like(quantizer.codebooks, torch.nan))
    assert not NativeEncoder(model, 1).step([0], audio_of(FIVE, 1, 3)).any()


def test_a_sweep_has_the_codes_of_the_voice() -> None:
    model = mimi("voice")
    audio = chirp(100 * 1920).reshape(1, 100, 1920)
    got = NativeEncoder(model, 1, threads=1).step([0], audio)
    expected = model.encode(as_torch(model.config, audio)).transpose(1, 2).numpy()
    assert (got == expected).mean() > 0.995


@pytest.mark.parametrize("name", ["five", "nine", "odd"])
def test_fewer_codebooks_are_coarser_audio(name: str) -> None:
    model = mimi(name)
    codes = codes_of(model.config, 1, 9)
    native = NativeDecoder(model, 1, threads=1)
    for given in range(1, model.config.num_codebooks + 1):
        native.reset(0)
        expected = decoded(model, codes[..., :given])
        got = native.step([0], codes[..., :given])
        np.testing.assert_allclose(got, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


def test_a_stream_of_hours_sounds_as_mimi_at_that_position() -> None:
    """Angles of large positions are not rounded as floats: those would be off by a hundredth."""
    # Fast turns in every pair, so that all of them have come far.
    model = codec.create(replace(FIVE, rope_theta=3.0), seed=3).requires_grad_(False)
    frames = 50_000
    native = NativeDecoder(model, 1, threads=1)
    codes = codes_of(FIVE, 1, frames)
    got = native.step([0], codes)[:, -20:]
    state = model.decoder_state(1)
    state.transformer.positions.fill_((frames - 80) * FIVE.resample_stride)
    late = torch.from_numpy(codes[:, -80:]).transpose(1, 2)
    expected = model.decode_step(late, state)[..., -20 * FIVE.frame_samples :]
    difference = np.abs(got.reshape(-1) - expected.numpy().reshape(-1)).max()
    assert difference < 5e-5 * float(expected.abs().max())


def test_the_torch_codec_can_be_let_go() -> None:
    model = codec.create(FIVE, seed=5)
    codes = codes_of(FIVE, 1, 6)
    expected = decoded(model.requires_grad_(False), codes)
    native, gone = NativeDecoder(model, 1, threads=1), weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    np.testing.assert_allclose(native.step([0], codes), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, e: d.step([0, 0], np.zeros((2, 1, 5), np.int64)), r"rows is \[0, 0\]"),
        (lambda d, e: d.step([2], np.zeros((1, 1, 5), np.int64)), "different ones of 0 to 1"),
        (lambda d, e: d.step([], np.zeros((0, 1, 5), np.int64)), r"rows is \[\]"),
        (lambda d, e: d.step([0], np.zeros((2, 1, 5), np.int64)), r"codes has shape \[2, 1, 5\]"),
        (lambda d, e: d.step([0], np.zeros((1, 1, 6), np.int64)), r"codes has shape \[1, 1, 6\]"),
        (lambda d, e: d.step([0], np.zeros((1, 0, 5), np.int64)), "codes has 0 frames"),
        (lambda d, e: d.step([0], np.zeros((1, 5), np.int64)), r"codes has shape \[1, 5\]"),
        (lambda d, e: d.step([0], np.full((1, 1, 5), 64)), "codes has the value 64; allowed: 0 to"),
        (lambda d, e: d.step([0], np.full((1, 1, 5), -1)), "codes has the value -1"),
        (lambda d, e: d.step([0], np.zeros((1, 1, 5))), "codes is float64; allowed: an integer"),
        (lambda d, e: e.step([1], np.zeros((1, 1, 121), np.float32)), "audio has shape"),
        (lambda d, e: e.step([-1], np.zeros((1, 1, 120), np.float32)), r"rows is \[-1\]"),
        (lambda d, e: d.reset(2), r"rows is \[2\]"),
        (lambda d, e: NativeDecoder(mimi("five"), 0), "rows is 0; allowed: at least 1"),
        (lambda d, e: NativeDecoder(mimi("five"), 1, threads=0), "threads is 0; allowed: 1 to"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_range(call, message: str) -> None:
    model = mimi("five")
    with pytest.raises(ValueError, match=message):
        call(NativeDecoder(model, 2, threads=1), NativeEncoder(model, 2, threads=1))


def test_another_type_or_place_is_said_to_be_unavailable() -> None:
    with pytest.raises(NativeUnavailable, match="float16"):
        NativeDecoder(codec.create(FIVE).half(), 1)
