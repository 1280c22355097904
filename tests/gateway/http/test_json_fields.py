"""JSON that is wrong all over is refused without being read to its end."""

from typing import Any

import pytest

from csm import errors
from csm.v1 import speech_pb2
from gateway.http.json_fields import MAX_ITEMS, fill
from gateway.violations import MAX_KEPT, Violations


def wrong(data: dict[str, Any]) -> errors.InvalidArgument:
    found = Violations()
    fill(speech_pb2.SynthesizeRequest(), data, "csm", found)
    with pytest.raises(errors.InvalidArgument) as caught:
        found.raise_any()
    return caught.value


def test_unknown_fields_are_not_told_one_by_one_without_end() -> None:
    error = wrong({f"a{number}": 1 for number in range(85_000)})
    assert "csm: has an unknown field a0; allowed are " in error.message
    assert len(error.violations) == MAX_KEPT


def test_an_array_of_faults_costs_no_more_than_the_first_of_them() -> None:
    error = wrong({"text_options": {"lexicon": [1] * MAX_ITEMS}})
    assert "csm.text_options.lexicon[0]: must be an object" in error.message
    assert len(error.violations) == MAX_KEPT


@pytest.mark.parametrize("item", [{}, 1])
def test_an_array_that_is_far_too_long_is_refused_by_its_length(item: object) -> None:
    (violation,) = wrong({"text_options": {"lexicon": [item] * 350_000}}).violations
    assert violation.field == "csm.text_options.lexicon"
    assert violation.description == f"has 350000 items; allowed are at most {MAX_ITEMS}"
