"""Audio files without a header: what they hold is what the caller says."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csm.audio.pcm import TELEPHONE_RATE_HZ, AudioError, check_rate
from csm.cli.options import TELEPHONE_SUFFIXES, SampleEncoding
from csm.cli.reporting import CommandError
from csm.client.formats import AudioFormat, to_float


@dataclass(frozen=True)
class RawFormat:
    """What a file's samples are; checked before it is read."""

    form: AudioFormat

    @classmethod
    def of(
        cls, path: Path, encoding: SampleEncoding | None, rate_hz: int, channels: int | None
    ) -> "RawFormat | None":
        """By the options, or by a suffix of telephone audio; None: the file has a header.

        Raises `CommandError` where they do not go together, `AudioError` about a rate.
        """
        encoding = encoding or TELEPHONE_SUFFIXES.get(path.suffix.lower())
        if encoding is None:
            if rate_hz or channels is not None:
                option = "--rate" if rate_hz else "--channels"
                raise CommandError(
                    f"{option} is for a file without a header; say --encoding too, one of "
                    f"{', '.join(SampleEncoding)}"
                )
            return None
        if encoding in (SampleEncoding.MULAW, SampleEncoding.ALAW):
            rate_hz = rate_hz or TELEPHONE_RATE_HZ
        elif not rate_hz:
            raise CommandError(
                f"--encoding {encoding.value} wants --rate: the file has no header that says it"
            )
        check_rate(rate_hz, "--rate")
        form = AudioFormat(encoding.value, rate_hz, 1 if channels is None else channels)
        return cls(form)

    def read(self, path: Path, max_seconds: float) -> tuple[NDArray[np.float32], int]:
        """Mono samples [N] and their rate. Raises `CommandError`; reads no more than is allowed."""
        form = self.form
        most_bytes = int(max_seconds * form.sample_rate_hz) * form.sample_bytes
        try:
            with path.open("rb") as file:
                data = file.read(most_bytes + 1)
        except OSError as error:
            raise CommandError(f"{path}: cannot be read: {error.strerror or error}") from error
        if not data:
            raise CommandError(f"{path}: is empty (0 bytes)")
        if len(data) > most_bytes:
            raise CommandError(
                f"{path}: is longer than {max_seconds:g} s, the most that is allowed"
            )
        try:
            return to_float(data, form), form.sample_rate_hz
        except AudioError as error:
            raise CommandError(f"{path}: {error.description}") from None
