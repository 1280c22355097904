"""PCM and G.711 bytes to mono float32 at another rate and back, in chunks cut anywhere.

Scale: an integer sample of b bits is its value divided by 2**(b-1), so full scale is -1..1 and
integers survive the way there and back; a code of G.711 is the 16-bit sample that it stands for.
Only another rate needs `csm.audio.resample`, and with it soxr: it is imported where two rates
differ, so that a client of PCM runs without it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from csm.audio.g711 import ALAW_LEVELS, MULAW_LEVELS, alaw_codes, mulaw_codes
from csm.errors import FieldViolation, InvalidArgument
from csm.v1 import common_pb2

if TYPE_CHECKING:
    from csm.audio.resample import Resampler

Samples = NDArray[np.float32]
BitDepth = Literal["8", "16", "24", "32", "float"]

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000
# Mono to 5.1: what recordings come in.
MAX_CHANNELS = 6
TELEPHONE_RATE_HZ = 8_000
"""What G.711 is at where nothing else is said: any other rate is an exception."""

_U8 = common_pb2.AUDIO_ENCODING_PCM_U8
_S16 = common_pb2.AUDIO_ENCODING_PCM_S16LE
_S24 = common_pb2.AUDIO_ENCODING_PCM_S24LE
_S32 = common_pb2.AUDIO_ENCODING_PCM_S32LE
_F32 = common_pb2.AUDIO_ENCODING_PCM_F32LE
_MULAW = common_pb2.AUDIO_ENCODING_MULAW
_ALAW = common_pb2.AUDIO_ENCODING_ALAW

_MULAW_FLOATS = MULAW_LEVELS.astype(np.float32) / np.float32(1 << 15)
_ALAW_FLOATS = ALAW_LEVELS.astype(np.float32) / np.float32(1 << 15)

FLOAT_ENCODING = _F32
"""Samples as they are worked on."""
BYTES_PER_SAMPLE = {_U8: 1, _S16: 2, _S24: 3, _S32: 4, _F32: 4, _MULAW: 1, _ALAW: 1}


class AudioError(InvalidArgument, ValueError):
    """Audio, or a format of audio, that is wrong.

    A `ValueError` for the command line, an INVALID_ARGUMENT with its field for a servicer.
    """

    def __init__(self, field: str, description: str) -> None:
        super().__init__(FieldViolation(field, description))
        self.field = field
        self.description = description


class AudioTooLong(AudioError):
    """Audio that is longer than its receiver takes, in seconds or in bytes."""


def check_rate(rate_hz: int, field: str) -> None:
    """Raises `AudioError` about `field` where a sample rate in Hz is out of range."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioError(
            field, f"{rate_hz} Hz is not allowed; allowed are {MIN_RATE_HZ}..{MAX_RATE_HZ} Hz"
        )


def check_channels(channels: int, field: str) -> None:
    """Raises `AudioError` about `field` where a channel count is out of range."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(
            field, f"{channels} channels are not allowed; allowed are 1..{MAX_CHANNELS}"
        )


def check_finite(samples: Samples, field: str, first_sample: int = 0) -> None:
    """Raises `AudioError` about `field` where samples [N] hold a NaN or an infinity."""
    finite = np.isfinite(samples)
    if not finite.all():
        at = int(np.argmin(finite))
        raise AudioError(
            field,
            f"sample {first_sample + at} is {samples[at]}; allowed are finite values",
        )


def encoding_name(encoding: int) -> str:
    """Its name on the wire; a number that has none as it is."""
    known = encoding in common_pb2.AudioEncoding.values()
    return common_pb2.AudioEncoding.Name(encoding) if known else str(encoding)


def complete_format(
    form: common_pb2.AudioFormat,
    default_rate_hz: int,
    field: str = "format",
    *,
    also: Iterable[common_pb2.AudioEncoding] = (),
) -> common_pb2.AudioFormat:
    """The format with its defaults filled in: PCM_S16LE, `default_rate_hz`, one channel.

    MULAW and ALAW without a rate are at 8000 Hz. `also` are encodings that the caller has taken
    elsewhere, so that the error about another one names them too.

    Raises `AudioError` naming `field`.encoding, .sample_rate_hz or .channels.
    """
    encoding = form.encoding or _S16
    if encoding not in BYTES_PER_SAMPLE:
        names = ", ".join(encoding_name(one) for one in (*BYTES_PER_SAMPLE, *also))
        raise AudioError(
            f"{field}.encoding",
            f"{encoding_name(encoding)} is not allowed here; allowed are {names}",
        )
    if encoding in (_MULAW, _ALAW):
        default_rate_hz = TELEPHONE_RATE_HZ
    rate_hz = form.sample_rate_hz or default_rate_hz
    channels = form.channels or 1
    check_rate(rate_hz, f"{field}.sample_rate_hz")
    check_channels(channels, f"{field}.channels")
    return common_pb2.AudioFormat(encoding=encoding, sample_rate_hz=rate_hz, channels=channels)


def mix_down(samples: Samples) -> Samples:
    """Interleaved channels [N, C] averaged to mono [N]."""
    if samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0])
    # float64: six loud float32 channels must not overflow on the way to their mean.
    return samples.mean(axis=1, dtype=np.float64).astype(np.float32)


def to_integers(samples: Samples, bits: Literal[8, 16, 24, 32]) -> NDArray[np.int32]:
    """Float samples [N] rounded to signed integers of `bits` bits, clipped to their range."""
    scale = float(1 << (bits - 1))
    scaled = np.rint(samples.astype(np.float64) * scale)
    return np.clip(scaled, -scale, scale - 1).astype(np.int32)


def pcm_bytes(samples: Samples, encoding: common_pb2.AudioEncoding) -> bytes:
    """Float samples [N] as little-endian PCM of a PCM encoding, or as codes of G.711."""
    if encoding == _F32:
        return samples.astype("<f4").tobytes()
    if encoding == _MULAW:
        return mulaw_codes(to_integers(samples, 16).astype(np.int16)).tobytes()
    if encoding == _ALAW:
        return alaw_codes(to_integers(samples, 16).astype(np.int16)).tobytes()
    if encoding == _S16:
        return to_integers(samples, 16).astype("<i2").tobytes()
    if encoding == _S32:
        return to_integers(samples, 32).astype("<i4").tobytes()
    if encoding == _U8:
        return (to_integers(samples, 8) + 128).astype(np.uint8).tobytes()
    wide = to_integers(samples, 24).astype("<i4")
    return wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def pcm_samples(data: bytes, encoding: common_pb2.AudioEncoding) -> Samples:
    """Little-endian PCM, or codes of G.711, as float samples [N]; whole samples only."""
    if encoding == _F32:
        return np.frombuffer(data, "<f4").astype(np.float32)
    if encoding in (_MULAW, _ALAW):
        levels = _MULAW_FLOATS if encoding == _MULAW else _ALAW_FLOATS
        return levels[np.frombuffer(data, np.uint8)]
    if encoding == _S16:
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(1 << 15)
    if encoding == _S32:
        return (np.frombuffer(data, "<i4") / float(1 << 31)).astype(np.float32)
    if encoding == _U8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    # The three bytes become the upper ones of an int32, which keeps the sign.
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] / float(1 << 31)).astype(np.float32)


class PcmReader:
    """PCM or G.711 bytes, cut anywhere, to mono float32 at `target_rate_hz`.

    `field` names the format in errors, `audio_field` the bytes; `also` as in `complete_format`.
    """

    def __init__(
        self,
        form: common_pb2.AudioFormat,
        target_rate_hz: int,
        field: str = "format",
        audio_field: str = "audio",
        also: Iterable[common_pb2.AudioEncoding] = (),
    ) -> None:
        self.format = complete_format(form, target_rate_hz, field, also=also)
        self._field = audio_field
        self._frame_bytes = BYTES_PER_SAMPLE[self.format.encoding] * self.format.channels
        self._carry = b""
        self._samples_in = 0
        self._resampler = _resampler(self.format.sample_rate_hz, target_rate_hz)
        self.num_samples = 0
        """Samples given out so far, at the target rate."""

    def feed(self, data: bytes) -> Samples:
        """Bytes in, samples [M] out; M may be 0. Raises `AudioError` on NaN or infinity."""
        data = self._carry + data if self._carry else data
        whole = len(data) - len(data) % self._frame_bytes
        self._carry = bytes(data[whole:])
        if not whole:
            return np.zeros(0, np.float32)
        encoding = self.format.encoding
        interleaved = pcm_samples(data[:whole] if self._carry else data, encoding)
        samples = mix_down(interleaved.reshape(-1, self.format.channels))
        if encoding == _F32:
            check_finite(samples, self._field, self._samples_in)
        self._samples_in += len(samples)
        return self._out(self._resampler.feed(samples) if self._resampler else samples)

    def finish(self) -> Samples:
        """The rest [M]. Raises `AudioError` where the bytes end within a sample."""
        if self._carry:
            raise AudioError(
                self._field,
                f"ends with {len(self._carry)} bytes over; allowed is a multiple of "
                f"{self._frame_bytes} bytes (one sample of each of {self.format.channels} "
                "channels)",
            )
        return self._out(self._resampler.finish() if self._resampler else np.zeros(0, np.float32))

    def _out(self, samples: Samples) -> Samples:
        self.num_samples += len(samples)
        return samples


class PcmWriter:
    """Mono float32 at `source_rate_hz` to PCM or G.711: resampled, clipped, channels repeated."""

    def __init__(
        self, form: common_pb2.AudioFormat, source_rate_hz: int, field: str = "format"
    ) -> None:
        self.format = complete_format(form, source_rate_hz, field)
        """The format in force, complete."""
        self.sample_bytes = BYTES_PER_SAMPLE[self.format.encoding] * self.format.channels
        """Bytes of one sample of all channels."""
        self._resampler = _resampler(source_rate_hz, self.format.sample_rate_hz)

    def feed(self, samples: Samples) -> bytes:
        """Samples [N] in, bytes out (a multiple of `sample_bytes`, possibly none)."""
        return self._bytes(self._resampler.feed(samples) if self._resampler else samples)

    def finish(self) -> bytes:
        """The rest of the bytes."""
        return self._bytes(self._resampler.finish()) if self._resampler else b""

    def _bytes(self, samples: Samples) -> bytes:
        # The resampler may overshoot a full-scale signal; a float encoding is clipped too.
        samples = np.clip(samples, -1.0, 1.0)
        if self.format.channels > 1:
            samples = np.repeat(samples, self.format.channels)
        return pcm_bytes(samples, self.format.encoding)


def _resampler(from_hz: int, to_hz: int) -> "Resampler | None":
    """None where both rates are the same."""
    if from_hz == to_hz:
        return None
    from csm.audio.resample import Resampler

    return Resampler(from_hz, to_hz)
