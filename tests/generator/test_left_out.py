"""Each segment that is left out is counted once."""

from services.generator.left_out import LeftOut


def test_what_was_left_out_before_is_not_counted_again() -> None:
    counts = LeftOut()
    assert [counts.newly("a", n) for n in (3, 3, 5, 5)] == [3, 0, 2, 0]
    assert counts.newly("b", 3) == 3


def test_a_history_that_begins_later_starts_from_what_it_lacks() -> None:
    counts = LeftOut()
    assert [counts.newly("a", n) for n in (5, 1, 2)] == [5, 0, 1]


def test_owners_are_forgotten_by_name_and_from_the_one_used_longest_ago() -> None:
    counts = LeftOut(max_owners=2)
    for owner in ("a", "b", "a", "c"):
        counts.newly(owner, 4)
    assert [counts.newly(owner, 4) for owner in ("a", "b")] == [0, 4]
    counts.forget("b")
    assert counts.newly("b", 4) == 4
