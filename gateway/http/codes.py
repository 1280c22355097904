"""`POST /v1/audio/tokens` and `/v1/audio/detokenize`: recordings to codes, and back."""

import contextlib
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from csm import errors
from csm.audio.stored_codes import StoredCodes
from gateway.backends import codec
from gateway.http.bodies import Bodies, read_on
from gateway.http.connection import abort, client_of
from gateway.http.errors import HttpError, violations_of
from gateway.http.messages import pcm_format, wav_front
from gateway.http.sending import Sender, disconnected, while_connected
from gateway.owner import owner_of_call
from gateway.places import Places
from gateway.quotas.caller import caller_of_call
from gateway.speech import SpeechHandler

SAFETENSORS = "application/octet-stream"
FIELD = "body"
MAX_WARNINGS_CHARS = 1024
_TEXTS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/")


class CodesRoutes:
    """The routes."""

    def __init__(self, speech: SpeechHandler, bodies: Bodies) -> None:
        self._speech = speech
        self._bodies = bodies
        self._places = Places("recordings are coded", speech.settings.max_files_encoding)

    async def tokens(self, request: Request) -> Response:
        """Any file of audio in, safetensors out: `codes` [frames, codebooks] and metadata."""
        settings = self._speech.settings
        await self._check(request)
        timeout_s = settings.http_arrival_s + settings.encode_timeout_s
        with self._places.taken(client_of(request.scope)):
            parts = await self._bodies.parts(
                request.scope, request.receive, settings.http_max_upload_bytes
            )
            try:
                encoded = await codec.encode(self._speech.backends, parts, timeout_s)
            except errors.ServiceError as error:
                await read_on(request.receive)
                raise _about_body(error) from None
        headers = {}
        if encoded.warnings:
            told = "; ".join(encoded.warnings)[:MAX_WARNINGS_CHARS]
            headers["x-csm-warnings"] = told.encode("ascii", "replace").decode()
        return Response(encoded.stored.to_bytes(), media_type=SAFETENSORS, headers=headers)

    async def detokenize(self, request: Request) -> Response:
        """Safetensors in, a WAV out."""
        await self._check(request)
        data = await self._bodies.whole(request.scope, request.receive)
        info = self._speech.backends.info.tokenizer
        stored = StoredCodes.from_bytes(data, FIELD)
        stored.check_codec(FIELD, info.num_codebooks, info.codebook_size)
        return _Wav(self, stored, request)

    async def wav(self, stored: StoredCodes, client: str) -> AsyncGenerator[bytes, None]:
        """The file in parts. Raises `ServiceError`."""
        backends, settings = self._speech.backends, self._speech.settings
        info = backends.info.tokenizer
        form = pcm_format(info.sample_rate_hz)
        num_samples = stored.num_samples or len(stored.codes) * info.frame_samples
        header = wav_front(form, num_samples)
        with self._places.taken(client):
            sound = codec.decode(backends, stored, form, settings.encode_timeout_s)
            async with contextlib.aclosing(sound):
                async for pcm in sound:
                    yield header + pcm
                    header = b""

    @property
    def max_unread_s(self) -> float:
        """Seconds that a part of an answer may wait for its client."""
        return self._speech.settings.max_unread_s

    async def _check(self, request: Request) -> None:
        """Whether it may be asked, and brings a file."""
        try:
            async with self._speech.quotas.request(caller_of_call(owner_of_call())):
                await self._check_bytes(request)
        except errors.QuotaExceeded:
            await read_on(request.receive)
            raise

    async def _check_bytes(self, request: Request) -> None:
        kind = Headers(scope=request.scope).get("content-type", "").lower()
        if kind.startswith(_TEXTS):
            await read_on(request.receive)
            raise HttpError(
                415,
                "unsupported_media_type",
                "Content-Type: the body must be the file itself, as audio/* or "
                "application/octet-stream",
            )


class _Wav(Response):
    """A recording as the body of an answer; its headers go with the first sound."""

    def __init__(self, routes: CodesRoutes, stored: StoredCodes, request: Request) -> None:
        self.background = None
        self._routes = routes
        self._parts = routes.wav(stored, client_of(request.scope))
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `ServiceError` where nothing could be decoded; later the connection is cut."""
        try:
            await while_connected(receive, self._send(Sender(send, self._routes.max_unread_s)))
        except errors.ServiceError as error:
            if not self._started:
                raise _about_body(error) from None
            abort(scope)
            await disconnected(receive)

    async def _send(self, sender: Sender) -> None:
        headers = [(b"content-type", b"audio/wav")]
        async with contextlib.aclosing(self._parts) as parts:
            async for part in parts:
                if not self._started:
                    self._started = True
                    await sender.send(
                        {"type": "http.response.start", "status": 200, "headers": headers}
                    )
                await sender.send({"type": "http.response.body", "body": part, "more_body": True})
        await sender.send({"type": "http.response.body", "body": b"", "more_body": False})


def _about_body(error: errors.ServiceError) -> errors.ServiceError:
    """The error, its fields named by what the caller sent: the body."""
    if not (found := violations_of(error)):
        return error
    return errors.InvalidArgument(
        *(errors.FieldViolation(FIELD, violation.description) for violation in found)
    )
