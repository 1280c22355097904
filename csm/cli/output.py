"""An audio file that is written as its PCM comes."""

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import get_args

import numpy as np

from csm.audio.files import write_audio
from csm.audio.pcm import BitDepth as Depth
from csm.audio.wav import WavStream
from csm.cli.options import BitDepth, Container
from csm.cli.reporting import CommandError
from csm.client.messages import AudioFormat, Encoding, to_float

STANDARD_OUTPUT = Path("-")

_ENCODINGS: dict[BitDepth, Encoding] = {
    BitDepth.U8: "u8",
    BitDepth.S16: "s16",
    BitDepth.S24: "s24",
    BitDepth.S32: "s32",
    BitDepth.FLOAT: "f32",
}
_DEPTHS: dict[Container, tuple[BitDepth, ...]] = {
    Container.WAV: tuple(BitDepth),
    Container.FLAC: (BitDepth.U8, BitDepth.S16, BitDepth.S24),
    # Lossy: no depth of their own.
    Container.OGG: (),
    Container.MP3: (),
}


class Output:
    """What is to be written where; checked before the work begins.

    `-` writes a WAV to standard output. Raises `CommandError` where format, suffix and depth do
    not go together, or the place cannot be written to.
    """

    def __init__(
        self, path: Path, container: Container | None, rate_hz: int, depth: BitDepth | None
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
        self.depth = depth or BitDepth.S16
        self._check_place()

    def _by_suffix(self) -> Container:
        if self.path == STANDARD_OUTPUT:
            return Container.WAV
        suffix = self.path.suffix.lower().removeprefix(".")
        if suffix not in list(Container):
            names = ", ".join("." + one for one in Container)
            raise CommandError(f"{self.path}: the suffix is none of {names}; or say --format")
        return Container(suffix)

    def _check_place(self) -> None:
        if self.path == STANDARD_OUTPUT:
            if self.container is not Container.WAV:
                raise CommandError("standard output takes a WAV only; use --format wav")
            return
        check_writable(self.path)

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
            self._stream = WavStream(target, form.to_proto())
        else:
            # A rate that the format does not take is said before the work, not after it.
            self._compress(np.zeros(1, np.float32))

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

    def _compress(self, samples: np.ndarray, *, keep: bool = False) -> None:
        # Under a name of its own, with the suffix that says the format, then in place at once.
        path, kind = self._output.path, self._output.container.value
        part = path.with_name(f".{path.name}.{os.getpid()}.{kind}")
        depth: Depth = next(d for d in get_args(Depth) if d == self._output.depth.value)
        try:
            write_audio(part, samples, self._format.sample_rate_hz, bit_depth=depth)
            if keep:
                os.replace(part, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()

    def close(self) -> None:
        """Completes the file with what was written, also where the work broke off."""
        if self._stream:
            self._stream.close()
        elif self._kept:
            self._compress(to_float(b"".join(self._kept), self._format), keep=True)
            self._kept = []

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_writable(path: Path) -> None:
    """Raises `CommandError` where a file cannot be written at `path`."""
    if path.is_dir():
        raise CommandError(f"{path}: is a directory, not a file to write")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no directory {path.parent}")
    existing = path if path.exists() else path.parent
    if not os.access(existing, os.W_OK):
        raise CommandError(f"{path}: no permission to write there")
