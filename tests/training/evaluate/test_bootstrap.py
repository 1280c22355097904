import numpy as np
import pytest

from training.evaluate import bootstrap


def test_a_mean_lies_within_its_interval() -> None:
    values = np.random.default_rng(1).normal(3.0, 0.5, size=100)
    found = bootstrap.mean(values.tolist())
    assert found.value == pytest.approx(values.mean())
    # 1.96 standard errors of 0.05 to both sides.
    assert found.low == pytest.approx(values.mean() - 0.1, abs=0.03)
    assert found.high == pytest.approx(values.mean() + 0.1, abs=0.03)


def test_long_sentences_weigh_more_in_a_ratio() -> None:
    found = bootstrap.ratio([0, 5], [10, 10])
    assert found.value == 0.25
    assert (found.low, found.high) == (0.0, 0.5)
    assert bootstrap.ratio([1, 0], [1, 9]).value == 0.1


def test_the_same_values_give_the_same_interval() -> None:
    assert bootstrap.mean([1, 2, 4]) == bootstrap.mean([1, 2, 4])
    assert bootstrap.mean([2.0]) == bootstrap.Interval(2.0, 2.0, 2.0)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="below: 1 are not allowed, must be 2"):
        bootstrap.ratio([1, 2], [3])
    with pytest.raises(ValueError, match="a sum of 0"):
        bootstrap.mean([])
    with pytest.raises(ValueError, match="resamples: 0"):
        bootstrap.mean([1.0], resamples=0)
