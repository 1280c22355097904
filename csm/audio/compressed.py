"""PCM to MP3, FLAC and AAC as it is made: the first two by libsndfile, AAC by PyAV if there.

Each has the methods of `csm.audio.opus.OggOpusEncoder`. Nothing is written twice, so what stands at
the front of a whole file (its length, a seek table) is left out: players take it for a stream.
"""

import importlib.util
import threading
from typing import Any, Literal, Protocol

import numpy as np

from csm.audio.pcm import AudioError

Compression = Literal["mp3", "flac", "aac"]

ENCODER_BYTES = 480 << 10
"""What one encoder holds at most: AAC 470 kB, MP3 255, FLAC 135 measured."""
RATES_HZ: dict[str, tuple[int, ...]] = {
    "mp3": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    "flac": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000),
    "aac": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
# Of MP3: 0 is the best and largest, 1 the smallest. At 24 kHz about 80 kbit/s.
_MP3_COMPRESSION = 0.5
# Of FLAC: 0 has the shortest blocks, 48 ms at 24 kHz.
_FLAC_COMPRESSION = 0.0


class StreamEncoder(Protocol):
    """One stream of coded audio from PCM_S16LE, mono. Its methods may be called in any thread."""

    def feed(self, pcm: bytes) -> bytes:
        """Whole samples in, what is complete of the stream out, possibly nothing."""

    def finish(self) -> bytes:
        """The rest. Ends the encoder."""

    def close(self) -> None:
        """Gives the encoder's memory back. Idempotent."""


def problem(compression: Compression) -> str:
    """Why nothing can be coded so here; empty if it can. May import soundfile."""
    if compression == "aac":
        there = importlib.util.find_spec("av") is not None
        return "" if there else "PyAV is not installed (the extra `av`)"
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: the wheel for this system brings no libsndfile
        return "soundfile is not installed"
    if compression.upper() not in soundfile.available_formats():
        return f"libsndfile {soundfile.__libsndfile_version__} knows no {compression.upper()}"
    return ""


def make_encoder(compression: Compression, rate_hz: int) -> StreamEncoder:
    """A stream at `rate_hz`.

    Raises `AudioError` about `response_format` where this machine cannot make it, and about
    `sample_rate_hz` where the coding knows no such rate.
    """
    check(compression, rate_hz)
    return _Aac(rate_hz) if compression == "aac" else _Libsndfile(compression, rate_hz)


def check(compression: Compression, rate_hz: int) -> None:
    """Raises as `make_encoder`."""
    if why := problem(compression):
        raise AudioError("response_format", f"{compression} is not there on this server: {why}")
    if rate_hz not in RATES_HZ[compression]:
        allowed = ", ".join(map(str, RATES_HZ[compression]))
        raise AudioError(
            "sample_rate_hz",
            f"{rate_hz} Hz is not allowed for {compression}; allowed are {allowed} Hz",
        )


class _Libsndfile:
    def __init__(self, compression: Compression, rate_hz: int) -> None:
        import soundfile

        kind: dict[str, Any] = {"format": "FLAC", "subtype": "PCM_16"}
        kind["compression_level"] = _FLAC_COMPRESSION
        if compression == "mp3":
            kind = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
            kind["compression_level"] = _MP3_COMPRESSION
        self._lock = threading.Lock()
        self._out = _Stream()
        self._sound = soundfile.SoundFile(self._out, "w", rate_hz, 1, **kind)
        # The first frame of an MP3 is kept free for what is known at its end only.
        self._first_frame = compression == "mp3"

    def feed(self, pcm: bytes) -> bytes:
        with self._lock:
            if pcm and not self._sound.closed:
                self._sound.write(np.frombuffer(pcm, "<i2"))
            return self._taken()

    def finish(self) -> bytes:
        with self._lock:
            self._sound.close()
            return self._taken()

    def close(self) -> None:
        self.finish()

    def _taken(self) -> bytes:
        data = self._out.taken()
        if self._first_frame and data:
            self._first_frame = False
            # It is zeros behind its header, which all frames share the first two bytes of.
            return data[max(0, data.find(data[:2], 4)) :]
        return data


class _Aac:
    """AAC-LC in ADTS."""

    def __init__(self, rate_hz: int) -> None:
        import av

        self._av = av
        self._rate_hz = rate_hz
        self._lock = threading.Lock()
        self._out = _Stream()
        self._container: Any = av.open(self._out, "w", format="adts")
        self._stream: Any = self._container.add_stream("aac", rate=rate_hz)
        self._stream.layout = "mono"

    def feed(self, pcm: bytes) -> bytes:
        with self._lock:
            if pcm and self._container is not None:
                samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
                frame = self._av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                frame.sample_rate = self._rate_hz
                self._mux(frame)
            return self._out.taken()

    def finish(self) -> bytes:
        with self._lock:
            if self._container is not None:
                self._mux(None)
                self._container.close()
                self._container = self._stream = None
            return self._out.taken()

    def close(self) -> None:
        self.finish()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


class _Stream:
    """The file that is written: what goes to a place that was written before is dropped."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = self._end = 0

    def write(self, data: bytes) -> int:
        data = bytes(data)
        new = max(0, self._at + len(data) - self._end)
        self._data += data[len(data) - new :]
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, self._end)[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        return b""

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self._data)
        self._data.clear()
        return data
