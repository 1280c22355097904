"""The fastest is taken, never what is slower than torch; measured once, remembered, bounded."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.native import choice, choice_cache, levels
from services.native.build import Library, NativeUnavailable
from services.native.choice import TorchIsFaster, Works, choose, fastest, told
from services.native.levels import LEVELS, Level
from services.native.timing import Timed, Way

AMX, BF16, AVX512, AVX2, GENERIC = map(
    levels.named, ("amx", "avx512bf16", "avx512", "avx2", "generic")
)
LIBRARY = Library("generator", Path("nowhere"))


def times(**ratios: float | tuple[float, ...]) -> dict[str, dict[str, Timed]]:
    """Of levels by name: native's share of torch's time, one a piece of work."""
    return {
        name: {
            f"{index} rows": Timed(10 * share, 10.0)
            for index, share in enumerate(shares if isinstance(shares, tuple) else (shares,))
        }
        for name, shares in ratios.items()
    }


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (times(avx2=0.5), AVX2),
        (times(avx512bf16=0.5, avx512=0.3, avx2=0.6), AVX512),
        (times(amx=0.4, avx512bf16=0.5, avx2=0.6), AMX),
        (times(amx=0.6, avx512bf16=0.5), BF16),
        (times(avx512bf16=0.52, avx512=0.5, avx2=0.51), BF16),
        (times(avx512=0.54, avx2=0.5), AVX2),
        (times(avx2=1.01), None),
        (times(avx2=1.0), None),
        (times(avx2=(0.2, 1.04)), AVX2),
        (times(avx2=(0.2, 1.06)), None),
        (times(avx512=(0.2, 1.06), avx2=(0.8, 0.9)), AVX2),
        (times(avx512=(0.9, 0.1), avx2=(0.4, 0.4)), AVX512),
    ],
)
def test_the_fastest_is_taken_and_torch_where_it_is_faster(
    measured: Mapping[str, Mapping[str, Timed]], expected: Level | None
) -> None:
    assert fastest(measured, LEVELS, torch_allowed=True) == expected


def test_where_torch_is_not_to_be_had_the_least_slow_is_taken() -> None:
    measured = times(avx2=3.0, generic=9.0)
    assert fastest(measured, LEVELS, torch_allowed=False) == AVX2


def test_the_numbers_are_told() -> None:
    measured = {"avx2": {"1 row": Timed(3.0, 12.0), "8 rows": Timed(20.125, 100.0)}}
    assert told(measured) == "1 row: avx2 3 ms, torch 12 ms; 8 rows: avx2 20.1 ms, torch 100 ms"


class Bench:
    """Levels of given milliseconds beside a torch of ten, by a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **level_ms: float) -> None:
        self.level_ms, self.now_s, self.asked = level_ms, 0.0, 0
        monkeypatch.setattr(
            choice, "compare", lambda one, two: choice_compare(one, two, lambda: self.now_s)
        )

    def __call__(self, level: Level | None) -> Works:
        self.asked += 1
        step_ms = 10.0 if level is None else self.level_ms[level.name]
        if step_ms < 0:
            raise NativeUnavailable("it does not load")

        def step() -> None:
            self.now_s += step_ms / 1000

        return {"1 row": Way(step)}


choice_compare = choice.compare


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "native"
    monkeypatch.setenv("CSM_NATIVE_DIR", str(directory))
    monkeypatch.setattr(Library, "path", lambda self, level: directory / f"{level.name}-1.so")
    return directory


def run(bench: Bench, *, torch_allowed: bool = True, **subject: object) -> Level:
    possible = [level for level in LEVELS if level.name in bench.level_ms]
    return choose("it", LIBRARY, possible, subject, bench, torch_allowed=torch_allowed)


def test_it_is_measured_once_told_and_remembered(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(monkeypatch, avx512=4.0, avx2=2.0)
    with caplog.at_level(logging.INFO):
        assert run(bench) == AVX2
        assert run(bench) == AVX2
    numbers = "1 row: avx512 4 ms, avx2 2 ms, torch 10 ms"
    assert caplog.messages == [
        f"it: level avx2 is taken ({numbers}; measured now)",
        f"it: level avx2 is taken ({numbers}; measured before)",
    ]
    assert bench.asked == 3
    assert [path.name[:7] for path in place.iterdir()] == ["choice-"]


def test_torch_where_it_is_faster_is_an_error_with_the_numbers_and_remembered(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch, generic=20.0)
    for when in ("measured now", "measured before"):
        with pytest.raises(TorchIsFaster, match=f"generic 20 ms, torch 10 ms; {when}"):
            run(bench)
    assert bench.asked == 2
    assert run(bench, torch_allowed=False) == GENERIC
    assert bench.asked == 2


@pytest.mark.usefixtures("place")
def test_another_model_processor_or_library_is_measured_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, avx2=2.0)
    run(bench, width=64)
    run(bench, width=65)
    assert bench.asked == 4
    monkeypatch.setattr(levels, "processor", lambda: "another")
    run(bench, width=65)
    assert bench.asked == 6
    monkeypatch.setattr(Library, "path", lambda self, level: Path(f"{level.name}-2.so"))
    run(bench, width=65)
    assert bench.asked == 8


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"avx2": {}}',
        b'{"avx2": {"1 row": [1]}}',
        b'{"avx2": {"1 row": [0, 1]}}',
        b'{"avx2": {"1 row": [true, 1]}}',
        b'{"avx2": {"1 row": [NaN, 1]}}',
        b'{"unheard": {"1 row": [1, 1]}}',
        b"[" * 60_000,
        b" " * (choice_cache.MAX_BYTES + 1),
    ],
)
def test_a_file_that_is_none_of_ours_is_measured_anew_and_replaced(
    content: bytes, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch, avx2=2.0)
    assert run(bench) == AVX2
    (file,) = place.iterdir()
    file.write_bytes(content)
    assert run(bench) == AVX2
    assert bench.asked == 4
    assert json.loads(file.read_text()) == {"avx2": {"1 row": pytest.approx([2, 10])}}


def test_a_place_that_cannot_be_written_costs_a_measurement_each_time(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    monkeypatch.setenv("CSM_NATIVE_DIR", str(blocker / "below"))
    bench = Bench(monkeypatch, avx2=2.0)
    assert run(bench) == run(bench) == AVX2
    assert bench.asked == 4


def test_of_many_models_the_last_are_remembered(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.mkdir(mode=0o700)
    library = place / "csm-generator-0-avx2-0.so"
    library.touch()
    for age in range(choice_cache.KEPT + 5):
        old = place / f"choice-{age:016x}.json"
        old.touch()
        os.utime(old, (time.time() - 100 - age,) * 2)
    run(Bench(monkeypatch, avx2=2.0))
    assert len(list(place.glob("choice-*.json"))) == choice_cache.KEPT
    assert not (place / f"choice-{choice_cache.KEPT:016x}.json").exists()
    assert library.exists()


@pytest.mark.usefixtures("place")
def test_a_level_that_does_not_load_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, avx512=-1.0, avx2=2.0)
    assert run(bench) == AVX2
    with pytest.raises(NativeUnavailable, match="it does not load"):
        run(Bench(monkeypatch, avx512=-1.0))


def test_the_processor_is_told_from_others() -> None:
    assert levels.processor().split(";")[0]
    assert all(feature in levels.processor() for feature in levels.processor_features())
