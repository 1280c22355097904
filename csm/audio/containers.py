"""MPEG-4, WebM, AAC and AMR files, by PyAV (the extra `av`), a packet at a time."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from csm.audio.mp4 import check_tables
from csm.audio.pcm import AudioError, check_channels, check_rate
from csm.audio.sniff import CONVERT, Kind

_DEMUXERS = {Kind.MOV: "mov", Kind.MATROSKA: "matroska", Kind.ADTS: "aac", Kind.AMR: "amr"}
# Whatever else is in the file, a video above all, is never given to a decoder.
_DECODERS = (
    "aac,aac_latm,aac_fixed,opus,libopus,vorbis,libvorbis,mp3,mp3float,mp2,mp2float,flac,alac,"
    "amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,ac3,eac3,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,"
    "pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_mulaw,pcm_alaw"
)
# Encoder delay and padding, and lengths that are stated in milliseconds.
_SLACK_S = Fraction(1, 4)


class ContainerDecoder:
    """An open file of one of these kinds; see `csm.audio.decoders.FileDecoder`."""

    is_float = False
    gain = 1.0
    warnings: tuple[str, ...] = ()

    def __init__(self, container: Any, stream: Any, field: str) -> None:
        self._container, self._stream = container, stream
        if stream.codec_context is None:
            raise AudioError(field, f"holds sound of a codec that is not read here; {CONVERT}")
        self.rate_hz: int = stream.rate or 0
        self.channels: int = stream.codec_context.channels
        check_rate(self.rate_hz, field)
        check_channels(self.channels, field)
        length_s = stream.duration * stream.time_base if stream.duration else Fraction(0)
        self.declared = int(length_s * self.rate_hz) or None
        self.slack_samples: int | None = int(_SLACK_S * self.rate_hz)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Interleaved samples [n, channels], each block in memory of its own."""
        import av

        # The layout as the stream began: a decoder may change its mind on the way.
        resampler = av.AudioResampler("fltp", self._stream.codec_context.layout, self.rate_hz)
        for frame in self._container.decode(self._stream):
            for part in resampler.resample(frame):
                yield np.asarray(part.to_ndarray().T, np.float32)
        for part in resampler.resample(None):
            yield np.asarray(part.to_ndarray().T, np.float32)


@contextlib.contextmanager
def opened_container(file: BinaryIO, field: str, kind: Kind) -> Iterator[ContainerDecoder]:
    """The file's first audio stream. What PyAV raises is an `AudioError` about `field`."""
    try:
        import av
    except ImportError:
        raise AudioError(
            field,
            f"is {kind.value}: install the extra (pip install 'csm-server[av]') or {CONVERT}",
        ) from None
    if kind is Kind.MOV:
        check_tables(file, field)
    try:
        with av.open(
            file,
            format=_DEMUXERS[kind],
            options={"codec_whitelist": _DECODERS},
            metadata_errors="replace",
        ) as container:
            if not container.streams.audio:
                raise AudioError(field, f"is {kind.value.split()[0]} without a sound track")
            yield ContainerDecoder(container, container.streams.audio[0], field)
    except (av.FFmpegError, EOFError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "it does not end where it should"
        raise AudioError(
            field, f"cannot be read as {kind.value} ({reason}); or {CONVERT}"
        ) from error
