"""Sound into frames: a whole file given as context, or what is heard while it is heard."""

import asyncio
from collections.abc import Iterator

import grpc
from google.rpc import error_details_pb2

from csm import errors
from csm.status import TrueStatus
from csm.v1 import common_pb2, tokenizer_pb2
from gateway.backends.backends import Backends
from gateway.backends.convert import audio_format
from gateway.backends.failure import BackendFailure
from gateway.backends.requests import Call
from gateway.commands import AudioFormat
from gateway.speaking.fate import Source

CHUNK_BYTES = 1 << 20
MAX_WAITING_BYTES = 4 << 20
"""Of a call's heard audio, for the tokenizer: 87 s of 24 kHz in 16 bits."""


def about(field: str, error: errors.ServiceError) -> errors.ServiceError:
    """The error with its violations about `field`, the caller's name for what we forwarded."""
    if error.code is not grpc.StatusCode.INVALID_ARGUMENT:
        return error
    descriptions = [
        violation.description
        for detail in error.details()
        if isinstance(detail, error_details_pb2.BadRequest)
        for violation in detail.field_violations
    ]
    return errors.InvalidArgument(
        *(errors.FieldViolation(field, d) for d in descriptions or [error.message])
    )


async def encode_file(
    backends: Backends, data: bytes, field: str, timeout_s: float | None
) -> common_pb2.TokenFrames:
    """The frames of a whole WAV, FLAC, Ogg or MP3 file.

    Raises `InvalidArgument` about `field` where it is none, other `ServiceError`s as they come.
    """

    def requests() -> Iterator[tokenizer_pb2.EncodeRequest]:
        form = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)
        yield tokenizer_pb2.EncodeRequest(config=tokenizer_pb2.EncodeConfig(format=form))
        for at in range(0, len(data), CHUNK_BYTES):
            yield tokenizer_pb2.EncodeRequest(audio=data[at : at + CHUNK_BYTES])

    call = backends.tokenizer.Encode(requests(), timeout=timeout_s)
    status = TrueStatus(call)
    try:
        response = await call
    except grpc.aio.AioRpcError as raised:
        error = await status.of(raised)
        raise about(field, BackendFailure.of(Source.TOKENIZER, error).error) from error
    return response.frames


class HeardAudio:
    """One StreamingEncode call: audio in as it is heard, all its frames out at the end."""

    def __init__(
        self,
        backends: Backends,
        form: AudioFormat,
        max_audio_ms: int,
        timeout_s: float | None,
    ) -> None:
        """`form` is a complete PCM format."""
        self._call = Call(Source.TOKENIZER, backends.tokenizer.StreamingEncode, timeout_s)
        config = tokenizer_pb2.EncodeConfig(format=audio_format(form))
        self._call.requests.put(tokenizer_pb2.StreamingEncodeRequest(config=config))
        self._max_audio_ms = max_audio_ms
        self._bytes_per_s = form.bytes_per_s
        self._num_bytes = 0
        self._codes: list[bytes] = []
        self._num_frames = 0
        self._reader = asyncio.create_task(self._read())

    def feed(self, pcm: bytes) -> None:
        """Takes PCM cut anywhere; see `room`. Raises `InvalidArgument` when it gets too long."""
        self._num_bytes += len(pcm)
        if self._num_bytes * 1000 > self._max_audio_ms * self._bytes_per_s:
            raise errors.invalid(
                "heard_audio.audio",
                f"the heard turn is longer than {self._max_audio_ms} ms; end it with end_of_turn",
            )
        if not self._reader.done():
            self._call.requests.put(tokenizer_pb2.StreamingEncodeRequest(audio=pcm), len(pcm))

    async def room(self) -> None:
        """Returns when not too much of the audio waits for the tokenizer, or its call has ended."""
        requests = self._call.requests
        while requests.waiting_bytes > MAX_WAITING_BYTES and not self._reader.done():
            requests.taken.clear()
            taken = asyncio.create_task(requests.taken.wait())
            try:
                await asyncio.wait((taken, self._reader), return_when=asyncio.FIRST_COMPLETED)
            finally:
                taken.cancel()

    def close(self) -> None:
        """No more audio comes."""
        self._call.requests.close()

    async def frames(self) -> tuple[bytes, int]:
        """Packed codes and the number of frames, after `close`. Raises `BackendFailure`."""
        await self._reader
        return b"".join(self._codes), self._num_frames

    async def abort(self) -> None:
        """Gives the codec's state back at once."""
        self._call.cancel()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while (answer := await self._call.read()) is not None:
                if answer.WhichOneof("response") == "frames":
                    self._codes.append(answer.frames.codes)
                    self._num_frames += answer.frames.num_frames
        finally:
            # Nobody takes what still waits.
            self._call.requests.drop()
