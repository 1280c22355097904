"""A stream's audio and codes are the same bits, however it is cut, wherever, and beside whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.native import levels
from services.tokenizer import codec
from services.tokenizer.native.codec import NativeDecoder, NativeEncoder
from tests.tokenizer.codec.cases import FIVE
from tests.tokenizer.native.harness import (
    CONFIGS,
    HALVES,
    Array,
    assert_alone_as_in_company,
    audio_of,
    cut,
    mimi,
)

FRAMES = 45
DIRECTIONS = pytest.mark.parametrize("direction", sorted(HALVES))
NAMES = pytest.mark.parametrize("name", [*sorted(CONFIGS), "voice"])
LEVELS_AND_NAMES = pytest.mark.parametrize(
    ("name", "level"),
    [
        # The voice that ships is of this shape, and the generic level takes its time.
        pytest.param(name, level, id=f"{name}-{level.name}",
                     marks=[pytest.mark.slow] * ((name, level.name) == ("pico", "generic")))
        for name in [*sorted(CONFIGS), "voice"]
        for level in levels.available()
    ],
)  # fmt: skip
SMALL = st.sampled_from(["five", "nine", "biased", "odd"])
COMPANY = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
        st.lists(st.sampled_from([False] * 5 + [True]), min_size=4, max_size=4),
    ),
    min_size=1,
    max_size=25,
)


def make(direction: str, name: str, rows: int = 3, **how) -> NativeDecoder | NativeEncoder:
    return HALVES[direction][0](mimi(name), rows, **{"threads": 1, **how})


def stream(direction: str, name: str, frames: int, seed: int = 0) -> Array:
    """One stream [frames, width]."""
    return HALVES[direction][1](mimi(name).config, 1, frames, seed)[0]


@DIRECTIONS
@LEVELS_AND_NAMES
def test_in_steps_of_any_size_and_in_any_row(
    name: str, direction: str, level: levels.Level
) -> None:
    model, given_frames = make(direction, name, level=level), stream(direction, name, FRAMES)
    expected = cut(model, 0, given_frames, [16])
    for row, sizes in ((0, [1]), (1, [3]), (2, [8]), (0, [FRAMES]), (1, [1, 2, 16, 5])):
        assert np.array_equal(cut(model, row, given_frames, sizes), expected), (row, sizes)


@DIRECTIONS
@settings(max_examples=40, deadline=None)
@given(name=SMALL, sizes=st.lists(st.integers(1, 20), min_size=1, max_size=45))
def test_in_any_chunks(direction: str, name: str, sizes: list[int]) -> None:
    model, given_frames = make(direction, name), stream(direction, name, FRAMES)
    assert np.array_equal(cut(model, 2, given_frames, sizes), cut(model, 0, given_frames, [7]))


@LEVELS_AND_NAMES
def test_bf16_weights_in_steps_of_any_size(name: str, level: levels.Level) -> None:
    model = NativeDecoder(mimi(name), 3, "bf16", threads=1, level=level)
    given_frames = stream("decode", name, FRAMES)
    expected = cut(model, 0, given_frames, [16])
    for row, sizes in ((0, [1]), (1, [3]), (2, [1, 2, 16, 5])):
        assert np.array_equal(cut(model, row, given_frames, sizes), expected), (row, sizes)


@DIRECTIONS
@NAMES
def test_on_one_thread_and_on_several(name: str, direction: str) -> None:
    frames = HALVES[direction][1](mimi(name).config, 2, 20)
    one = make(direction, name).step([0, 2], frames)
    for threads in (2, 3):
        model = make(direction, name, threads=threads)
        parts = [model.step([0, 2], frames[:, at : at + 5]) for at in range(0, 20, 5)]
        assert np.array_equal(np.concatenate(parts, axis=1), one)


@DIRECTIONS
@NAMES
def test_alone_and_among_two_to_nine(name: str, direction: str) -> None:
    model = make(direction, name, rows=9)
    frames = HALVES[direction][1](mimi(name).config, 9, 4, seed=5)
    assert_alone_as_in_company(model, frames)


@DIRECTIONS
@settings(max_examples=40, deadline=None)
@given(name=SMALL, ticks=COMPANY)
def test_streams_come_go_and_pause_as_if_each_were_alone(
    direction: str, name: str, ticks: list[tuple[int, list[int], list[bool]]]
) -> None:
    model, alone = make(direction, name, rows=4), make(direction, name, rows=1)
    seeds = iter(range(1000))
    streams = [(stream(direction, name, 80, next(seeds)), []) for _ in range(4)]
    at = [0] * 4
    ended: list[tuple[Array, list[Array]]] = []
    for count, rows, resets in ticks:
        for row, reset in enumerate(resets):
            if reset:
                ended.append(streams[row])
                streams[row], at[row] = (stream(direction, name, 80, next(seeds)), []), 0
                model.reset(row)
        frames = np.stack([streams[row][0][at[row] : at[row] + count] for row in rows])
        for row, out in zip(rows, model.step(rows, frames), strict=True):  # type: ignore[arg-type]
            streams[row][1].append(out)
            at[row] += count
    for whole, parts in ended + streams:
        if parts:
            got = np.concatenate(parts)
            assert np.array_equal(got, cut(alone, 0, whole[: len(got)], [16]))


@pytest.mark.parametrize("name", ["five", "nine", "biased", "odd", "voice"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 3e38])
def test_a_row_gone_wrong_harms_neither_its_neighbours_nor_its_next_stream(
    name: str, wrong: float
) -> None:
    config = mimi(name).config
    model = make("encode", name)
    frames = audio_of(config, 2, 8, seed=3)
    expected = [cut(model, row, frames[row], [8]) for row in range(2)]
    model.reset(0)
    model.reset(1)
    absurd = np.full_like(frames[0], wrong)
    absurd[3:] = frames[0, 3:]
    got = model.step([0, 1], np.stack([absurd, frames[1]]))
    assert np.array_equal(got[1], expected[1])
    assert ((got[0] >= 0) & (got[0] < config.codebook_size)).all()
    model.reset(0)
    again = model.step([0, 1], np.stack([frames[0], frames[1]]))
    assert np.array_equal(again[0], expected[0])


def test_a_decoder_gone_wrong_is_whole_again_after_a_reset() -> None:
    broken = codec.create(FIVE, seed=3).requires_grad_(False)
    model = NativeDecoder(broken, 2, threads=1)
    frames = np.stack([stream("decode", "five", 12, seed) for seed in range(2)])
    frames[:, :, 0] = np.where(frames[:, :, 0] == 7, 8, frames[:, :, 0])
    expected = model.step([0, 1], frames)
    # The codebooks are read where they are: one code becomes absurd for as long as it takes.
    books = next(t for t in model._packed._kept if t.shape[0] == FIVE.num_semantic_codebooks)
    word = books[0, 7].clone()
    books[0, 7] = torch.inf
    absurd = frames.copy()
    absurd[0, :4, 0] = 7
    model.reset(0)
    model.reset(1)
    got = model.step([0, 1], absurd)
    assert not np.array_equal(got[0], expected[0])
    assert np.array_equal(got[1], expected[1])
    books[0, 7] = word
    model.reset(0)
    assert np.array_equal(model.step([0], frames[:1])[0], expected[0])
