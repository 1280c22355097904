"""PCM to Opus in Ogg (RFC 7845), its pages as they are made: through soundfile's libsndfile."""

import functools
import threading

import numpy as np

from csm.audio.opus_pages import CLOCK_HZ, pages, pre_skip
from csm.audio.pcm import AudioError, complete_format, encoding_name
from csm.v1 import common_pb2

RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
"""What Opus knows."""
MAX_CHANNELS = 2
MAX_PCM_BYTES_PER_S = max(RATES_HZ) * MAX_CHANNELS * 2
"""Of what an encoder is given."""
ENCODER_BYTES = 128 << 10
"""What one encoder holds: 86 kB measured."""
_OGG_OPUS = common_pb2.AUDIO_ENCODING_OGG_OPUS
# sndfile.h: SFC_SET_OGG_PAGE_LATENCY_MS.
_SET_PAGE_LATENCY_MS = 0x1302
# The least that libsndfile knows. Packets are of 20 ms, so a page has 60 ms at the most, and the
# first 80 ms of audio give some at once.
_PAGE_LATENCY_MS = 50.0


@functools.cache
def problem() -> str:
    """Why nothing can be encoded here; empty if it can. The first call imports soundfile."""
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: the wheel for this system brings no libsndfile
        return "soundfile is not installed"
    if "OPUS" not in soundfile.available_subtypes("OGG"):
        return f"libsndfile {soundfile.__libsndfile_version__} knows no Opus"
    return ""


def complete_opus_format(
    form: common_pb2.AudioFormat, default_rate_hz: int, field: str = "format"
) -> common_pb2.AudioFormat:
    """As `complete_format`, for output that may be Ogg Opus too.

    Raises `AudioError` naming `field`.encoding, .sample_rate_hz or .channels.
    """
    if form.encoding != _OGG_OPUS:
        return complete_format(form, default_rate_hz, field, also=() if problem() else (_OGG_OPUS,))
    if problem():
        raise AudioError(
            f"{field}.encoding",
            f"{encoding_name(_OGG_OPUS)} is not there on this server ({problem()}); allowed are "
            "the encodings of PCM, MULAW and ALAW",
        )
    rate_hz = form.sample_rate_hz or default_rate_hz
    channels = form.channels or 1
    if rate_hz not in RATES_HZ:
        raise AudioError(
            f"{field}.sample_rate_hz",
            f"{rate_hz} Hz is not allowed for {encoding_name(_OGG_OPUS)}; allowed are "
            f"{', '.join(map(str, RATES_HZ))} Hz",
        )
    if channels > MAX_CHANNELS:
        raise AudioError(
            f"{field}.channels",
            f"{channels} channels are not allowed for {encoding_name(_OGG_OPUS)}; allowed are "
            f"1..{MAX_CHANNELS}",
        )
    return common_pb2.AudioFormat(encoding=_OGG_OPUS, sample_rate_hz=rate_hz, channels=channels)


class OggOpusEncoder:
    """One stream of Ogg Opus from PCM_S16LE. Its methods may be called in any thread.

    A second of audio takes some 50 ms of a CPU core at 24 kHz, so that an event loop leaves `feed`
    and `finish` to a thread. The bit rate is Opus's own choice.
    """

    def __init__(self, rate_hz: int, channels: int = 1) -> None:
        """`rate_hz` is one of `RATES_HZ`, `channels` 1 or 2; see `complete_opus_format`."""
        import soundfile

        self.num_samples = 0
        """Samples of one channel that the pages given out so far decode to."""
        self._rate_hz, self._channels = rate_hz, channels
        self._pre_skip = 0
        self._pages = _Pages()
        self._lock = threading.Lock()
        self._sound = soundfile.SoundFile(
            self._pages, "w", rate_hz, channels, subtype="OPUS", format="OGG"
        )
        # soundfile has no name for the command; without it a page would hold a second.
        latency_ms = soundfile._ffi.new("double *", _PAGE_LATENCY_MS)
        soundfile._snd.sf_command(self._sound._file, _SET_PAGE_LATENCY_MS, latency_ms, 8)

    def feed(self, pcm: bytes) -> bytes:
        """Whole samples of all channels in, whole pages out, possibly none.

        The headers come with the first page of audio.
        """
        with self._lock:
            if pcm and not self._sound.closed:
                self._sound.write(np.frombuffer(pcm, "<i2").reshape(-1, self._channels))
            return self._taken()

    def finish(self) -> bytes:
        """The rest of the pages, the last one marked as such. Ends the encoder."""
        with self._lock:
            self._sound.close()
            return self._taken(at_end=True)

    def close(self) -> None:
        """Gives the encoder's memory back; what it still holds is lost. Idempotent."""
        self.finish()

    def _taken(self, *, at_end: bool = False) -> bytes:
        data = self._pages.waiting()
        for page in pages(data):
            if page.packets and page.packets[0].startswith(b"OpusHead"):
                self._pre_skip = pre_skip(page.packets[0])
            elif page.position:
                samples = max(0, page.position - self._pre_skip)
                self.num_samples = samples * self._rate_hz // CLOCK_HZ
        if not (self.num_samples or at_end):
            return b""
        self._pages.taken()
        return data


class _Pages:
    """The file that libsndfile writes: only ever at its end."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._taken_bytes = 0

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def waiting(self) -> bytes:
        """What was written and not taken."""
        return bytes(self._data)

    def taken(self) -> None:
        """All of it was taken."""
        self._taken_bytes += len(self._data)
        self._data.clear()

    def tell(self) -> int:
        return self._taken_bytes + len(self._data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        return b""
