"""Formats of audio by short names, and their bytes as floats and back."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from csm.audio.pcm import BYTES_PER_SAMPLE, PcmReader, PcmWriter
from csm.v1 import common_pb2

Encoding = Literal["u8", "s16", "s24", "s32", "f32", "mulaw", "alaw", "ogg_opus"]
"""PCM, G.711, and Opus in Ogg, which a gateway gives and takes not."""

_ENCODINGS: dict[Encoding, common_pb2.AudioEncoding] = {
    "u8": common_pb2.AUDIO_ENCODING_PCM_U8,
    "s16": common_pb2.AUDIO_ENCODING_PCM_S16LE,
    "s24": common_pb2.AUDIO_ENCODING_PCM_S24LE,
    "s32": common_pb2.AUDIO_ENCODING_PCM_S32LE,
    "f32": common_pb2.AUDIO_ENCODING_PCM_F32LE,
    "mulaw": common_pb2.AUDIO_ENCODING_MULAW,
    "alaw": common_pb2.AUDIO_ENCODING_ALAW,
    "ogg_opus": common_pb2.AUDIO_ENCODING_OGG_OPUS,
}
# What other programs call them.
_ALIASES: dict[str, Encoding] = {
    "s16le": "s16",
    "s24le": "s24",
    "s32le": "s32",
    "f32le": "f32",
    "ulaw": "mulaw",
    "opus": "ogg_opus",
}


@dataclass(frozen=True)
class AudioFormat:
    """PCM or G.711, interleaved, PCM little-endian; or Opus in Ogg.

    A rate of 0 asks for the model's own, with mulaw and alaw for 8000 Hz. ogg_opus is at 8000,
    12000, 16000, 24000 or 48000 Hz, in one or two channels. `s16le`, `s24le`, `s32le`, `f32le`,
    `ulaw` and `opus` are taken too, for s16, s24, s32, f32, mulaw and ogg_opus.
    """

    encoding: Encoding = "s16"
    sample_rate_hz: int = 0
    channels: int = 1

    def __post_init__(self) -> None:
        name = _ALIASES.get(self.encoding, self.encoding)
        if name not in _ENCODINGS:
            raise ValueError(
                f"encoding: {self.encoding!r} is not allowed; one of {', '.join(_ENCODINGS)}"
            )
        object.__setattr__(self, "encoding", name)

    @classmethod
    def of(cls, given: "AudioFormat | str | None") -> "AudioFormat | None":
        """A format, or one of an encoding that is named."""
        return cls(given) if isinstance(given, str) else given  # type: ignore[arg-type]

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels. Raises ValueError for ogg_opus, which has none."""
        size = BYTES_PER_SAMPLE.get(_ENCODINGS[self.encoding])
        if size is None:
            raise ValueError(f"{self.encoding} has no fixed number of bytes a sample")
        return size * self.channels

    def to_proto(self) -> common_pb2.AudioFormat:
        """The wire message."""
        return common_pb2.AudioFormat(
            encoding=_ENCODINGS[self.encoding],
            sample_rate_hz=self.sample_rate_hz,
            channels=self.channels,
        )

    @classmethod
    def from_proto(cls, message: common_pb2.AudioFormat) -> "AudioFormat":
        """The format of a wire message; raises ValueError where this client does not know it."""
        by_value = {value: name for name, value in _ENCODINGS.items()}
        wire = message.encoding or common_pb2.AUDIO_ENCODING_PCM_S16LE
        if wire not in by_value:
            raise ValueError(
                f"encoding {wire} of the server is none of {', '.join(get_args(Encoding))}"
            )
        return cls(by_value[wire], message.sample_rate_hz, message.channels or 1)


def to_float(pcm: bytes, form: AudioFormat) -> NDArray[np.float32]:
    """PCM or G.711 bytes as mono float32 [samples]; raises ValueError for ogg_opus."""
    if form.encoding == "ogg_opus":
        raise ValueError(
            "ogg_opus is not decoded here: hand the bytes of the whole turn to a decoder, for "
            "instance csm.audio.files.read_audio"
        )
    reader = PcmReader(form.to_proto(), form.sample_rate_hz)
    return np.concatenate([reader.feed(pcm), reader.finish()])


def from_float(samples: NDArray[np.floating], form: AudioFormat) -> bytes:
    """Mono floats [samples] as PCM or G.711 bytes, rounded and clipped."""
    # The rate is not changed here, so any equal pair will do where the model's own is asked for.
    rate_hz = form.sample_rate_hz or 24_000
    wire = form.to_proto()
    wire.sample_rate_hz = rate_hz
    writer = PcmWriter(wire, rate_hz)
    return writer.feed(np.asarray(samples, np.float32)) + writer.finish()
