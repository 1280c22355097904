"""Audio files in and out: WAV, FLAC, Ogg and MP3 through soundfile."""

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from csm.audio.pcm import (
    AudioError,
    AudioTooLong,
    BitDepth,
    Samples,
    check_channels,
    check_finite,
    check_rate,
    mix_down,
    to_integers,
)
from csm.audio.resample import Resampler
from csm.audio.wav import with_true_size

__all__ = ["read_audio", "read_blocks", "write_audio"]

_ALLOWED = "WAV, FLAC, Ogg and MP3"
# About 1.4 s at 48 kHz: a bomb is noticed this soon after it passes the limit.
_BLOCK_SAMPLES = 65_536
# libsndfile's length of a stream whose header leaves it open.
_OPEN_LENGTH = (1 << 63) - 1
# Encoder delay and padding: an MP3's stated length may differ by this from what it decodes to.
_MP3_SLACK_SAMPLES = 3 * 1152

_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
_LOSSY = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
_SUBTYPES: dict[tuple[str, BitDepth], str] = {
    ("WAV", "8"): "PCM_U8",
    ("WAV", "16"): "PCM_16",
    ("WAV", "24"): "PCM_24",
    ("WAV", "32"): "PCM_32",
    ("WAV", "float"): "FLOAT",
    ("FLAC", "8"): "PCM_S8",
    ("FLAC", "16"): "PCM_16",
    ("FLAC", "24"): "PCM_24",
}


def read_audio(
    source: Path | str | bytes | BinaryIO,
    *,
    name: str = "audio",
    max_seconds: float | None,
    rate_hz: int | None = None,
) -> tuple[Samples, int]:
    """A whole recording as mono float32 [N], full scale -1..1, and its rate in Hz.

    WAV (8, 16, 24, 32 bit, float), FLAC, Ogg and MP3, recognised by content; 1 to 6 channels,
    averaged. `name` is the field that errors name (for a path, the path unless a name is given).
    `rate_hz` resamples while it reads; None keeps the recording's own rate. Memory is bounded by
    `max_seconds` at the rate that comes out, whatever the header says; None bounds nothing.

    Raises `AudioError`: unreadable, empty, not audio, truncated, zero frames, NaN or infinite
    samples, a rate or channel count out of range, longer than `max_seconds`.
    """
    if isinstance(source, (str, Path)):
        field = str(source) if name == "audio" else name
        try:
            with open(source, "rb") as opened:
                return _whole(opened, field, max_seconds, rate_hz)
        except OSError as error:
            raise AudioError(field, f"cannot be read: {error.strerror or error}") from error
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return _whole(file, name, max_seconds, rate_hz)


def read_blocks(
    file: BinaryIO,
    *,
    name: str = "audio",
    max_seconds: float | Fraction | None,
    rate_hz: int | None = None,
) -> Iterator[Samples]:
    """A recording as `read_audio` gives it, in blocks [n] as they are decoded.

    A length that the header declares is refused before the first block, one that it leaves open in
    the block that passes the limit. Holds a block and no more. `file` can seek.
    """
    with _opened(file, name) as sound:
        yield from _resampled(sound, name, max_seconds, rate_hz)


def _whole(
    file: BinaryIO, field: str, max_seconds: float | None, rate_hz: int | None
) -> tuple[Samples, int]:
    if not file.seekable():
        file = io.BytesIO(file.read())
    with _opened(file, field) as sound:
        blocks = list(_resampled(sound, field, max_seconds, rate_hz))
        return np.concatenate(blocks), rate_hz or sound.samplerate


class _Sequential(soundfile.SoundFile):
    """Read from start to end. soundfile seeks after each block of a seekable file, which is slow
    in compressed audio and fails in a FLAC of open length."""

    def seekable(self) -> bool:
        return False


def _reason(error: soundfile.SoundFileError) -> str:
    text = str(getattr(error, "error_string", error))
    return text.removeprefix("Error : ").strip().rstrip(".")


@contextlib.contextmanager
def _opened(file: BinaryIO, field: str) -> Iterator[soundfile.SoundFile]:
    """The file with its rate and its channels checked. What soundfile raises is an `AudioError`."""
    file = _checked(file, field)
    try:
        with _Sequential(file) as sound:
            check_rate(sound.samplerate, field)
            check_channels(sound.channels, field)
            yield sound
    except soundfile.SoundFileError as error:
        raise AudioError(
            field, f"cannot be read as audio ({_reason(error)}); allowed are {_ALLOWED}"
        ) from error


def _resampled(
    sound: soundfile.SoundFile,
    field: str,
    max_seconds: float | Fraction | None,
    rate_hz: int | None,
) -> Iterator[Samples]:
    resampler = Resampler(sound.samplerate, rate_hz or sound.samplerate)
    for mono in _decoded(sound, field, max_seconds):
        yield resampler.feed(mono)
    yield resampler.finish()


def _checked(file: BinaryIO, field: str) -> BinaryIO:
    """The file at its start, if its first bytes are those of a container that is allowed."""
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if not head:
        raise AudioError(field, f"is empty (0 bytes); allowed are {_ALLOWED}")
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return with_true_size(file, field)
    mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    if not (head[:4] in (b"fLaC", b"OggS") or head[:3] == b"ID3" or mpeg):
        raise AudioError(field, f"is not audio (begins with {head[:4]!r}); allowed are {_ALLOWED}")
    return file


def _decoded(
    sound: soundfile.SoundFile, field: str, max_seconds: float | Fraction | None
) -> Iterator[Samples]:
    """Mono blocks at the file's own rate."""
    limit = None if max_seconds is None else int(max_seconds * sound.samplerate)
    declared = sound.frames if 0 < sound.frames < _OPEN_LENGTH else None
    if limit is not None and declared is not None and declared > limit:
        raise _too_long(field, max_seconds)
    total = 0
    buffer = np.empty((_BLOCK_SAMPLES, sound.channels), np.float32)
    while True:
        count = sound.buffer_read_into(buffer, "float32")
        if not count:
            break
        mono = mix_down(buffer[:count])
        check_finite(mono, field, total)
        total += count
        if limit is not None and total > limit:
            raise _too_long(field, max_seconds)
        # A copy: the mono of one channel is the buffer itself.
        yield mono.copy() if sound.channels == 1 else mono
    if not total:
        raise AudioError(field, "has zero frames; allowed is at least 1")
    slack = _MP3_SLACK_SAMPLES if sound.format == "MP3" else 0
    if declared is not None and total + slack < declared:
        raise AudioError(
            field,
            f"is truncated: its header declares {declared} samples a channel, {total} are there",
        )


def _too_long(field: str, max_seconds: float | Fraction | None) -> AudioTooLong:
    longest_s = float(max_seconds or 0)
    return AudioTooLong(field, f"is longer than {longest_s:g} s, the most that is allowed")


def write_audio(
    path: Path | str, samples: Samples, rate_hz: int, *, bit_depth: BitDepth = "16"
) -> None:
    """Writes mono samples [N] to a file whose suffix says the container.

    `.wav` takes every bit depth, `.flac` 8, 16 and 24; `.ogg` (Vorbis) and `.mp3` are lossy and
    have none. Samples beyond full scale are clipped.

    Raises `AudioError` for a suffix, a depth or a rate that does not go together, and where the
    file cannot be written.
    """
    path = Path(path)
    container = _FORMATS.get(path.suffix.lower())
    if container is None:
        allowed = ", ".join(_FORMATS)
        raise AudioError(str(path), f"suffix {path.suffix!r} is not allowed; allowed are {allowed}")
    check_rate(rate_hz, "rate_hz")
    subtype = _LOSSY.get(container) or _SUBTYPES.get((container, bit_depth))
    if subtype is None:
        depths = ", ".join(depth for kind, depth in _SUBTYPES if kind == container)
        raise AudioError(
            "bit_depth", f"{bit_depth!r} is not allowed for {path.suffix}; allowed are {depths}"
        )
    try:
        with soundfile.SoundFile(
            str(path), "w", rate_hz, 1, subtype=subtype, format=container
        ) as sound:
            # In blocks: libsndfile's Vorbis encoder overflows its stack on minutes at once.
            for first in range(0, len(samples), _BLOCK_SAMPLES):
                sound.write(_stored(samples[first : first + _BLOCK_SAMPLES], subtype))
    except soundfile.SoundFileError as error:
        raise AudioError(str(path), f"cannot be written: {_reason(error)}") from error


def _stored(samples: Samples, subtype: str) -> np.ndarray:
    """What soundfile stores without rounding: integers in the upper bits of their type."""
    match subtype:
        case "PCM_U8" | "PCM_S8":
            return (to_integers(samples, 8) << 8).astype(np.int16)
        case "PCM_16":
            return to_integers(samples, 16).astype(np.int16)
        case "PCM_24":
            return to_integers(samples, 24) << 8
        case "PCM_32":
            return to_integers(samples, 32)
        case _:
            return np.clip(samples, -1.0, 1.0).astype(np.float32)
