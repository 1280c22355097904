"""The codec at level `amx` on any machine, over tiles and AVX-512 in plain C++."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from services.native import levels
from services.native.levels import Level
from services.tokenizer.native.codec import NativeDecoder, NativeEncoder
from services.tokenizer.native.library import INTERFACE
from tests.native.emulated import reader, watched
from tests.tokenizer.native.harness import CONFIGS, audio_of, codes_of, cut, decoded, mimi

# Its library takes most of a minute to compile over the emulation; the generator has tests too.
pytestmark = pytest.mark.slow

AMX, AVX2 = levels.named("amx"), levels.named("avx2")
FRAMES = 24
# Of full size only the shape is missing: a frame of pico takes seconds here.
NAMES = pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"pico"}))


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Level]:
    with watched(monkeypatch, INTERFACE) as level:
        yield level


@NAMES
def test_bf16_weights_in_steps_of_any_size(name: str, emulated: Level) -> None:
    model = NativeDecoder(mimi(name), 3, "bf16", threads=1, level=emulated)
    codes = codes_of(mimi(name).config, 1, FRAMES)[0]
    use = reader(INTERFACE)
    before = use().products
    expected = cut(model, 0, codes, [16])
    assert use().products > before
    for row, sizes in ((0, [1]), (1, [3]), (2, [1, 2, 16, 5])):
        assert np.array_equal(cut(model, row, codes, sizes), expected), (row, sizes)


@NAMES
def test_bf16_weights_alone_in_company_and_on_several_threads(name: str, emulated: Level) -> None:
    codes = codes_of(mimi(name).config, 9, 4, seed=5)
    model = NativeDecoder(mimi(name), 9, "bf16", threads=1, level=emulated)
    alone = [cut(model, row, codes[row], [1]) for row in range(9)]
    for count, threads in ((2, 1), (3, 3), (9, 1), (9, 3)):
        many = NativeDecoder(mimi(name), 9, "bf16", threads=threads, level=emulated)
        rows = list(range(9 - count, 9))[::-1]
        halves = [many.step(rows, codes[rows, at : at + 2]) for at in (0, 2)]
        got = np.concatenate(halves, axis=1)
        for place, row in enumerate(rows):
            assert np.array_equal(got[place], alone[row]), (count, threads, row)


@NAMES
def test_audio_of_bf16_weights_is_40_db_close(name: str, emulated: Level) -> None:
    model = mimi(name)
    codes = codes_of(model.config, 2, FRAMES)
    small = NativeDecoder(model, 3, "bf16", threads=1, level=emulated)
    error = small.step([2, 0], codes) - decoded(model, codes)
    assert 0 < np.square(error).mean() < 1e-4 * np.square(decoded(model, codes)).mean()
    whole = NativeDecoder(model, 3, threads=1, level=emulated)
    # Panels are filled up to whole tiles, which a codec this small feels.
    assert small.nbytes < 0.75 * whole.nbytes


@pytest.mark.skipif(AVX2 not in levels.available(), reason="this processor lacks AVX2 and FMA")
@pytest.mark.parametrize("name", ["five", "nine", "odd"])
def test_codes_and_audio_in_fp32_are_those_of_another_level(name: str, emulated: Level) -> None:
    audio = audio_of(mimi(name).config, 5, FRAMES)
    codes = codes_of(mimi(name).config, 2, FRAMES)
    rows = [4, 2, 0, 1, 3]
    got, expected = (
        NativeEncoder(mimi(name), 5, threads=2, level=level).step(rows, audio)
        for level in (emulated, AVX2)
    )
    assert np.array_equal(got, expected)
    got, expected = (
        NativeDecoder(mimi(name), 2, threads=1, level=level).step([1, 0], codes)
        for level in (emulated, AVX2)
    )
    assert np.array_equal(got, expected)


@pytest.mark.skipif(AMX not in levels.available(), reason="this processor has no tiles to compare")
@NAMES
def test_real_tiles_give_the_bits_of_emulated_ones(name: str, emulated: Level) -> None:
    codes = codes_of(mimi(name).config, 3, FRAMES)
    got, expected = (
        NativeDecoder(mimi(name), 3, "bf16", threads=1, level=level).step([1, 0, 2], codes)
        for level in (AMX, emulated)
    )
    assert np.array_equal(got, expected)
