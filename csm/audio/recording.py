"""How a recording is read: which channels, at which scale, what is mended, what is said of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csm.audio.pcm import AudioError, Samples, mix_down
from csm.audio.survey import FULL_SCALE, Survey

INTEGER_SCALES = (32_768.0, 8_388_608.0, 2_147_483_648.0)
"""Full scale of samples that somebody made floats and did not scale."""
LOUDEST_FLOAT = 64.0
"""A float sample beyond it is at the scale of integers."""
EMPTY_CHANNEL = 1e-4
"""Power of a channel below which it is empty, beside the loudest: 40 dB less."""
CANCELLED = 1e-2
"""Power of the channels' mean below which they cancel each other: 20 dB less."""
SILENT = 10 ** (-70 / 20)
SILENT_WARNING = "it is silent: its level is more than 70 dB below full scale"
QUIET, USUAL = 10 ** (-46 / 20), 10 ** (-23 / 20)
"""Levels of speech, as RMS where there is sound; full scale is 1."""
MOST_OFFSET = 0.02
LEAST_OFFSET_S = 0.25
"""What is shorter has a mean because it is a piece of a wave."""
MOST_CLIPPED_S = 0.01
END_SILENCE_S, KEPT_SILENCE_S = 1.0, 0.1
"""Silence at an end that is worth a word, and what is left of it."""
LEAST_S = 0.08
LOUD_PEAK = 1.5
"""Decoders of lossy files go a little beyond full scale."""
_PEAK_AFTER = 0.95


@dataclass(frozen=True)
class Reading:
    """How the second reading of a file makes mono samples of it."""

    weights: NDArray[np.float64] | None = None
    """Of the channels; None: their mean."""
    gain: float = 1.0
    offset: float = 0.0
    """Taken off before the gain."""
    first_sample: int = 0
    end_sample: int | None = None
    warnings: tuple[str, ...] = ()

    def mono(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Samples]:
        """Mono blocks [n] of interleaved blocks [n, C], each in memory of its own."""
        at = 0
        for block in blocks:
            first = max(0, self.first_sample - at)
            end = len(block) if self.end_sample is None else max(0, self.end_sample - at)
            at += len(block)
            if (kept := block[first:end]).size:
                yield self._mixed(kept)

    def _mixed(self, block: NDArray[np.float32]) -> Samples:
        if self.weights is None:
            mono = mix_down(block)
        else:
            mono = (block.astype(np.float64) @ self.weights).astype(np.float32)
        if self.offset or self.gain != 1.0:
            scaled = (mono.astype(np.float64) - self.offset) * self.gain
            return scaled.astype(np.float32)
        # A copy: the mono of one channel is the buffer itself.
        return mono.copy() if mono.base is not None or block.shape[1] == 1 else mono


def reading_of(survey: Survey, *, field: str, gain: float, is_float: bool, mend: bool) -> Reading:
    """How to read what was surveyed; `gain` is the container's, `is_float` its kind of samples.

    With `mend` a constant offset goes, a level far off becomes a usual one, and long silence at the
    ends is cut. Without it samples are what the file says, at the scale that it means.

    Raises `AudioError` about `field` where the samples are at no scale.
    """
    return _Judgement(survey, mend).reading(field, gain, is_float)


class _Judgement:
    """What is said of a recording, and what is done."""

    def __init__(self, survey: Survey, mend: bool) -> None:
        self._survey = survey
        self._mend = mend
        self._warnings: list[str] = []

    def reading(self, field: str, gain: float, is_float: bool) -> Reading:
        survey = self._survey
        if is_float and survey.peak > LOUDEST_FLOAT:
            gain /= self._integer_scale(field)
        weights = self._weights()
        mixed = np.full(len(survey.means), 1 / len(survey.means)) if weights is None else weights
        levels = survey.levels() * gain
        if survey.num_samples < LEAST_S * survey.rate_hz:
            length_ms = survey.num_samples * 1000 / survey.rate_hz
            plural = "s" * (survey.num_samples != 1)
            self._say(f"it has {survey.num_samples} sample{plural} ({length_ms:.3g} ms) only")
        offset = self._offset(float(survey.means @ mixed), gain)
        if levels.max(initial=0.0) < SILENT:
            self._say(SILENT_WARNING)
            return Reading(weights, gain, offset, warnings=tuple(self._warnings))
        if survey.clipped_s >= MOST_CLIPPED_S and survey.peak * gain >= FULL_SCALE:
            self._say(f"it is clipped: {survey.clipped_s * 1000:.0f} ms are at full scale")
        sounding = np.flatnonzero(levels > max(SILENT, levels.max() / 100))
        first, end = self._ends(int(sounding[0]), int(sounding[-1]) + 1)
        rms = float(np.sqrt(np.mean(levels[sounding] ** 2)))
        gain *= self._levelling(rms, survey.peak * gain, abs(offset) * gain)
        return Reading(weights, gain, offset, first, end, tuple(self._warnings))

    def _say(self, warning: str) -> None:
        self._warnings.append(warning)

    def _integer_scale(self, field: str) -> float:
        peak = self._survey.peak
        for scale in INTEGER_SCALES:
            if peak <= scale:
                self._say(f"its floats go up to {peak:.6g}: they were divided by {scale:.0f}")
                return scale
        raise AudioError(
            field,
            f"has floats up to {peak:.6g}; allowed are -1..1, or integers of at most 32 bits as "
            "floats",
        )

    def _weights(self) -> NDArray[np.float64] | None:
        """Of the channels in the mono that is read; None: their mean."""
        covariance = self._survey.covariance
        powers = covariance.diagonal()
        channels, loudest = len(powers), int(powers.argmax())
        if channels == 1 or powers[loudest] <= 0:
            return None
        full = powers > powers[loudest] * EMPTY_CHANNEL
        weights = full / full.sum()
        if weights @ covariance @ weights < powers[loudest] * CANCELLED:
            self._say(
                f"its {channels} channels cancel each other (one has its poles reversed): channel "
                f"{loudest + 1} alone was read"
            )
            return np.eye(channels)[loudest]
        if full.all():
            return None
        numbers = [str(at + 1) for at in np.flatnonzero(~full)]
        plural = "s" * (len(numbers) != 1)
        self._say(f"channel{plural} {', '.join(numbers)} of {channels} empty: left out")
        return weights

    def _offset(self, mean: float, gain: float) -> float:
        """What is taken off each sample before the gain."""
        survey = self._survey
        if abs(mean * gain) < MOST_OFFSET or survey.num_samples < LEAST_OFFSET_S * survey.rate_hz:
            return 0.0
        done = "; it was taken off" if self._mend else ""
        self._say(f"it has a constant offset of {mean * gain:.3g} of full scale{done}")
        return mean if self._mend else 0.0

    def _ends(self, first_window: int, end_window: int) -> tuple[int, int | None]:
        """The samples that are kept, of those windows that sound."""
        survey = self._survey
        rate_hz, total = survey.rate_hz, survey.num_samples
        first, end = survey.first_sample(first_window), survey.first_sample(end_window)
        kept = round(KEPT_SILENCE_S * rate_hz)
        cut = f"; all but {KEPT_SILENCE_S * 1000:.0f} ms were cut" if self._mend else ""
        kept_first, kept_end = 0, None
        if first > END_SILENCE_S * rate_hz:
            self._say(f"it begins with {first / rate_hz:.1f} s of silence{cut}")
            kept_first = first - kept
        if total - end > END_SILENCE_S * rate_hz:
            self._say(f"it ends with {(total - end) / rate_hz:.1f} s of silence{cut}")
            kept_end = end + kept
        return (kept_first, kept_end) if self._mend else (0, None)

    def _levelling(self, rms: float, peak: float, offset: float) -> float:
        """What the samples are multiplied by besides, for speech of the level `rms`."""
        if rms >= QUIET and peak <= LOUD_PEAK:
            return 1.0
        factor = min(USUAL / rms, _PEAK_AFTER / max(peak - offset, rms))
        done = f"; it was made {20 * np.log10(factor):+.0f} dB louder" if self._mend else ""
        if rms < QUIET:
            self._say(f"it is quiet: {20 * np.log10(rms):.0f} dB of full scale{done}")
        else:
            over = 20 * np.log10(peak)
            self._say(f"it goes {over:.0f} dB beyond full scale{done}")
        return factor if self._mend else 1.0
