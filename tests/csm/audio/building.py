"""Files as people send them: a tone of a second, built as other programs write it."""

import io
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm.audio.files import read_audio
from csm.audio.pcm import Samples

RATE_HZ = 24_000
LEVEL = 0.4
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")


def tone(seconds: float = 1.0, rate_hz: int = RATE_HZ, hz: float = 440.0) -> Samples:
    """A sine of `LEVEL`, float32 [N]."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (LEVEL * np.sin(2 * np.pi * hz * t)).astype(np.float32)


TONE = tone()
TONE_16 = np.rint(TONE.astype(np.float64) * 32768).astype("<i2").tobytes()


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """A RIFF chunk, padded; `size` where it is to lie."""
    return (
        name + struct.pack("<I", len(body) if size is None else size) + body + bytes(len(body) % 2)
    )


def fmt(
    *,
    code: int = 1,
    channels: int = 1,
    rate_hz: int = RATE_HZ,
    bits: int = 16,
    block: int | None = None,
) -> bytes:
    """A fmt chunk of 16 bytes."""
    align = channels * ((bits + 7) // 8) if block is None else block
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * align, align, bits)
    )


def wav(
    payload: bytes = TONE_16,
    *,
    form: bytes | None = None,
    data_size: int | None = None,
    riff_size: int | None = None,
    before: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """A WAV by hand, so that its header may lie."""
    size = len(payload) if data_size is None else data_size
    body = b"WAVE" + (form or fmt()) + before + b"data" + struct.pack("<I", size) + payload + behind
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def written(container: str, subtype: str, samples: np.ndarray = TONE, rate_hz: int = RATE_HZ,
            endian: str = "FILE") -> bytes:  # fmt: skip
    """What soundfile writes."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, subtype, endian, container)
    return out.getvalue()


@cache
def by_ffmpeg(*options: str, suffix: str, source: bytes | None = None) -> bytes:
    """The tone as ffmpeg writes it into a file; `source` is another WAV."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / f"out{suffix}"
        command = ["ffmpeg", "-v", "error", "-f", "wav", "-i", "-", *options, str(out)]
        subprocess.run(command, input=source or wav(), check=True)
        return out.read_bytes()


def piped(*command: str, source: bytes = b"") -> bytes:
    """What a program writes to a pipe."""
    return subprocess.run(command, input=source, check=True, capture_output=True).stdout


def read(data: bytes, **options: bool) -> tuple[Samples, int, list[str]]:
    """Samples, rate, warnings."""
    warnings: list[str] = []
    samples, rate_hz = read_audio(data, max_seconds=60, warnings=warnings, **options)
    return samples, rate_hz, warnings


def assert_tone(
    data: bytes,
    *,
    warns: str | None = None,
    rate_hz: int = RATE_HZ,
    slack: int = 0,
    tolerance: float = 2e-4,
) -> None:
    """Read: all samples, right level, right rate. `slack` samples more or fewer for lossy ones."""
    samples, rate, warnings = read(data)
    assert rate == rate_hz
    expected = tone(rate_hz=rate_hz)
    assert abs(len(samples) - len(expected)) <= slack
    if slack:
        middle = samples[2000 : len(expected) - 2000].astype(np.float64)
        level = np.sqrt(np.mean(middle**2))
        assert abs(level / (LEVEL / np.sqrt(2)) - 1) < max(tolerance, 0.07)
    else:
        np.testing.assert_allclose(samples, expected, atol=tolerance, rtol=0)
    if warns is None:
        assert warnings == []
    else:
        assert any(warns in warning for warning in warnings), warnings
