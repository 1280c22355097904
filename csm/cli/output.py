"""An audio file that is written as its samples come."""

import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, get_args

import numpy as np

from csm.audio import opus
from csm.audio.files import write_audio
from csm.audio.pcm import TELEPHONE_RATE_HZ, AudioError, BitDepth
from csm.audio.wav import WavStream
from csm.cli.options import TELEPHONE_SUFFIXES, Container, SampleEncoding, SampleFormat
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
    Container.OPUS: (),
    Container.MP3: (),
    Container.RAW: tuple(SampleFormat),
}
# These are written as they come, so that a pipe can have them too.
_STREAMED = (Container.WAV, Container.RAW, Container.OPUS)
# What MPEG audio knows; the other containers take any rate that a server gives.
_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


class Output:
    """What is to be written where; checked before the work begins.

    `-` writes a WAV, raw samples or Opus to standard output; a device or a FIFO gets what a file
    would hold. Raises `CommandError` where format, suffix, rate, depth and encoding do not go
    together, or the place cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        container: Container | None,
        rate_hz: int,
        depth: SampleFormat | None,
        encoding: SampleEncoding | None = None,
    ) -> None:
        self.path = path
        self.container = container or self._by_suffix()
        self.depth = depth or SampleFormat.S16
        self.encoding = self._checked(depth, encoding)
        """What each sample is stored as; None where the container says that itself."""
        self.rate_hz = rate_hz
        if self.encoding in ("mulaw", "alaw"):
            self.rate_hz = rate_hz or TELEPHONE_RATE_HZ
        self._check_rate()
        if path == STANDARD_OUTPUT and self.container not in _STREAMED:
            raise CommandError(
                "standard output takes a WAV, raw samples or Opus; use --format "
                f"{', '.join(_STREAMED)}"
            )
        check_writable(path)

    def _by_suffix(self) -> Container:
        suffix = self.path.suffix.lower()
        if self.path == STANDARD_OUTPUT:
            return Container.WAV
        if suffix in TELEPHONE_SUFFIXES:
            return Container.RAW
        if suffix.removeprefix(".") not in list(Container):
            names = ", ".join("." + one for one in Container)
            raise CommandError(
                f"{self.path}: the suffix is none of {names}, {', '.join(TELEPHONE_SUFFIXES)}; "
                "or say --format"
            )
        return Container(suffix.removeprefix("."))

    def _checked(
        self, depth: SampleFormat | None, encoding: SampleEncoding | None
    ) -> Encoding | None:
        raw = self.container is Container.RAW
        by_suffix = TELEPHONE_SUFFIXES.get(self.path.suffix.lower()) if raw else None
        if depth is not None and depth not in (allowed := _DEPTHS[self.container]):
            choice = f"one of {', '.join(allowed)}" if allowed else "no --bit-depth"
            raise CommandError(
                f"--bit-depth {depth.value} is not allowed for {self.container.value}; {choice}"
            )
        if encoding is not None and not (raw or self.container is Container.WAV):
            raise CommandError(
                f"--encoding {encoding.value} is not allowed for {self.container.value}; it is for "
                "wav and raw"
            )
        if encoding is not None and depth is not None:
            raise CommandError(
                f"--bit-depth {depth.value} and --encoding {encoding.value}: say one of the two"
            )
        if by_suffix is not None and (depth is not None or encoding not in (None, by_suffix)):
            raise CommandError(
                f"{self.path}: the suffix says {by_suffix.value}; other samples want another one"
            )
        if stored := encoding or by_suffix:
            return stored.value
        if raw and depth is None:
            raise CommandError(
                f"{self.path}: a raw file says nothing of itself; say --encoding, one of "
                f"{', '.join(SampleEncoding)}"
            )
        return _ENCODINGS[self.depth] if raw or self.container is Container.WAV else None

    def _check_rate(self) -> None:
        known = {Container.MP3: _MP3_RATES_HZ, Container.OPUS: opus.RATES_HZ}.get(self.container)
        if known and self.rate_hz and self.rate_hz not in known:
            raise CommandError(
                f"--rate {self.rate_hz} is not allowed for {self.container.value}; one of "
                f"{', '.join(map(str, known))}"
            )

    @property
    def format(self) -> AudioFormat:
        """What to ask a server for: what is stored as it is, else what the encoder here takes."""
        compressed: Encoding = "s16" if self.container is Container.OPUS else "f32"
        return AudioFormat(self.encoding or compressed, self.rate_hz)

    @property
    def told(self) -> str:
        """How samples are stored, for people; empty where the container says it."""
        if self.encoding in ("mulaw", "alaw"):
            return self.encoding
        if self.encoding == "f32":
            return "float"
        if self.encoding is not None:
            return f"{self.encoding[1:]} bit"
        return f"{self.depth.value} bit" if _DEPTHS[self.container] else ""

    def open(self, form: AudioFormat) -> "AudioFile":
        """The file, for PCM in `form` (complete: with its rate)."""
        return AudioFile(self, form)


class _Stream(Protocol):
    """A file that grows."""

    def write(self, pcm: bytes) -> None:
        """Appends whole samples."""

    def close(self) -> None:
        """Completes it."""


class _Bytes:
    """What comes, as it is, or as Opus."""

    def __init__(self, path: Path, encoder: opus.OggOpusEncoder | None) -> None:
        self._owns = path != STANDARD_OUTPUT
        self._file: BinaryIO = open(path, "wb") if self._owns else sys.stdout.buffer  # noqa: SIM115
        self._encoder = encoder

    def write(self, pcm: bytes) -> None:
        self._file.write(self._encoder.feed(pcm) if self._encoder else pcm)
        if not self._owns:
            self._file.flush()

    def close(self) -> None:
        if self._encoder:
            self._file.write(self._encoder.finish())
        self._file.close() if self._owns else self._file.flush()


class AudioFile:
    """An open output. WAV, raw and Opus grow as they are written; the others are compressed at the
    end."""

    def __init__(self, output: Output, form: AudioFormat) -> None:
        self._output, self._format = output, form
        self.num_bytes = 0
        self._stream: _Stream | None = None
        self._kept: list[bytes] = []
        if output.container is Container.WAV:
            to_stdout = output.path == STANDARD_OUTPUT
            target = sys.stdout.buffer if to_stdout else output.path
            self._stream = WavStream(target, form)
        elif output.container is Container.RAW:
            self._stream = _Bytes(output.path, None)
        elif output.container is Container.OPUS:
            self._stream = _Bytes(output.path, self._opus())
        else:
            # A rate that the format does not take is said before the work, not after it.
            with tempfile.TemporaryDirectory(prefix="csm-") as trial:
                self._compress(np.zeros(1, np.float32), Path(trial) / f"x.{output.container.value}")

    def _opus(self) -> opus.OggOpusEncoder:
        form, path = self._format, self._output.path
        if problem := opus.problem():
            raise CommandError(f"{path}: Opus cannot be written: {problem}")
        if form.sample_rate_hz not in opus.RATES_HZ:
            raise CommandError(
                f"{path}: Opus does not know {form.sample_rate_hz} Hz; say --rate, one of "
                f"{', '.join(map(str, opus.RATES_HZ))}"
            )
        return opus.OggOpusEncoder(form.sample_rate_hz, form.channels)

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
