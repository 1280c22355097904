"""WAV by hand, where a library does not do: is the header honest, and writing as one goes.

Chunk layout: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE) and
EBU Tech 3306 (RF64).
"""

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from csm.audio.pcm import BYTES_PER_SAMPLE, AudioError, complete_format
from csm.v1 import common_pb2

UNKNOWN_SIZE = 0xFFFFFFFF
# What writers to a pipe put for a size that they cannot know: 0, all ones (some less the
# header's length), and what espeak-ng and sox put.
_PIPE_SIZE = 0x7FFFF000
_ALL_ONES = 0xFFFFFF00
_CODE_PCM, _CODE_FLOAT, _CODE_ALAW, _CODE_MULAW = 1, 3, 6, 7
_CODES = {
    common_pb2.AUDIO_ENCODING_PCM_F32LE: _CODE_FLOAT,
    common_pb2.AUDIO_ENCODING_ALAW: _CODE_ALAW,
    common_pb2.AUDIO_ENCODING_MULAW: _CODE_MULAW,
}
_MAX_HEADER_BYTES = 58
MAX_CHUNKS = 256
"""Of a WAV, before its samples and behind them. Recorders write a handful."""


def with_true_size(file: BinaryIO, field: str) -> BinaryIO:
    """A RIFF file whose sizes are true, at its start: `file` itself wherever it is honest.

    Sizes that writers to a pipe use for "unknown" are taken as such; the one of them that
    libsndfile takes for no samples at all, 0, is replaced in a copy.

    Raises `AudioError` about `field` where the file is shorter than it declares, or has more than
    `MAX_CHUNKS` chunks: each costs a reader a look, and a megabyte holds 131,072 empty ones.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = file.read(12)
    little = header[:4] in (b"RIFF", b"RF64")
    if len(header) < 12 or header[8:] != b"WAVE":
        raise AudioError(field, "is a RIFF file without WAVE in it; allowed is WAV")
    order = "<" if little else ">"
    riff_size = struct.unpack(order + "I", header[4:8])[0]
    position, wide_size = 12, None
    for found, size, body in _chunks(file, order, position, field):
        if found == b"ds64" and size >= 16:
            wide_size = struct.unpack(order + "Q", file.read(16)[8:].ljust(8, b"\0"))[0]
        if found == b"data":
            position = body
            break
    else:
        raise AudioError(
            field, f"is truncated: its {end} bytes end before the data chunk of a WAV begins"
        )
    left = end - position
    if size == UNKNOWN_SIZE and wide_size is not None:
        size = wide_size
    elif size == 0 and riff_size + 8 == end:
        raise AudioError(field, "has zero frames; allowed is at least 1")
    elif size == 0:
        file.seek(0)
        patched = bytearray(file.read())
        struct.pack_into(order + "I", patched, position - 4, min(left, UNKNOWN_SIZE))
        return io.BytesIO(patched)
    elif size == _PIPE_SIZE or size >= _ALL_ONES:
        file.seek(0)
        return file
    if size > left:
        raise AudioError(
            field,
            f"is truncated: its header declares {size} bytes of samples, {left} are there",
        )
    # libsndfile reads on behind the samples.
    for _ in _chunks(file, order, position + size + size % 2, field):
        pass
    file.seek(0)
    return file


def _chunks(
    file: BinaryIO, order: str, position: int, field: str
) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and first byte of each chunk from `position` on, the file there.

    Raises `AudioError` at the first one beyond `MAX_CHUNKS`.
    """
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            return
        name, size = chunk[:4], struct.unpack(order + "I", chunk[4:])[0]
        position += 8
        yield name, size, position
        position += size + size % 2
    raise AudioError(field, f"has more than {MAX_CHUNKS} chunks; allowed are {MAX_CHUNKS}")


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
