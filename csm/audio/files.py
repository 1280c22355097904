"""Audio files in: whatever people send, recognised by its content, as mono at the rate asked for.

A file is decoded twice, a block at a time: first to see that it can be used and what it is like,
then for its samples, which by then are known to be at their right level.
"""

import contextlib
import io
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from csm.audio.decoders import FileDecoder, opened
from csm.audio.pcm import AudioError, AudioTooLong, Samples, check_finite
from csm.audio.recording import Reading, reading_of
from csm.audio.resample import Resampler
from csm.audio.survey import Survey
from csm.audio.writing import write_audio

__all__ = ["Recording", "read_audio", "write_audio"]


def read_audio(
    source: Path | str | bytes | BinaryIO,
    *,
    name: str = "audio",
    max_seconds: float | None,
    rate_hz: int | None = None,
    mend: bool = False,
    warnings: list[str] | None = None,
) -> tuple[Samples, int]:
    """A whole recording as mono float32 [N], full scale -1..1, and its rate in Hz.

    WAV, FLAC, Ogg, MP3, AIFF, CAF, AU and W64, and with the extra `av` MPEG-4, WebM, AAC and AMR;
    1 to 6 channels, averaged (empty ones left out). `name` is the field that errors name (for a
    path, the path unless a name is given). `rate_hz` resamples while it reads; None keeps the
    recording's own rate. Memory is bounded by `max_seconds` at the rate that comes out, whatever
    the header says; None bounds nothing. `mend` and `warnings` as in `Recording`; the latter are
    added to the list.

    Raises `AudioError`: unreadable, empty, not audio, truncated, zero frames, NaN or infinite
    samples, a rate or channel count out of range, longer than `max_seconds`.
    """
    if isinstance(source, (str, Path)):
        field = str(source) if name == "audio" else name
        try:
            with open(source, "rb") as opened_file:
                recording = Recording(opened_file, field, max_seconds, mend)
                return _whole(recording, rate_hz, warnings)
        except OSError as error:
            raise AudioError(field, f"cannot be read: {error.strerror or error}") from error
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    if not file.seekable():
        file = io.BytesIO(file.read())
    return _whole(Recording(file, name, max_seconds, mend), rate_hz, warnings)


def _whole(
    recording: "Recording", rate_hz: int | None, warnings: list[str] | None
) -> tuple[Samples, int]:
    for _ in recording.survey():
        pass
    if warnings is not None:
        warnings += recording.warnings
    return np.concatenate(list(recording.blocks(rate_hz))), rate_hz or recording.rate_hz


class Recording:
    """A file that is surveyed, then read: `survey` to its end, then `blocks`.

    With `mend` what is harmless is mended: a constant offset, a level far off, long silence at the
    ends.
    """

    def __init__(
        self,
        file: BinaryIO,
        field: str = "audio",
        max_seconds: float | Fraction | None = None,
        mend: bool = False,
    ) -> None:
        """`file` can seek; `field` is what errors are about."""
        self._file = file
        self._field = field
        self._max_seconds = max_seconds
        self._mend = mend
        self._reading: Reading | None = None
        self._source_warnings: tuple[str, ...] = ()
        self.rate_hz = 0
        """Of the file, once it is surveyed."""

    @property
    def warnings(self) -> list[str]:
        """What is odd about it, a sentence each, once it is surveyed."""
        return [*self._source_warnings, *(self._reading.warnings if self._reading else ())]

    def survey(self) -> Iterator[int]:
        """Decodes all of it, a block at each turn, and keeps what it is like; gives the samples
        so far.

        A length that the header declares is refused before the first block, one that it leaves
        open in the block that passes the limit. Raises `AudioError`.
        """
        with opened(self._file, self._field) as decoder:
            survey = Survey(decoder.rate_hz, decoder.channels)
            limit = self._limit(decoder)
            for block in decoder.blocks():
                self._check(block, survey.num_samples)
                survey.feed(block)
                if limit is not None and survey.num_samples > limit:
                    raise self._too_long()
                yield survey.num_samples
            self._check_length(decoder, survey.num_samples)
            self.rate_hz = decoder.rate_hz
            self._source_warnings = decoder.warnings
            self._reading = reading_of(
                survey,
                field=self._field,
                gain=decoder.gain,
                is_float=decoder.is_float,
                mend=self._mend,
            )

    def blocks(self, rate_hz: int | None = None) -> Iterator[Samples]:
        """Mono samples [n] at `rate_hz`; None: at the file's own rate.

        Raises `AudioError` where the file is not what it was when it was surveyed.
        """
        if self._reading is None:
            raise RuntimeError("`survey` comes first")
        resampler = Resampler(self.rate_hz, rate_hz or self.rate_hz)
        with (
            opened(self._file, self._field) as decoder,
            contextlib.closing(self._limited(decoder)) as blocks,
        ):
            for mono in self._reading.mono(blocks):
                yield resampler.feed(mono)
        yield resampler.finish()

    def _limited(self, decoder: FileDecoder) -> Generator[NDArray[np.float32], None, None]:
        limit, total = self._limit(decoder), 0
        for block in decoder.blocks():
            total += len(block)
            if limit is not None and total > limit:
                raise self._too_long()
            yield block

    def _limit(self, decoder: FileDecoder) -> int | None:
        if self._max_seconds is None:
            return None
        limit = int(self._max_seconds * decoder.rate_hz)
        # What an encoder put before and behind the sound is no sound.
        if decoder.declared is not None and decoder.declared > limit:
            raise self._too_long()
        return limit

    def _check(self, block: NDArray[np.float32], first_sample: int) -> None:
        # Finite samples have a finite sum unless they are huge; the loop over them is slower.
        if not np.isfinite(block.sum(dtype=np.float64)):
            for channel in block.T:
                check_finite(channel, self._field, first_sample)

    def _check_length(self, decoder: FileDecoder, num_samples: int) -> None:
        if not num_samples:
            raise AudioError(self._field, "has zero frames; allowed is at least 1")
        declared, slack = decoder.declared, decoder.slack_samples
        if declared is not None and slack is not None and num_samples + slack < declared:
            raise AudioError(
                self._field,
                f"is truncated: its header declares {declared} samples a channel, {num_samples} "
                "are there",
            )

    def _too_long(self) -> AudioTooLong:
        longest_s = float(self._max_seconds or 0)
        return AudioTooLong(
            self._field, f"is longer than {longest_s:g} s, the most that is allowed"
        )
