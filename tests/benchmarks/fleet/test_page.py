"""docs/scaling.md says what was measured, and nothing else."""

import json

import pytest

from benchmarks.fleet import everything
from benchmarks.fleet.__main__ import main
from benchmarks.fleet.capacity import Capacity, Prices
from benchmarks.fleet.page import PAGE, TABLES, rendered, stored


@pytest.fixture(scope="module")
def capacity() -> Capacity:
    return Capacity(*stored(), Prices())


def test_the_tables_are_those_of_the_stored_figures() -> None:
    text = PAGE.read_text()
    assert rendered(text, *stored(), Prices()) == text


def test_other_figures_and_other_prices_make_another_page() -> None:
    text = PAGE.read_text()
    figures, performance = stored()
    assert rendered(text, figures, performance, Prices(core_hour=1.0)) != text
    slower = json.loads(json.dumps(figures))
    for run in slower["streams"]["runs"]:
        run["gateway_cpu_ms_a_frame"] *= 3
    assert rendered(text, slower, performance, Prices()) != text


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="where"):
        rendered("nothing", *stored(), Prices())


def test_every_part_that_the_tables_need_was_measured() -> None:
    assert set(everything.PARTS) <= set(stored()[0])
    assert set(TABLES) == {"where", "capacity", "streams", "cost", "sizes", "day", "store"}


def test_ten_times_the_conversations_take_ten_times_as_much(capacity: Capacity) -> None:
    one, ten = capacity.at(100_000, 16), capacity.at(1_000_000, 16)
    for name in ("speaking", "frames_per_s", "redis_per_s", "redis_gib", "gbit_per_s"):
        assert ten[name] == pytest.approx(10 * one[name])
    assert ten["gateways"] == pytest.approx(10 * one["gateways"], rel=0.01)
    assert ten["connections"] > 90 * one["connections"]


def test_an_hour_of_speech_takes_the_gateway_as_long_as_its_frames(capacity: Capacity) -> None:
    hours = capacity.gateway_core_hours
    assert hours == pytest.approx(45_000 * capacity.gateway_ms / 1000 / 3600)
    assert capacity.speakers_a_core * hours == pytest.approx(1.0)


def test_the_recommended_targets_keep_the_objective(capacity: Capacity) -> None:
    rows = {(r["slots"], r["discovery_s"], r["target"]): r for r in capacity.day["rows"]}
    kept = [r for r in capacity.day["recommended"] if r["target"]]
    assert kept
    for one in kept:
        row = rows[one["slots"], one["discovery_s"], one["target"]]
        assert row["late_percent"] <= 1.0
        assert row["refused_percent"] <= 0.1


def test_a_part_that_is_none_is_named() -> None:
    with pytest.raises(SystemExit, match="'stream' is no part; there are gateway, streams"):
        main(["all", "--only", "store,stream"])
