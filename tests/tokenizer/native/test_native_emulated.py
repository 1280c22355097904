"""The levels of ARM, run by an emulator: `Mimi`'s audio and codes, and the promises bit by bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from services.native import levels
from services.native.levels import Level
from services.tokenizer.native.codec import NativeDecoder, NativeEncoder
from tests.native.emulator import at_levels, emulated, emulated_levels, needs_emulator, shapes
from tests.tokenizer.codec.cases import assert_same_codes
from tests.tokenizer.native.harness import (
    CONFIGS,
    HALVES,
    as_torch,
    assert_alone_as_in_company,
    audio_of,
    codes_of,
    cut,
    decoded,
    mimi,
)

# The generator's run in the ordinary suite; these with `make test-arm`.
pytestmark = [needs_emulator, pytest.mark.slow]
FRAMES = 21
NAMES = shapes(sorted(set(CONFIGS) - {"pico"}), quick=["odd"])
DIRECTIONS = pytest.mark.parametrize("direction", sorted(HALVES))
AVX2 = levels.named("avx2")
needs_avx2 = pytest.mark.skipif(AVX2 not in levels.available(), reason="no AVX2 to compare with")


@pytest.fixture(autouse=True)
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with emulated(monkeypatch, "tokenizer"):
        yield


def make(direction: str, name: str, level: Level, rows: int = 3, **how):
    return HALVES[direction][0](mimi(name), rows, level=level, **{"threads": 1, **how})


@emulated_levels
@NAMES
def test_audio_is_that_of_mimi(name: str, level: Level) -> None:
    model = mimi(name)
    codes = codes_of(model.config, 2, FRAMES)
    expected = decoded(model, codes)
    got = make("decode", name, level).step([2, 0], codes)
    scale = np.abs(expected).max()
    assert scale > 0.01
    assert np.abs(got - expected).max() < 2e-5 * scale
    small = make("decode", name, level, weights="bf16").step([2, 0], codes)
    error = small - expected
    assert 0 < np.square(error).mean() < 1e-4 * np.square(expected).mean()


@emulated_levels
@NAMES
def test_codes_are_those_of_mimi_but_for_ties(name: str, level: Level) -> None:
    model = mimi(name)
    audio = audio_of(model.config, 2, FRAMES)
    got = make("encode", name, level).step([2, 0], audio)
    heard = as_torch(model.config, audio)
    codes = torch.from_numpy(got).transpose(1, 2)
    assert_same_codes(model, heard, codes, model.encode(heard))
    assert len(np.unique(got)) > 10


@needs_avx2
@emulated_levels
@DIRECTIONS
@NAMES
def test_fp32_has_the_bits_of_avx2(name: str, direction: str, level: Level) -> None:
    given = HALVES[direction][1](mimi(name).config, 2, FRAMES)
    expected = make(direction, name, AVX2).step([0, 2], given)
    assert np.array_equal(make(direction, name, level).step([0, 2], given), expected)


@needs_avx2
@at_levels("neon", "neondot")
@NAMES
def test_bf16_has_the_bits_of_avx2_where_there_are_no_pairs(name: str, level: Level) -> None:
    codes = codes_of(mimi(name).config, 2, 6)
    got, expected = (
        make("decode", name, each, weights="bf16").step([0, 2], codes) for each in (level, AVX2)
    )
    assert np.array_equal(got, expected)


@emulated_levels
@pytest.mark.parametrize("weights", ["fp32", "bf16"])
@NAMES
def test_audio_in_steps_of_any_size_and_on_several_threads(
    name: str, weights: str, level: Level
) -> None:
    stream = codes_of(mimi(name).config, 1, FRAMES)[0]
    model = NativeDecoder(mimi(name), 3, weights, threads=1, level=level)  # type: ignore[arg-type]
    expected = cut(model, 0, stream, [16])
    for row, sizes in ((0, [1]), (1, [3]), (2, [1, 2, 16, 5])):
        assert np.array_equal(cut(model, row, stream, sizes), expected), (row, sizes)
    several = NativeDecoder(mimi(name), 1, weights, threads=3, level=level)  # type: ignore[arg-type]
    assert np.array_equal(cut(several, 0, stream, [5]), expected)


@emulated_levels
@NAMES
def test_codes_in_steps_of_any_size_and_on_several_threads(name: str, level: Level) -> None:
    stream = audio_of(mimi(name).config, 1, FRAMES)[0]
    model = NativeEncoder(mimi(name), 3, threads=1, level=level)
    expected = cut(model, 0, stream, [16])
    for row, sizes in ((0, [1]), (1, [3]), (2, [1, 2, 16, 5])):
        assert np.array_equal(cut(model, row, stream, sizes), expected), (row, sizes)
    several = NativeEncoder(mimi(name), 1, threads=3, level=level)
    assert np.array_equal(cut(several, 0, stream, [5]), expected)


@emulated_levels
@pytest.mark.parametrize("weights", ["fp32", "bf16"])
@shapes(["five", "odd"], quick=["odd"])
def test_audio_alone_and_among_two_to_nine(name: str, weights: str, level: Level) -> None:
    model = NativeDecoder(mimi(name), 9, weights, threads=1, level=level)  # type: ignore[arg-type]
    codes = codes_of(mimi(name).config, 9, 4, seed=5)
    assert_alone_as_in_company(model, codes)


@emulated_levels
@pytest.mark.parametrize("wrong", [np.nan, -np.inf, 3e38])
def test_a_row_gone_wrong_harms_neither_its_neighbours_nor_its_next_stream(
    wrong: float, level: Level
) -> None:
    config = mimi("five").config
    model = make("encode", "five", level)
    frames = audio_of(config, 2, 8, seed=3)
    expected = [cut(model, row, frames[row], [8]) for row in range(2)]
    model.reset(0)
    model.reset(1)
    absurd = np.full_like(frames[0], wrong)
    got = model.step([0, 1], np.stack([absurd, frames[1]]))
    assert np.array_equal(got[1], expected[1])
    assert ((got[0] >= 0) & (got[0] < config.codebook_size)).all()
    model.reset(0)
    assert np.array_equal(model.step([0], frames[:1])[0], expected[0])
