import math

import pytest

from csm.limits import sampling_violations
from csm.v1 import common_pb2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"temperature": 10.5}, "10.5 is not allowed; must be 0..10"),
        ({"depth_temperature": math.nan}, "nan is not allowed; must be 0..10"),
        ({"top_k": 1_234_567}, "1234567 is not allowed; must be 0..65536"),
        ({"top_p": 0.0}, "0 is not allowed; must be above 0 and at most 1"),
        ({"min_audio_ms": 12_345_678}, "12345678 is not allowed; must be 0..600000"),
    ],
)
def test_a_value_out_of_range_is_shown_with_what_is_allowed(given: dict, says: str) -> None:
    (found,) = sampling_violations("x", common_pb2.Sampling(**given))
    assert found.field == f"x.{next(iter(given))}"
    assert found.description == says


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"temperature": 0, "depth_temperature": 10, "top_k": 65536, "top_p": 1},
        {"top_p": 0.01, "top_k": 0, "min_audio_ms": 600_000, "seed": 2**64 - 1},
    ],
)
def test_the_edges_of_the_ranges_are_allowed(given: dict) -> None:
    assert sampling_violations("x", common_pb2.Sampling(**given)) == []
