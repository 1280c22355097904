"""What is heard, encoded while it is heard."""

import asyncio
import time
from collections.abc import Callable

from csm import errors
from csm.v1 import tokenizer_pb2
from gateway.backends.backends import Backends
from gateway.backends.convert import audio_format
from gateway.backends.failure import BackendFailure
from gateway.backends.requests import Call
from gateway.commands import StreamFormat
from gateway.speaking.fate import Source

MAX_WAITING_BYTES = 4 << 20
"""Of a call's heard audio, for the tokenizer: 87 s of 24 kHz in 16 bits."""
MIN_WAITING_BYTES = 32 << 10
"""What each call may have waiting, however much all others have."""
OWED_AFTER_FRAMES = 4
"""A tokenizer may keep back so much of what it was given, as its resampler does."""
CHECKS = 5
"""Looks at a tokenizer within the time that it may owe frames."""


class HeardAudio:
    """One StreamingEncode call: audio in as it is heard, all its frames out at the end.

    The call, and with it a stream of the tokenizer, is held from the first audio on.
    """

    def __init__(
        self,
        backends: Backends,
        form: StreamFormat,
        max_audio_ms: int,
        timeout_s: float | None,
        gap_timeout_s: float = 15.0,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        """`form` is a complete PCM format.

        A tokenizer that owes frames, and gives none for `gap_timeout_s`, has failed. `crowded`
        says whether all calls together have too much audio waiting.
        """
        self._call = Call(
            Source.TOKENIZER,
            backends.tokenizer.StreamingEncode,
            timeout_s,
            rpc="csm.v1.TokenizerService/StreamingEncode",
        )
        config = tokenizer_pb2.EncodeConfig(format=audio_format(form))
        self._call.requests.put(tokenizer_pb2.StreamingEncodeRequest(config=config))
        self._max_audio_ms = max_audio_ms
        self._bytes_per_s = form.bytes_per_s
        self._frame_ms = backends.info.frame_ms
        self._gap_timeout_s = gap_timeout_s
        self._crowded = crowded
        self._num_bytes = 0
        self._codes = bytearray()
        self._num_frames = 0
        self._closed = False
        self._owed_since: float | None = None
        self._silent: BackendFailure | None = None
        self._reader = asyncio.create_task(self._read())

    @property
    def waiting_bytes(self) -> int:
        """Audio that the tokenizer has not taken."""
        return self._call.requests.waiting_bytes

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
            self._note_owed()

    async def room(self) -> None:
        """Returns when not too much of the audio waits for the tokenizer, or its call has ended."""
        requests = self._call.requests
        while self._too_much() and not self._reader.done():
            requests.taken.clear()
            taken = asyncio.create_task(requests.taken.wait())
            try:
                await asyncio.wait((taken, self._reader), return_when=asyncio.FIRST_COMPLETED)
            finally:
                taken.cancel()

    def close(self) -> None:
        """No more audio comes."""
        self._call.requests.close()
        self._closed = True
        self._note_owed()

    async def frames(self) -> tuple[bytes, int]:
        """Packed codes and the number of frames, after `close`. Raises `BackendFailure`."""
        await self._reader
        return bytes(self._codes), self._num_frames

    async def abort(self) -> None:
        """Gives the codec's state back at once."""
        self._call.cancel()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    def _too_much(self) -> bool:
        waiting = self.waiting_bytes
        return waiting > MAX_WAITING_BYTES or (waiting > MIN_WAITING_BYTES and self._crowded())

    def _owes(self) -> bool:
        """Whether it is the tokenizer's turn: it has audio for a frame, or is to end the call."""
        fed_ms = self._num_bytes * 1000 / self._bytes_per_s
        given_ms = (self._num_frames + OWED_AFTER_FRAMES) * self._frame_ms
        return self._closed or fed_ms >= given_ms

    def _note_owed(self) -> None:
        if self._owed_since is None and self._owes():
            self._owed_since = time.monotonic()

    async def _read(self) -> None:
        watch = asyncio.create_task(self._watch())
        try:
            while (answer := await self._call.read()) is not None:
                if answer.WhichOneof("response") == "frames":
                    self._codes += answer.frames.codes
                    self._num_frames += answer.frames.num_frames
                self._owed_since = None
                self._note_owed()
        except asyncio.CancelledError:
            if self._silent is not None:
                raise self._silent from None
            raise
        finally:
            watch.cancel()
            # Nobody takes what still waits.
            self._call.requests.drop()

    async def _watch(self) -> None:
        """Ends the call of a tokenizer that holds its connection and does nothing."""
        while True:
            await asyncio.sleep(self._gap_timeout_s / CHECKS)
            since = self._owed_since
            if since is not None and time.monotonic() - since >= self._gap_timeout_s:
                waited_s = time.monotonic() - since
                self._silent = BackendFailure.silent(Source.TOKENIZER, waited_s, "frames")
                self._call.cancel()
                return
