from collections.abc import Callable

import numpy as np
import pytest

from training.evaluate import dnsmos
from training.evaluate.dnsmos import Dnsmos
from training.evaluate.packages import missing

LACKING = missing(*dnsmos.MODULES)


@pytest.mark.skipif(bool(LACKING), reason=f"missing: {', '.join(LACKING)}")
def test_noise_is_rated_lower_and_loudness_is_not(
    formant_voice: Callable[[int, float, int], np.ndarray],
) -> None:
    voice = formant_voice(0, 2.0, 1)
    noise = np.random.default_rng(0).normal(size=len(voice)).astype(np.float32) * 0.1
    clean, quiet, noisy = Dnsmos().rate([voice, voice * 0.25, voice + noise], 24_000)
    assert noisy.bak < clean.bak - 0.3
    assert 1 <= noisy.ovrl <= clean.ovrl <= 5
    assert quiet.ovrl == pytest.approx(clean.ovrl, abs=0.01)
    assert quiet.p808 == pytest.approx(clean.p808, abs=0.01)


def test_bad_arguments_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="threads: 0 is not allowed"):
        Dnsmos(threads=0)
    monkeypatch.setattr(dnsmos, "MODULES", ("no_such_judge",))
    with pytest.raises(ValueError, match=r"no_such_judge: .*\[training\]"):
        Dnsmos()
