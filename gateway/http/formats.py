"""The audio of an answer: its Content-Type, and a turn's PCM in what was asked for."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from csm.audio import compressed
from gateway.commands import StreamFormat
from gateway.http.messages import wav_front
from gateway.http.speech_body import ResponseFormat

CONTENT_TYPES: dict[ResponseFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
SSE = "text/event-stream"


class Coding(Protocol):
    """One turn's audio on its way out."""

    async def feed(self, pcm: bytes) -> bytes:
        """A chunk of the turn in; what can be sent of it out, possibly nothing."""

    async def finish(self) -> bytes:
        """What is left."""

    def close(self) -> None:
        """Gives up what it holds. Idempotent."""


def check_format(response_format: ResponseFormat, rate_hz: int) -> None:
    """Raises `AudioError` where this server cannot make the format at that rate."""
    if response_format in ("mp3", "flac", "aac"):
        compressed.check(response_format, rate_hz)


def coding_of(response_format: ResponseFormat, form: StreamFormat) -> Coding:
    """For one turn. `form` is what its audio comes in; Ogg Opus is coded before it is here."""
    if response_format in ("mp3", "flac", "aac"):
        return _Coded(response_format, form.sample_rate_hz)
    return _AsItIs(wav_front(form) if response_format == "wav" else b"")


@dataclass
class _AsItIs:
    """Bytes unchanged, behind a header."""

    header: bytes

    async def feed(self, pcm: bytes) -> bytes:
        header, self.header = self.header, b""
        return header + pcm

    async def finish(self) -> bytes:
        return await self.feed(b"")

    def close(self) -> None:
        self.header = b""


class _Coded:
    """In a thread: a second of audio takes some 15 ms of a core, PyAV's first import more."""

    def __init__(self, compression: compressed.Compression, rate_hz: int) -> None:
        self._compression = compression
        self._rate_hz = rate_hz
        self._encoder: compressed.StreamEncoder | None = None

    async def feed(self, pcm: bytes) -> bytes:
        return await asyncio.to_thread(self._feed, pcm)

    async def finish(self) -> bytes:
        return await asyncio.to_thread(self._finish)

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()

    def _feed(self, pcm: bytes) -> bytes:
        if self._encoder is None:
            self._encoder = compressed.make_encoder(self._compression, self._rate_hz)
        return self._encoder.feed(pcm)

    def _finish(self) -> bytes:
        return self._encoder.finish() if self._encoder is not None else b""
