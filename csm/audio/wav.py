"""WAV written as one goes.

Chunk layout: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE).
"""

import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from csm.audio.pcm import BYTES_PER_SAMPLE, AudioError, complete_format
from csm.v1 import common_pb2

UNKNOWN_SIZE = 0xFFFFFFFF
_CODE_PCM, _CODE_FLOAT, _CODE_ALAW, _CODE_MULAW = 1, 3, 6, 7
_CODES = {
    common_pb2.AUDIO_ENCODING_PCM_F32LE: _CODE_FLOAT,
    common_pb2.AUDIO_ENCODING_ALAW: _CODE_ALAW,
    common_pb2.AUDIO_ENCODING_MULAW: _CODE_MULAW,
}
_MAX_HEADER_BYTES = 58


def wav_header(form: common_pb2.AudioFormat, data_bytes: int | None = None) -> bytes:
    """What comes before the samples: 44 bytes, of mu-law and A-law 58.

    `form` is complete; None declares an unknown length.
    """
    sample_bytes = BYTES_PER_SAMPLE[form.encoding]
    block = sample_bytes * form.channels
    data = UNKNOWN_SIZE if data_bytes is None else data_bytes
    code = _CODES.get(form.encoding, _CODE_PCM)
    fmt = struct.pack(
        "<HHIIHH",
        code,
        form.channels,
        form.sample_rate_hz,
        form.sample_rate_hz * block,
        block,
        sample_bytes * 8,
    )
    fact = b""
    if code in (_CODE_ALAW, _CODE_MULAW):
        fmt += struct.pack("<H", 0)
        samples = UNKNOWN_SIZE if data_bytes is None else data_bytes // block
        fact = struct.pack("<4sII", b"fact", 4, samples)
    chunks = b"".join((b"WAVE", b"fmt ", struct.pack("<I", len(fmt)), fmt, fact, b"data"))
    riff = UNKNOWN_SIZE if data_bytes is None else len(chunks) + 4 + data + data % 2
    return struct.pack("<4sI", b"RIFF", riff) + chunks + struct.pack("<I", data)


class HasProto(Protocol):
    """A format that has a wire message, as the SDK's has."""

    def to_proto(self) -> common_pb2.AudioFormat:
        """The wire message."""


class WavStream:
    """A WAV written as its PCM bytes come: the header once, its sizes when closed.

    `form` is the SDK's `AudioFormat` or the wire's, with its rate. Where the target cannot seek (a
    pipe), the sizes stay those of an unknown length. A path is
    opened and closed here; an open file stays open.
    """

    MAX_BYTES = UNKNOWN_SIZE - _MAX_HEADER_BYTES

    def __init__(
        self, target: Path | str | BinaryIO, form: common_pb2.AudioFormat | HasProto
    ) -> None:
        wire = form if isinstance(form, common_pb2.AudioFormat) else form.to_proto()
        self.format = complete_format(wire, wire.sample_rate_hz)
        self._owns = isinstance(target, (str, Path))
        self._file: BinaryIO = open(target, "wb") if isinstance(target, (str, Path)) else target  # noqa: SIM115
        self._start = self._file.tell() if self._file.seekable() else None
        self._file.write(wav_header(self.format))
        self._closed = False
        self.num_bytes = 0
        """Bytes of samples written."""

    def write(self, pcm: bytes) -> None:
        """Appends PCM in the stream's format. Raises `AudioError` beyond 4 GiB."""
        if self.num_bytes + len(pcm) > self.MAX_BYTES and self._start is not None:
            raise AudioError(
                "audio", f"is more than {self.MAX_BYTES} bytes, the most that a WAV holds"
            )
        self._file.write(pcm)
        self.num_bytes += len(pcm)

    def close(self) -> None:
        """Puts the true sizes into the header. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self.num_bytes % 2 and self._start is not None:
            self._file.write(b"\0")
        if self._start is not None:
            end = self._file.tell()
            self._file.seek(self._start)
            self._file.write(wav_header(self.format, self.num_bytes))
            self._file.seek(end)
        if self._owns:
            self._file.close()
        else:
            self._file.flush()

    def __enter__(self) -> "WavStream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
