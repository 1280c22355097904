from collections.abc import Callable

import numpy as np
import pytest

from training.evaluate import resemblance
from training.evaluate.packages import missing
from training.evaluate.resemblance import Resemblance

LACKING = missing(*resemblance.MODULES)


def test_the_nearest_mean_is_the_most_similar() -> None:
    rows = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    found = Resemblance.fit(rows, [0, 0, 1])
    np.testing.assert_allclose(found.means, [[1, 0], [0, 1]])
    assert found.similarities(np.array([3.0, 4.0])) == pytest.approx([0.6, 0.8])
    assert found.similarities(np.zeros(2)) == [0.0, 0.0]


def test_bad_arguments_are_named() -> None:
    rows = np.eye(3)
    with pytest.raises(ValueError, match="speakers: 2 are not allowed, must be 3"):
        Resemblance.fit(rows, [0, 1])
    with pytest.raises(ValueError, match=r"speakers: \[2, 0, 1\] clips"):
        Resemblance.fit(rows, [0, 0, 2])
    with pytest.raises(ValueError, match=r"means: shape \[1, 3\]"):
        Resemblance.fit(rows, [0, 0, 0])
    with pytest.raises(ValueError, match="means: shape"):
        Resemblance(np.zeros((2, 3)))


@pytest.mark.skipif(bool(LACKING), reason=f"missing: {', '.join(LACKING)}")
def test_a_voice_is_nearer_to_itself(
    formant_voice: Callable[[int, float, int], np.ndarray],
) -> None:
    rows = [resemblance.embed(formant_voice(who, 2.0, n), 24_000) for who in (0, 3) for n in (1, 2)]
    assert rows[0].shape == (256,)
    means = Resemblance.fit(np.array(rows), [0, 0, 1, 1])
    for who in (0, 3):
        near = means.similarities(resemblance.embed(formant_voice(who, 2.0, 7), 24_000))
        assert int(np.argmax(near)) == (who == 3)
    assert np.isfinite(resemblance.embed(np.zeros(24_000, np.float32), 24_000)).all()
