"""WAV as it is meant: the samples that are really there behind a header that is put right.

Chunk layout: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE) and
EBU Tech 3306 (RF64). libsndfile is given a header of our making (format, fact, data) and the
samples, and never sees the other chunks: some of them it takes for sound.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from csm.audio.mpeg import tag_bytes
from csm.audio.pcm import AudioError
from csm.audio.sniff import CONVERT
from csm.audio.spliced import spliced

MAX_CHUNKS = 256
"""Before the samples. Recorders write a handful."""
UNMEANT_BYTES = 0x70000000
"""A size from here on that the file does not have is none: what writers to a pipe put for a length
that they cannot know begins above it (2,000,000,000, 0x7FFFF000, 0x80000000, 0xFFFFFFxx)."""
MISCOUNTED_BYTES = 128
"""Writers miscount by a header or a sample; who misses more has lost part of the recording."""

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
MPEG_LAYERS = (0x50, 0x55)
_MAX_FMT_BYTES = 4096
_LOOKED_AT_BYTES = 1 << 18
# What is looked through for chunks behind samples of an unknown length: more than a picture has.
_MAX_TAIL_BYTES = 4 << 20
_MAX_TAIL_CHUNKS = 64
# Of each name: sound spells one once in 4 GB.
_MAX_CANDIDATES = 8
_WIDE = 0xFFFFFFFF
_TRAILERS = (
    *(b"LIST", b"id3 ", b"ID3 ", b"C2PA", b"bext", b"cue ", b"JUNK", b"junk", b"iXML", b"_PMX"),
    *(b"smpl", b"inst", b"fact", b"PEAK", b"axml", b"chna", b"cart", b"afsp", b"FLLR", b"PAD "),
    *(b"acid", b"DISP", b"umid", b"levl", b"LGWV", b"plst", b"ID3\x02", b"ID3\x03", b"ID3\x04"),
)


@dataclass(frozen=True)
class TrueWav:
    """A WAV that can be read as it says."""

    file: BinaryIO
    """At its start: a WAV with true sizes, or the bare MPEG frames of one that holds MP3."""
    codec: int
    """Format tag, that inside an EXTENSIBLE one: 1 is PCM, 3 floats."""
    gain: float
    """What samples are to be multiplied by after reading."""
    warnings: tuple[str, ...]


def true_wav(file: BinaryIO, field: str, start: int = 0) -> TrueWav:
    """The WAV that begins at `start`, as it is meant.

    Sizes that cannot be meant are those of a writer that could not know: the samples go to the end
    of the file, or to known chunks behind them. Sizes that are off by a few bytes are put right
    with a warning. A block align that says 24 bits in 32 is believed.

    Raises `AudioError` about `field` where there is no WAV or only part of one, or more than
    `MAX_CHUNKS` chunks: each costs a look, and a megabyte holds 131,072 empty ones.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    header = file.read(12)
    if len(header) < 12:
        raise AudioError(field, f"is truncated: it has {end} bytes, which are no whole header")
    if header[8:] != b"WAVE":
        raise AudioError(
            field, f"is a RIFF file without WAVE in it{_riff_kind(header[8:])}; allowed is WAV"
        )
    order = ">" if header[:4] == b"RIFX" else "<"
    riff_bytes = struct.unpack(order + "I", header[4:8])[0]
    fmt, fact, wide = b"", b"", None
    for name, size, body in _chunks(file, order, start + 12, field):
        if name == b"ds64" and size >= 16:
            wide = struct.unpack(order + "Q", file.read(16)[8:].ljust(8, b"\0"))[0]
        elif name == b"fmt " and not fmt:
            fmt = file.read(min(size, _MAX_FMT_BYTES))
        elif name == b"fact" and size >= 4:
            fact = file.read(4)
        elif name == b"data":
            declared, begin = size, body
            break
    else:
        raise AudioError(
            field, f"is truncated: its {end} bytes end before the data chunk of a WAV begins"
        )
    if len(fmt) < 16:
        raise AudioError(
            field, f"has a fmt chunk of {len(fmt)} bytes before its samples; at least 16 are needed"
        )
    if declared == _WIDE and wide is not None:
        declared = wide
    whole_riff = riff_bytes + 8 == end - start
    length, warnings = _true_length(file, field, (begin, declared, end), whole_riff)
    file.seek(begin)
    form = _Format(fmt, order, file.read(min(length, _LOOKED_AT_BYTES)))
    if form.codec in MPEG_LAYERS:
        return TrueWav(spliced(b"", file, begin, length), form.codec, 1.0, warnings)
    length -= length % form.block_bytes if form.block_bytes else 0
    if not length:
        raise AudioError(field, "has zero frames; allowed is at least 1")
    head = _header(order, form.true_fmt, fact, length)
    return TrueWav(spliced(head, file, begin, length), form.codec, form.gain, warnings)


def _riff_kind(form: bytes) -> str:
    kinds = {b"WEBP": " (a WebP image)", b"AVI ": f" (AVI video; {CONVERT})"}
    return kinds.get(form, "")


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


def _true_length(
    file: BinaryIO, field: str, place: tuple[int, int, int], whole_riff: bool
) -> tuple[int, tuple[str, ...]]:
    """Bytes of samples that are there, and what is odd about it.

    `place`: where they begin, how many are declared, where the file ends.
    """
    body, size, end = place
    left = end - body
    if size == 0 or (size > left and size >= UNMEANT_BYTES):
        length = _tail(file, max(body, end - _MAX_TAIL_BYTES), end) - body
        if size == 0 and whole_riff and length:
            said = f"its header declares 0 bytes of samples, {length} are there: read to the end"
            return length, (said,)
        return length, ()
    if size > left + MISCOUNTED_BYTES or not left:
        raise AudioError(
            field,
            f"is truncated: its header declares {size} bytes of samples, {left} are there; if that "
            f"is all of it, {CONVERT}",
        )
    declared_end = min(body + size, end)
    length = _tail(file, max(body, declared_end - MISCOUNTED_BYTES), end, declared_end) - body
    if length == size:
        return size, ()
    return length, (f"its header declares {size} bytes of samples, {length} are there",)


def _tail(file: BinaryIO, first: int, end: int, last: int | None = None) -> int:
    """Where known chunks begin that go to the end of the file, from `first` on and before `last`.

    `last`, the end of the file where it is None, where there are none.
    """
    last = end if last is None else last
    if end - first > _MAX_TAIL_BYTES:
        return last
    file.seek(first)
    tail = file.read(end - first)
    if last == end and tail[-128:].startswith(b"TAG") and len(tail) >= 128:
        tail, last = tail[:-128], last - 128
    candidates = []
    for name in _TRAILERS:
        at = tail.find(name, 0, last - first + 3)
        for _ in range(_MAX_CANDIDATES):
            if at < 0:
                break
            candidates.append(at)
            at = tail.find(name, at + 1, last - first + 3)
    for at in sorted(candidates):
        if first + at < last and _goes_to_the_end(tail, at):
            return first + at
    return last


def _goes_to_the_end(tail: bytes, at: int) -> bool:
    """Whether from there on whole chunks or tags follow each other up to the end."""
    for _ in range(_MAX_TAIL_CHUNKS):
        if tail[at : at + 3] == b"ID3" and tail[at + 3 : at + 4] in (b"\2", b"\3", b"\4"):
            if len(tail) - at < 10:
                return False
            at += 10 + tag_bytes(tail[at : at + 10])
        else:
            if len(tail) - at < 8 or not tail[at : at + 4].isascii():
                return False
            size = struct.unpack_from("<I", tail, at + 4)[0]
            at += 8 + size + size % 2
        # The last chunk may lack its byte of padding.
        if at in (len(tail), len(tail) + 1):
            return True
        if at > len(tail):
            return False
    return False


class _Format:
    """A fmt chunk, put right where it contradicts itself."""

    def __init__(self, fmt: bytes, order: str, samples: bytes) -> None:
        """`samples` are the first ones: what they look like decides where the fields differ."""
        tag, channels, rate_hz, byte_rate, align, bits = struct.unpack_from(order + "HHIIHH", fmt)
        inside = struct.unpack_from(order + "H", fmt, 24)[0] if len(fmt) >= 26 else 0
        self.codec = inside if tag == EXTENSIBLE and inside else tag
        self.true_fmt = fmt
        self.block_bytes = 0
        """Of one sample of all channels; 0: not known here."""
        self.gain = 1.0
        if self.codec not in (PCM, FLOAT) or not channels or not 1 <= bits <= 64:
            return
        sample_bytes = (bits + 7) // 8
        words = np.frombuffer(samples[: len(samples) // 4 * 4], order + "i4")
        upper = not (words & 0xFF).any()
        lower = not upper and bool(np.isin(words >> 23, (0, -1)).all())
        wide_24 = False
        if 16 < bits <= 24 and align == 4 * channels:
            packed = byte_rate == rate_hz * channels * 3 and not (upper or lower)
            if not packed:
                sample_bytes, wide_24 = 4, self.codec == PCM
        elif bits == 32 and len(fmt) >= 20 and tag == EXTENSIBLE:
            wide_24 = self.codec == PCM and struct.unpack_from(order + "H", fmt, 18)[0] == 24
        if wide_24 and lower:
            # In the lower bytes, where they belong in the upper ones.
            self.gain = 256.0
        self.block_bytes = sample_bytes * channels
        true_bits = sample_bytes * 8 if wide_24 else bits
        self.true_fmt = struct.pack(
            order + "HHIIHH",
            tag,
            channels,
            rate_hz,
            min(rate_hz * self.block_bytes, _WIDE),
            min(self.block_bytes, 0xFFFF),
            true_bits,
        ) + (fmt[16:] if tag == EXTENSIBLE else b"")


def _header(order: str, fmt: bytes, fact: bytes, length: int) -> bytes:
    """The bytes before `length` bytes of samples."""
    fmt += b"\0" * (len(fmt) % 2)
    chunks = b"fmt " + struct.pack(order + "I", len(fmt)) + fmt
    if fact:
        chunks += b"fact" + struct.pack(order + "I", 4) + fact
    riff_bytes = 4 + len(chunks) + 8 + length
    if riff_bytes < UNMEANT_BYTES:
        name = b"RIFX" if order == ">" else b"RIFF"
        data = b"data" + struct.pack(order + "I", length)
        return name + struct.pack(order + "I", riff_bytes) + b"WAVE" + chunks + data
    sizes = struct.pack("<QQQI", riff_bytes + 36, length, 0, 0)
    ds64 = b"ds64" + struct.pack("<I", len(sizes)) + sizes
    data = b"data" + struct.pack("<I", _WIDE)
    return b"RF64" + struct.pack("<I", _WIDE) + b"WAVE" + ds64 + chunks + data
