"""Steps in any sizes, in any company, equal the whole at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tokenizer.codec import create
from services.tokenizer.codec.layout import load_hf, state_dict_hf
from tests.tokenizer.codec.cases import (
    BIASED,
    FIVE,
    FULL,
    NINE,
    assert_same_codes,
    noise,
    random_codes,
)

FRAMES = 45
# Sizes beyond the longest single pass (16 frames) are among them.
CHUNKS = st.lists(st.integers(1, 20), min_size=1, max_size=45)
SMALL = st.sampled_from([FIVE, NINE, BIASED])
COMPANY = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.lists(st.booleans(), min_size=4, max_size=4),
        st.lists(st.sampled_from([False] * 5 + [True]), min_size=4, max_size=4),
    ),
    min_size=1,
    max_size=25,
)


def _cut(total: int, sizes: list[int]) -> list[int]:
    """`sizes` shortened or repeated to sum up to `total`."""
    cut: list[int] = []
    while (left := total - sum(cut)) > 0:
        cut.append(min(sizes[len(cut) % len(sizes)], left))
    return cut


@settings(max_examples=40, deadline=None)
@given(config=SMALL, sizes=CHUNKS)
def test_decoding_in_any_chunks_equals_decoding_at_once(make_codec, config, sizes):
    mimi = make_codec(config)
    codes = random_codes(config, 2, FRAMES)
    state = mimi.decoder_state(2)
    parts = [mimi.decode_step(part, state) for part in codes.split(_cut(FRAMES, sizes), dim=2)]
    torch.testing.assert_close(torch.cat(parts, dim=2), mimi.decode(codes), rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(config=SMALL, sizes=CHUNKS)
def test_encoding_in_any_chunks_equals_encoding_at_once(make_codec, config, sizes):
    mimi = make_codec(config)
    audio = noise(2, FRAMES * config.frame_samples)
    state = mimi.encoder_state(2)
    chunks = audio.split([n * config.frame_samples for n in _cut(FRAMES, sizes)], dim=2)
    codes = torch.cat([mimi.encode_step(part, state) for part in chunks], dim=2)
    assert_same_codes(mimi, audio, codes, mimi.encode(audio))


@torch.no_grad()
def test_decoding_frame_by_frame_equals_decoding_at_once_at_full_size(make_codec):
    mimi = make_codec(FULL)
    codes = random_codes(FULL, 1, 130)
    state = mimi.decoder_state(1)
    parts = [mimi.decode_step(part, state) for part in codes.split(1, dim=2)]
    torch.testing.assert_close(torch.cat(parts, dim=2), mimi.decode(codes), rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(config=SMALL, ticks=COMPANY)
def test_decoding_streams_in_company_equals_decoding_each_alone(make_codec, config, ticks):
    """Rows pause, and are given to another stream, in the middle of a batch."""
    mimi = make_codec(config)
    state = mimi.decoder_state(4)
    source = iter(range(1000))
    streams = [[random_codes(config, 1, 80, seed=next(source)), 0, []] for _ in range(4)]
    ended = []
    for count, executes, resets in ticks:
        for row, reset in enumerate(resets):
            if reset:
                ended.append(streams[row])
                streams[row] = [random_codes(config, 1, 80, seed=next(source)), 0, []]
        state.reset(torch.tensor(resets))
        step = torch.cat([codes[..., at : at + count] for codes, at, _ in streams])
        mask = None if all(executes) else torch.tensor(executes)
        audio = mimi.decode_step(step, state, mask)
        for row, stream in enumerate(streams):
            if executes[row]:
                stream[1] += count
                stream[2].append(audio[row : row + 1])
    for codes, at, parts in ended + streams:
        if at:
            alone = mimi.decode(codes[..., :at])
            torch.testing.assert_close(torch.cat(parts, dim=2), alone, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(config=SMALL, ticks=COMPANY)
def test_encoding_streams_in_company_equals_encoding_each_alone(make_codec, config, ticks):
    mimi = make_codec(config)
    size = config.frame_samples
    state = mimi.encoder_state(4)
    source = iter(range(1000))
    streams = [[noise(1, 80 * size, seed=next(source)), 0, []] for _ in range(4)]
    ended = []
    for count, executes, resets in ticks:
        for row, reset in enumerate(resets):
            if reset:
                ended.append(streams[row])
                streams[row] = [noise(1, 80 * size, seed=next(source)), 0, []]
        state.reset(torch.tensor(resets))
        step = torch.cat([audio[..., at : at + count * size] for audio, at, _ in streams])
        codes = mimi.encode_step(step, state, torch.tensor(executes))
        for row, stream in enumerate(streams):
            if executes[row]:
                stream[1] += count * size
                stream[2].append(codes[row : row + 1])
    for audio, at, parts in ended + streams:
        if at:
            heard = audio[..., :at]
            assert_same_codes(mimi, heard, torch.cat(parts, dim=2), mimi.encode(heard))


def test_a_reset_of_all_rows_starts_afresh(small):
    codes = random_codes(small.config, 2, 20)
    state = small.decoder_state(2)
    first = small.decode_step(codes, state)
    assert not torch.allclose(small.decode_step(codes, state), first, atol=1e-3)
    state.reset()
    assert torch.equal(small.decode_step(codes, state), first)


def test_a_reset_row_is_rid_of_what_is_no_number_and_the_others_keep_theirs(small):
    codes = random_codes(small.config, 2, 20)
    alone = small.decoder_state(2)
    small.decode_step(codes, alone)
    expected = small.decode_step(codes, alone)[1]
    state = small.decoder_state(2)
    first = small.decode_step(codes, state)[0]
    for ring in (state.transformer.keys, state.transformer.values):
        ring[:, 0] = torch.nan
    state.reset(torch.tensor([True, False]))
    got = small.decode_step(codes, state)
    assert torch.equal(got[0], first)
    assert torch.equal(got[1], expected)


def test_a_step_writes_its_state_in_place(small):
    # Fixed addresses are what a CUDA graph of a step stands on.
    state = small.decoder_state(2)

    def addresses() -> list[int]:
        convs = [layer for layer in state.seanet.layers if layer is not None]
        tensors = [state.transformer.keys, state.transformer.values, state.transformer.positions]
        return [t.data_ptr() for t in [*tensors, *(conv.previous for conv in convs)]]

    before = addresses()
    for mask in (None, torch.tensor([True, False])):
        small.decode_step(random_codes(small.config, 2, 3), state, mask)
    assert addresses() == before


def test_a_state_made_in_inference_mode_serves_outside_of_it(small):
    codes = random_codes(small.config, 1, 8)
    with torch.inference_mode():
        state = small.decoder_state(1)
        first = small.decode_step(codes[..., :4], state).clone()
    audio = torch.cat([first, small.decode_step(codes[..., 4:], state)], dim=2)
    torch.testing.assert_close(audio, small.decode(codes), rtol=0, atol=1e-5)


def test_the_window_changes_what_comes_after_it_and_nothing_before(small):
    config = small.config
    endless = create(replace(config, sliding_window=10_000)).requires_grad_(False)
    load_hf(endless, state_dict_hf(small))
    codes = random_codes(config, 1, 40)
    difference = (small.decode(codes) - endless.decode(codes)).abs()[0, 0]
    inside = config.sliding_window // config.resample_stride * config.frame_samples
    assert difference[:inside].max() < 1e-5
    assert difference[inside + config.frame_samples :].max() > 1e-3


def test_a_stream_of_years_sounds_as_a_young_one(small):
    # RoPE depends on distances only; angles of large positions must not lose them.
    config = small.config
    codes = random_codes(config, 1, 90)
    young, old = small.decoder_state(1), small.decoder_state(1)
    old.transformer.positions.fill_(old.transformer.keys.shape[3] * 10**8)
    difference = (small.decode_step(codes, young) - small.decode_step(codes, old)).abs()
    # Past the reach of all layers nothing is left of the empty ring the old one started with.
    reach = config.sliding_window * config.num_hidden_layers // config.resample_stride + 10
    assert reach < 80
    assert difference[..., reach * config.frame_samples :].max() < 1e-4


@pytest.mark.parametrize("samples", [1, 119, 120, 121, 5 * 120, 19 * 120 - 1])
def test_a_round_trip_keeps_the_length_to_the_sample(make_codec, samples):
    mimi = make_codec(FIVE)
    assert FIVE.frame_samples == 120
    codes = mimi.encode(noise(1, samples))
    assert codes.shape[2] == FIVE.num_frames(samples) == -(-samples // 120)
    audio = mimi.decode(codes)
    assert audio.shape[2] - samples < 120
    assert audio[..., :samples].shape[2] == samples


def test_silence_after_the_end_changes_no_code_before_it(small):
    audio = noise(1, 7 * small.config.frame_samples - 5)
    longer = torch.nn.functional.pad(audio, (0, 3 * small.config.frame_samples))
    assert torch.equal(small.encode(longer)[..., :7], small.encode(audio))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode(torch.zeros(1, 1, 0)), "audio has 0 samples; allowed: at least 1"),
        (lambda m: m.encode(torch.zeros(1, 2, 120)), r"shape \[1, 2, 120\]; allowed: \[rows, 1,"),
        (lambda m: m.encode(torch.zeros(1, 1, 120).long()), "audio is torch.int64; allowed: a fl"),
        (
            lambda m: m.encode_step(torch.zeros(1, 1, 121), m.encoder_state(1)),
            "audio has 121 samples; allowed: a multiple of 120",
        ),
        (
            lambda m: m.encode_step(torch.zeros(2, 1, 120), m.encoder_state(1)),
            "audio has 2 rows; allowed: 1",
        ),
        (lambda m: m.decode(torch.zeros(1, 6, 1).long()), r"codes has shape \[1, 6, 1\]; allowed"),
        (lambda m: m.decode(torch.zeros(1, 5, 1)), "codes is torch.float32; allowed: an integer"),
        (lambda m: m.decode(torch.full((1, 5, 1), 64)), "codes has the value 64; allowed: 0 to 63"),
        (lambda m: m.decode(torch.full((1, 5, 1), -1)), "codes has the value -1; allowed: 0 to 63"),
        (
            lambda m: m.decode_step(
                torch.zeros(2, 5, 1).long(), m.decoder_state(2), torch.tensor([True])
            ),
            r"exec_mask is torch.bool of shape \[1\]; allowed: bool of shape \[2\]",
        ),
        (lambda m: m.decoder_state(2).reset(torch.tensor([1, 0])), "mask is torch.int64"),
        (lambda m: m.decoder_state(0), "rows is 0; allowed: at least 1"),
        (lambda m: m.encoder_state(-1), "rows is -1; allowed: at least 1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_range(make_codec, call, message):
    with pytest.raises(ValueError, match=message):
        call(make_codec(FIVE))
