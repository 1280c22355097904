"""Sound into frames for all calls: whole files given as context, and what is heard.

What all calls together may have under way, and in memory, is counted here.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakSet

import grpc
from google.rpc import error_details_pb2

from csm import errors
from csm.serving.calls.outgoing import OutgoingCall
from csm.status import TrueStatus
from csm.v1 import common_pb2, tokenizer_pb2
from gateway.backends.backends import Backends
from gateway.backends.failure import BackendFailure
from gateway.commands import ContextEntry, StreamFormat
from gateway.conversations.segment import text_bytes
from gateway.deadline import left_s as remaining_s
from gateway.hearing.heard_audio import HeardAudio
from gateway.hearing.recordings import RecordingCheck
from gateway.settings import GatewaySettings
from gateway.speaking.fate import Source

CHUNK_BYTES = 1 << 20
ENCODE = "csm.v1.TokenizerService/Encode"


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


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A file as frames."""

    frames: common_pb2.TokenFrames
    warnings: tuple[str, ...] = ()
    """What was odd about it, a sentence each."""
    num_samples: int = 0
    """Its true length at the codec's rate; the last frame is padded."""


class AudioEncoder:
    """The tokenizer's encoding side, shared by all calls of a gateway."""

    def __init__(self, backends: Backends, settings: GatewaySettings) -> None:
        self._backends = backends
        self._settings = settings
        self._places = asyncio.Semaphore(settings.max_files_encoding)
        self.measuring = asyncio.Lock()
        """Who measures a recording: one at a time, for its samples are large."""
        self._context_bytes = 0
        self._heard: WeakSet[HeardAudio] = WeakSet()
        self.recordings = RecordingCheck(settings.check_recordings)
        """Whether recordings and their words go together."""

    @contextlib.contextmanager
    def holding(self, context: Sequence[ContextEntry]) -> Iterator[None]:
        """Counts what a call brought as context, for as long as the call has it.

        Raises `QueueFull` where all calls together would have more than `max_context_bytes`.
        """
        with self.holding_bytes(
            sum(len(turn.audio_file) + len(turn.codes) + text_bytes(turn.text) for turn in context)
        ):
            yield

    @contextlib.contextmanager
    def holding_bytes(self, num_bytes: int) -> Iterator[None]:
        """As `holding`, of so many bytes of whatever was brought to be encoded."""
        limit = self._settings.max_context_bytes
        # One that is alone is let in, or a low limit would refuse it for ever.
        if self._context_bytes and self._context_bytes + num_bytes > limit:
            raise errors.QueueFull(
                f"context: {num_bytes} bytes beside {self._context_bytes} of other calls; at most "
                f"{limit} are held at once"
            )
        self._context_bytes += num_bytes
        try:
            yield
        finally:
            self._context_bytes -= num_bytes

    async def encode(
        self,
        data: bytes,
        field: str,
        deadline: float | None = None,
        max_s: float | None = None,
    ) -> EncodedFile:
        """The frames of a whole audio file, which is mended where the settings say so.

        `deadline` is the caller's, a time of the monotonic clock; `encode_timeout_s` holds besides.
        `max_s`: the longest that is taken, in seconds; None: what the model's context holds.

        Raises:
            InvalidArgument: about `field`: it is no audio, or longer than the model's context, or
                than `max_s`.
            QueueFull: too many files are encoded.
            DeadlineExceeded: the caller's deadline has passed.
            ServiceError: of the tokenizer; `Unavailable` where it took too long.
        """
        await self._place(deadline)
        try:
            own_s = self._settings.encode_timeout_s
            left_s = remaining_s(deadline)
            timeout_s = own_s if left_s is None else min(own_s, left_s)
            try:
                return await self._encoded(data, timeout_s, max_s)
            except BackendFailure as failure:
                late = failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
                if late and (left_s is None or own_s < left_s):
                    raise errors.Unavailable(
                        f"the tokenizer did not encode {field} within {own_s:g} s"
                    ) from failure
                raise about(field, failure.error) from failure
        finally:
            self._places.release()

    def hear(self, form: StreamFormat, timeout_s: float | None) -> HeardAudio:
        """A heard turn, whose first audio is there. `form` is a complete PCM format."""
        audio = HeardAudio(
            self._backends,
            form,
            self._settings.max_heard_audio_ms,
            timeout_s,
            self._settings.heard_timeout_s,
            self._crowded,
        )
        self._heard.add(audio)
        return audio

    def _crowded(self) -> bool:
        waiting = sum(audio.waiting_bytes for audio in self._heard)
        return waiting > self._settings.max_heard_waiting_bytes

    async def _place(self, deadline: float | None) -> None:
        """Waits for one of the places, no longer than a file may take."""
        own_s, left_s = self._settings.encode_timeout_s, remaining_s(deadline)
        try:
            async with asyncio.timeout(own_s if left_s is None else min(own_s, left_s)):
                await self._places.acquire()
        except TimeoutError:
            if left_s is not None and left_s <= own_s:
                raise errors.DeadlineExceeded(
                    "the call's deadline passed while its context waited to be encoded"
                ) from None
            raise errors.QueueFull(
                f"{self._settings.max_files_encoding} files are encoded, as many as at once; none "
                f"was done within {own_s:g} s"
            ) from None

    async def _encoded(self, data: bytes, timeout_s: float, max_s: float | None) -> EncodedFile:
        info = self._backends.info
        # One sample more than can be used, so that what is too long is told in frames.
        max_samples = info.generator.max_positions * info.tokenizer.frame_samples + 1
        if max_s is not None:
            max_samples = min(max_samples, round(max_s * info.tokenizer.sample_rate_hz))

        config = tokenizer_pb2.EncodeConfig(
            format=common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE),
            max_samples=max_samples,
            mend=self._settings.mend_recordings,
        )

        def requests() -> Iterator[tokenizer_pb2.EncodeRequest]:
            yield tokenizer_pb2.EncodeRequest(config=config)
            for at in range(0, len(data), CHUNK_BYTES):
                yield tokenizer_pb2.EncodeRequest(audio=data[at : at + CHUNK_BYTES])

        with OutgoingCall(ENCODE) as outgoing:
            call = self._backends.tokenizer.Encode(
                requests(), timeout=timeout_s, metadata=outgoing.metadata
            )
            status = TrueStatus(call)
            try:
                response = await call
            except grpc.aio.AioRpcError as raised:
                error = await status.of(raised)
                raise BackendFailure.of(Source.TOKENIZER, error) from error
        warnings = tuple(w.description for w in response.warnings)
        return EncodedFile(response.frames, warnings, response.num_samples)
