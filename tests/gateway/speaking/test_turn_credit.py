"""Credit for the generator comes in batches."""

from gateway.speaking.turn_credit import TurnCredit


def test_credit_is_given_for_a_third_of_the_window_at_a_time() -> None:
    credit = TurnCredit(12)
    given = [credit.give(1) for _ in range(12)]
    assert given == [0, 0, 0, 4] * 3
    assert credit.granted == 24


def test_a_small_window_is_given_back_at_once() -> None:
    credit = TurnCredit(2)
    assert [credit.give(1) for _ in range(3)] == [1, 1, 1]
