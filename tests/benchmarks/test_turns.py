"""Turns through the engine: the measures that the figures in docs/performance.md come from."""

import pytest

from benchmarks import turns
from services.generator.native.native_csm import NativeCsm
from tests.generator.tiny import tiny_csm


def test_company_changes_nobodys_codes() -> None:
    model = NativeCsm(tiny_csm(), "fp32", threads=1)
    result = turns.company(model, 4, frames=40, slow_reader_s=0.005)
    assert result["frames_compared"] == result["frames_equal"] == 4 * 40
    assert result["slow_reader_gap_ms"]["p50"] >= 4
    assert result["gap_ms"]["p50"] < 4
    assert result["frames_per_s"] > 0


def test_a_second_turn_computes_only_what_is_new() -> None:
    model = NativeCsm(tiny_csm(), "fp32", threads=1)
    result = turns.second_turn(model, history=150, new=12, rounds=2)
    assert result["reused_positions"] == [150, 150]
    assert result["ratio"] > 0


def test_less_than_three_is_no_company() -> None:
    with pytest.raises(ValueError, match="conversations: 2 is not allowed"):
        turns.company(NativeCsm(tiny_csm(), "fp32", threads=1), 2)
