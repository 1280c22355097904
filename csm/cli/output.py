"""An audio file that is written as its PCM comes."""

import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import get_args

import numpy as np

from csm.audio.files import write_audio
from csm.audio.pcm import AudioError, BitDepth
from csm.audio.wav import WavStream
from csm.cli.options import Container, SampleFormat
from csm.cli.place import STANDARD_OUTPUT, check_writable, whole_file
from csm.cli.reporting import CommandError
from csm.client.formats import AudioFormat, Encoding, to_float

_ENCODINGS: dict[SampleFormat, Encoding] = {
    SampleFormat.U8: "u8",
    SampleFormat.S16: "s16",
    SampleFormat.S24: "s24",
    SampleFormat.S32: "s32",
    SampleFormat.FLOAT: "f32",
}
_DEPTHS: dict[Container, tuple[SampleFormat, ...]] = {
    Container.WAV: tuple(SampleFormat),
    Container.FLAC: (SampleFormat.U8, SampleFormat.S16, SampleFormat.S24),
    # Lossy: no depth of their own.
    Container.OGG: (),
    Container.MP3: (),
}
# What MPEG audio knows; the other containers take any rate that a server gives.
_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


class Output:
    """What is to be written where; checked before the work begins.

    `-` writes a WAV to standard output; a device or a FIFO gets what a file would hold. Raises
    `CommandError` where format, suffix, rate and depth do not go together, or the place cannot be
    written to.
    """

    def __init__(
        self, path: Path, container: Container | None, rate_hz: int, depth: SampleFormat | None
    ) -> None:
        self.path = path
        self.container = container or self._by_suffix()
        self.rate_hz = rate_hz
        allowed = _DEPTHS[self.container]
        if depth is not None and depth not in allowed:
            choice = f"one of {', '.join(allowed)}" if allowed else "no --bit-depth"
            raise CommandError(
                f"--bit-depth {depth.value} is not allowed for {self.container.value}; {choice}"
            )
        self.depth = depth or SampleFormat.S16
        if self.container is Container.MP3 and rate_hz and rate_hz not in _MP3_RATES_HZ:
            rates = ", ".join(map(str, _MP3_RATES_HZ))
            raise CommandError(f"--rate {rate_hz} is not allowed for mp3; one of {rates}")
        if path == STANDARD_OUTPUT and self.container is not Container.WAV:
            raise CommandError("standard output takes a WAV only; use --format wav")
        check_writable(path)

    def _by_suffix(self) -> Container:
        if self.path == STANDARD_OUTPUT:
            return Container.WAV
        suffix = self.path.suffix.lower().removeprefix(".")
        if suffix not in list(Container):
            names = ", ".join("." + one for one in Container)
            raise CommandError(f"{self.path}: the suffix is none of {names}; or say --format")
        return Container(suffix)

    @property
    def format(self) -> AudioFormat:
        """What to ask a server for: what a WAV stores, floats for what is compressed here."""
        lossless = self.container is Container.WAV
        return AudioFormat(_ENCODINGS[self.depth] if lossless else "f32", self.rate_hz)

    def open(self, form: AudioFormat) -> "AudioFile":
        """The file, for PCM in `form` (complete: with its rate)."""
        return AudioFile(self, form)


class AudioFile:
    """An open output. A WAV grows as it is written; the others are compressed at the end."""

    def __init__(self, output: Output, form: AudioFormat) -> None:
        self._output, self._format = output, form
        self.num_bytes = 0
        self._stream: WavStream | None = None
        self._kept: list[bytes] = []
        if output.container is Container.WAV:
            to_stdout = output.path == STANDARD_OUTPUT
            target = sys.stdout.buffer if to_stdout else output.path
            self._stream = WavStream(target, form)
        else:
            # A rate that the format does not take is said before the work, not after it.
            with tempfile.TemporaryDirectory(prefix="csm-") as trial:
                self._compress(np.zeros(1, np.float32), Path(trial) / f"x.{output.container.value}")

    @property
    def duration_s(self) -> float:
        """Seconds of audio so far."""
        return self.num_bytes / self._format.sample_bytes / self._format.sample_rate_hz

    def write(self, pcm: bytes) -> None:
        """Appends whole samples."""
        self.num_bytes += len(pcm)
        if self._stream:
            self._stream.write(pcm)
        else:
            self._kept.append(pcm)

    def _compress(self, samples: np.ndarray, file: Path) -> None:
        depth: BitDepth = next(d for d in get_args(BitDepth) if d == self._output.depth.value)
        try:
            write_audio(file, samples, self._format.sample_rate_hz, bit_depth=depth)
        except AudioError as error:
            # Of the place that the user named, not of the file that is put there afterwards.
            raise CommandError(f"{self._output.path}: {error.description}") from None

    def close(self) -> None:
        """Completes the file with what was written, also where the work broke off."""
        if self._stream:
            self._stream.close()
        elif self._kept:
            kept, self._kept = self._kept, []
            output = self._output
            with whole_file(output.path, f".{output.container.value}") as part:
                self._compress(to_float(b"".join(kept), self._format), part)

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
