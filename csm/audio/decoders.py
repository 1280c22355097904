"""A file of any container as blocks of samples, channels apart, before anything is done to them."""

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from csm.audio.chunks import check_chunks
from csm.audio.containers import opened_container
from csm.audio.mpeg import begins_with_frames
from csm.audio.ogg import check_single
from csm.audio.pcm import AudioError, check_channels, check_rate
from csm.audio.riff import FLOAT, MPEG_LAYERS, true_wav
from csm.audio.sniff import ALLOWED, CONVERT, Kind, kind_of
from csm.audio.spliced import spliced

BLOCK_SAMPLES = 65_536
"""About 1.4 s at 48 kHz: a bomb is noticed this soon after it passes the limit."""
# libsndfile's length of a stream whose header leaves it open.
_OPEN_LENGTH = (1 << 63) - 1
# Encoder delay and padding: an MP3's stated length may differ by this from what it decodes to.
_MPEG_SLACK_SAMPLES = 3 * 1152
_FLOATS = ("FLOAT", "DOUBLE")


class FileDecoder(Protocol):
    """An open file."""

    rate_hz: int
    channels: int
    declared: int | None
    """Samples a channel that its header declares; None: it does not say."""
    slack_samples: int | None
    """How many of them may be missing; None: any number, as the file has been looked at."""
    is_float: bool
    """Its samples are floats, which may be at any scale."""
    gain: float
    """What its samples are to be multiplied by."""
    warnings: tuple[str, ...]
    """What it says of itself that is not so."""

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Interleaved samples [n, channels]; a block is overwritten by the next."""


class _Sequential(soundfile.SoundFile):
    """Read from start to end. soundfile seeks after each block of a seekable file, which is slow
    in compressed audio and fails in a FLAC of open length."""

    def seekable(self) -> bool:
        return False


class SoundFileDecoder:
    """What libsndfile has opened; see `FileDecoder`."""

    def __init__(self, sound: soundfile.SoundFile, field: str) -> None:
        self._sound = sound
        self.rate_hz: int = sound.samplerate
        self.channels: int = sound.channels
        check_rate(self.rate_hz, field)
        check_channels(self.channels, field)
        self.declared = sound.frames if 0 < sound.frames < _OPEN_LENGTH else None
        self.slack_samples: int | None = _MPEG_SLACK_SAMPLES if sound.format == "MP3" else 0
        self.is_float = sound.subtype in _FLOATS
        self.gain = 1.0
        self.warnings: tuple[str, ...] = ()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """See `FileDecoder`."""
        buffer = np.empty((BLOCK_SAMPLES, self.channels), np.float32)
        while count := self._sound.buffer_read_into(buffer, "float32"):
            yield buffer[:count]


@contextlib.contextmanager
def opened(file: BinaryIO, field: str) -> Iterator[FileDecoder]:
    """A file recognised by its content, its rate and channels checked.

    Raises `AudioError` about `field`: it is none that is read here, or broken, or out of range.
    """
    kind, start = kind_of(file, field)
    if kind in (Kind.RIFF, Kind.MPEG, Kind.CHUNKED, Kind.OGG, Kind.PLAIN):
        with _opened_by_libsndfile(file, field, kind, start) as sound:
            yield sound
    else:
        with opened_container(file, field, kind) as container:
            yield container


@contextlib.contextmanager
def _opened_by_libsndfile(
    file: BinaryIO, field: str, kind: Kind, start: int
) -> Iterator[SoundFileDecoder]:
    wav = None
    if kind is Kind.RIFF:
        wav = true_wav(file, field, start)
        source = wav.file
    else:
        if kind is Kind.CHUNKED:
            check_chunks(file, field)
        elif kind is Kind.OGG:
            check_single(file, field)
        source = spliced(b"", file, start, file.seek(0, os.SEEK_END) - start)
    mpeg = kind is Kind.MPEG or (wav is not None and wav.codec in MPEG_LAYERS)
    if mpeg and not begins_with_frames(source):
        raise AudioError(
            field, f"cannot be read as audio (no MP3 frames at its start); allowed are {ALLOWED}"
        )
    try:
        with _Sequential(source) as sound:
            decoder = SoundFileDecoder(sound, field)
            if wav is not None:
                decoder.slack_samples = None
                decoder.is_float = wav.codec == FLOAT
                decoder.gain, decoder.warnings = wav.gain, wav.warnings
            yield decoder
    except soundfile.SoundFileError as error:
        raise AudioError(
            field,
            f"cannot be read as audio ({reason(error)}); {CONVERT}; allowed are {ALLOWED}",
        ) from error


def reason(error: soundfile.SoundFileError) -> str:
    """libsndfile's own words."""
    text = str(getattr(error, "error_string", error))
    return text.removeprefix("Error : ").strip().rstrip(".")
