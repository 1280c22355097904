"""How loud a turn is, ten milliseconds at a time, as it passes."""

import numpy as np
from numpy.typing import NDArray

from csm.audio.g711 import ALAW_LEVELS, MULAW_LEVELS
from csm.v1 import common_pb2
from gateway.commands import StreamFormat

HOP_MS = 10
FLOOR_DB = -90
"""Nothing is quieter; a byte holds how far above it a hop is."""

Levels = NDArray[np.uint8]

_S16 = common_pb2.AUDIO_ENCODING_PCM_S16LE
_LOOKUPS: dict[int, NDArray[np.int16]] = {
    common_pb2.AUDIO_ENCODING_MULAW: MULAW_LEVELS,
    common_pb2.AUDIO_ENCODING_ALAW: ALAW_LEVELS,
}


class Loudness:
    """The level of each hop of what was fed, in dB above `FLOOR_DB`: a byte each."""

    def __init__(self, form: StreamFormat) -> None:
        """`form` is a complete PCM or G.711 format."""
        self._form = form
        self._hop_bytes = form.sample_rate_hz * HOP_MS // 1000 * form.sample_bytes
        self._rest = b""
        self._levels = bytearray()

    def between(self, start_ms: float, end_ms: float) -> Levels:
        """Of the hops that begin within [start_ms, end_ms)."""
        start, end = (max(0, round(ms / HOP_MS)) for ms in (start_ms, end_ms))
        return np.frombuffer(bytes(self._levels[start:end]), np.uint8)

    def feed(self, audio: bytes) -> None:
        """What comes next, cut at whole samples."""
        data = self._rest + audio if self._rest else audio
        hops = len(data) // self._hop_bytes
        if hops:
            self._levels += self._measured(data[: hops * self._hop_bytes], hops)
        self._rest = data[hops * self._hop_bytes :]

    def _measured(self, data: bytes, hops: int) -> bytes:
        """All channels of a hop count alike."""
        samples = self._samples(data).reshape(hops, -1)
        power = np.einsum("ij,ij->i", samples, samples) / samples.shape[1]
        decibels = 10 * np.log10(power + 1e-12) - FLOOR_DB
        return decibels.clip(0, 255).astype(np.uint8).tobytes()

    def _samples(self, data: bytes) -> NDArray[np.float32]:
        """Full scale is 1."""
        encoding = self._form.encoding
        if (lookup := _LOOKUPS.get(encoding)) is not None:
            return lookup[np.frombuffer(data, np.uint8)].astype(np.float32) / np.float32(1 << 15)
        if encoding == _S16:
            return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(1 << 15)
        if encoding == common_pb2.AUDIO_ENCODING_PCM_F32LE:
            return np.frombuffer(data, "<f4").astype(np.float32)
        if encoding == common_pb2.AUDIO_ENCODING_PCM_S32LE:
            return np.frombuffer(data, "<i4").astype(np.float32) / np.float32(1 << 31)
        if encoding == common_pb2.AUDIO_ENCODING_PCM_S24LE:
            # The two upper bytes are enough to tell how loud it is.
            upper = np.frombuffer(data, np.uint8).reshape(-1, 3)[:, 1:]
            return np.ascontiguousarray(upper).view("<i2")[:, 0].astype(np.float32) / np.float32(
                1 << 15
            )
        return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(
            128
        )
