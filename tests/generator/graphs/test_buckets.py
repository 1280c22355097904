"""The shapes that graphs are recorded for."""

import pytest

from services.generator.graphs.buckets import doublings, smallest


def test_sizes_double_up_to_the_last() -> None:
    assert doublings(1, 8) == (1, 2, 4, 8)
    assert doublings(256, 1000) == (256, 512, 1000)
    assert doublings(5, 5) == (5,)
    assert doublings(9, 5) == (5,)


def test_the_smallest_that_holds_is_taken() -> None:
    sizes = doublings(1, 6)
    assert [smallest(sizes, n) for n in range(1, 7)] == [1, 2, 4, 4, 6, 6]
    with pytest.raises(ValueError, match="needed: 7 is not allowed, must be <= 6"):
        smallest(sizes, 7)


@pytest.mark.parametrize(("first", "last", "name"), [(0, 4, "first"), (1, 0, "last")])
def test_sizes_below_one_are_refused(first: int, last: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: 0 is not allowed"):
        doublings(first, last)
