"""Files cut anywhere, and damaged anywhere: an answer in bounded time, and never a crash."""

import contextlib
import time

import numpy as np
import pytest

from csm.audio.files import read_audio
from csm.audio.pcm import AudioError
from tests.csm.audio.building import (
    RATE_HZ,
    TONE,
    by_ffmpeg,
    chunk,
    fmt,
    needs_ffmpeg,
    tone,
    wav,
    written,
)

SHORT = TONE[: RATE_HZ // 10]
SHORT_16 = np.rint(SHORT * 32767).astype("<i2").tobytes()

FILES = {
    "WAV": wav(SHORT_16),
    "WAV from a pipe": wav(SHORT_16, data_size=2_000_000_000, behind=chunk(b"LIST", b"INFO")),
    "WAV of floats with chunks": wav(
        SHORT.astype("<f4").tobytes(), form=fmt(code=3, bits=32), before=chunk(b"bext", bytes(602))
    ),
    "WAV of 24 in 32": wav((SHORT * 8388607).astype("<i4").tobytes(), form=fmt(bits=24, block=4)),
    "RF64": written("RF64", "PCM_16", SHORT),
    "RIFX": written("WAV", "PCM_16", SHORT, endian="BIG"),
    "IMA ADPCM": written("WAV", "IMA_ADPCM", SHORT),
    "MS ADPCM": written("WAV", "MS_ADPCM", SHORT),
    "GSM 6.10": written("WAV", "GSM610", tone(0.1, 8000), 8000),
    "AIFF": written("AIFF", "PCM_16", SHORT),
    "CAF": written("CAF", "PCM_16", SHORT),
    "AU": written("AU", "PCM_16", SHORT),
    "W64": written("W64", "PCM_16", SHORT),
    "FLAC": written("FLAC", "PCM_16", SHORT),
    "Ogg": written("OGG", "VORBIS", SHORT),
    "Opus": written("OGG", "OPUS", SHORT),
    "MP3": written("MP3", "MPEG_LAYER_III", SHORT),
}
SLOW = ("Ogg", "Opus", "MP3", "FLAC")
FIRST_BYTES = 1024


def answer(data: bytes) -> None:
    """Read, or refused; anything else is raised."""
    began = time.process_time()
    with contextlib.suppress(AudioError):
        samples, rate_hz = read_audio(data, max_seconds=5)
        assert np.isfinite(samples).all()
        assert 0 < len(samples) <= 5 * rate_hz
    assert time.process_time() - began < 1


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_at_any_byte_is_read_or_refused(name: str) -> None:
    data = FILES[name]
    for end in range(0, min(FIRST_BYTES, len(data)), 13 if name in SLOW else 1):
        answer(data[:end])


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", FILES)
def test_a_file_with_any_byte_of_its_header_changed_is_read_or_refused(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = FILES[name]
    rng = np.random.default_rng(len(data))
    for at in range(0, min(200, len(data)), 7 if name in SLOW else 1):
        for value in (0xFF, 0x00, int(rng.integers(256))):
            answer(data[:at] + bytes([value]) + data[at + 1 :])
    # libmpg123 says on the standard error what it thinks of a frame.
    assert len(capfd.readouterr().err) < 20_000


@needs_ffmpeg
@pytest.mark.parametrize(
    ("codec", "suffix"), [("aac", ".m4a"), ("libopus", ".webm"), ("aac", ".aac"), ("aac", ".3gp")]
)
def test_a_container_cut_or_changed_anywhere_is_read_or_refused(codec: str, suffix: str) -> None:
    pytest.importorskip("av")
    data = by_ffmpeg("-t", "0.2", "-c:a", codec, suffix=suffix)
    for end in range(0, FIRST_BYTES, 17):
        answer(data[:end])
    # The tables of an m4a lie at its end.
    for at in (*range(0, 200, 7), *range(len(data) - 700, len(data), 11)):
        for value in (0xFF, 0x00, 0x7F):
            answer(data[:at] + bytes([value]) + data[at + 1 :])
