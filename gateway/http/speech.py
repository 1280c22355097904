"""`POST /v1/audio/speech`: one text spoken, its audio as it is made."""

import base64
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from csm import errors
from csm.serving.calls.record import current_call
from csm.serving.calls.request_id import request_id
from csm.serving.metrics.http import HttpMetrics
from gateway.commands import Synthesis
from gateway.http import messages
from gateway.http.bodies import Bodies
from gateway.http.connection import abort, client_of
from gateway.http.errors import error_body
from gateway.http.formats import CONTENT_TYPES, SSE, check_format, coding_of
from gateway.http.openai_voices import name_or_default
from gateway.http.outcomes import Outcomes, SpeechOutcome
from gateway.http.sending import Sender, disconnected, while_connected
from gateway.http.speech_body import SpeechBody, speech_body, unused
from gateway.messages import Checker
from gateway.owner import owner_of_call
from gateway.speaking.events import (
    Audio,
    Event,
    FinishReason,
    SpeechTurnCompleted,
    SpeechTurnStarted,
)
from gateway.speaking.opus_stream import as_ogg_opus
from gateway.speech import SpeechHandler

RATE_HZ = 24_000
"""What OpenAI's `pcm` is at, and what its clients play it at."""
MAX_WARNINGS_CHARS = 1024


class SpeechRoute:
    """The route."""

    def __init__(self, speech: SpeechHandler, bodies: Bodies, metrics: HttpMetrics) -> None:
        self._speech = speech
        self._bodies = bodies
        self._metrics = metrics
        self.outcomes = Outcomes()

    async def speak(self, request: Request) -> Response:
        """Answers when the first audio is there; refuses as soon as it is certain."""
        began = time.monotonic()
        given = await self._bodies.json(request.scope, request.receive)
        owner = owner_of_call()
        outcome = self.outcomes.begin(request_id.get(), owner=owner)
        try:
            body = speech_body(given)
            outcome.warnings += unused(body, self._speech.backends.info.generator.model)
            asked = await self._checked(body, outcome, owner)
        except errors.ServiceError as error:
            outcome.error = error
            raise
        events = self._speech.synthesize(lambda: asked, client_of(request.scope), None, owner=owner)
        if body.response_format == "opus":
            events = as_ogg_opus(events, messages.opus_encoding())
        return _Answer(events, body, asked, outcome, self, began)

    async def outcome(self, request: Request) -> Response:
        """`GET /v1/audio/speech/{request_id}`: how it ended."""
        name = request.path_params["request_id"]
        return JSONResponse(self.outcomes.get(name, owner=owner_of_call()).as_json())

    @property
    def max_unread_s(self) -> float:
        """Seconds that a part of an answer may wait for its client."""
        return self._speech.settings.max_unread_s

    def first_audio(self, seconds: float) -> None:
        """The first audio of an answer has been sent."""
        self._metrics.first_audio_seconds.observe(seconds)

    async def _checked(self, body: SpeechBody, outcome: SpeechOutcome, owner: str) -> Synthesis:
        speech = self._speech
        extras = {name: value for name, value in (body.csm or {}).items() if value is not None}
        voice, warning = await name_or_default(speech, body.voice_name, owner=owner)
        if warning:
            outcome.warnings.append(f"voice: {warning}")
        asked = messages.synthesis(
            Checker(speech.settings, speech.backends.info),
            speech.texts.rules,
            text=body.input,
            voice=voice,
            speed=body.speed,
            encoding="OGG_OPUS" if body.response_format == "opus" else "PCM_S16LE",
            rate_hz=RATE_HZ,
            extras=extras,
        )
        try:
            check_format(body.response_format, asked.form.sample_rate_hz)
        except errors.InvalidArgument as error:
            raise messages.renamed(error) from None
        return asked


class _Answer(Response):
    """A turn as the body of an answer. Its headers go with the first audio."""

    def __init__(
        self,
        events: AsyncGenerator[Event, None],
        body: SpeechBody,
        asked: Synthesis,
        outcome: SpeechOutcome,
        route: SpeechRoute,
        began: float,
    ) -> None:
        self.background = None
        self._events = events
        self._format = body.response_format
        self._sse = body.stream_format == "sse"
        self._coding = coding_of(body.response_format, asked.form)
        self._rate_hz = asked.form.sample_rate_hz
        self._outcome = outcome
        self._route = route
        self._began = began
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `ServiceError` where nothing could be said; later the connection is cut."""
        try:
            speaking = self._speak(Sender(send, self._route.max_unread_s))
            self._outcome.left = not await while_connected(receive, speaking)
        except errors.ServiceError as failure:
            error = failure
            if isinstance(failure, errors.InvalidArgument):
                error = messages.renamed(failure)
            self._outcome.error = error
            current_call().error = error.summary()
            if not self._started:
                raise error from None
            # Half of a file must not look like a whole one.
            abort(scope)
            await disconnected(receive)
        finally:
            self._coding.close()

    async def _speak(self, sender: Sender) -> None:
        outcome = self._outcome
        async with contextlib.aclosing(self._events) as events:
            async for event in events:
                match event:
                    case SpeechTurnStarted():
                        outcome.turn_id, outcome.seed = event.turn_id, event.seed
                    case Audio():
                        await self._send(sender, await self._coding.feed(event.pcm))
                    case SpeechTurnCompleted():
                        outcome.completed = event
                        await self._end(sender, event)

    async def _end(self, sender: Sender, completed: SpeechTurnCompleted) -> None:
        failure = _failure(completed)
        if failure is None:
            await self._send(sender, await self._coding.finish())
        if self._sse and (self._started or failure is None):
            await self._send_bytes(sender, _sse(_done(completed, failure)))
        elif failure is not None:
            raise failure
        await self._start(sender)
        await sender.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, sender: Sender, data: bytes) -> None:
        if data and self._sse:
            audio = base64.b64encode(data).decode()
            data = _sse({"type": "speech.audio.delta", "audio": audio})
        await self._send_bytes(sender, data)

    async def _send_bytes(self, sender: Sender, data: bytes) -> None:
        if data:
            await self._start(sender)
            await sender.send({"type": "http.response.body", "body": data, "more_body": True})

    async def _start(self, sender: Sender) -> None:
        if self._started:
            return
        self._started = True
        seconds = time.monotonic() - self._began
        self._outcome.first_audio_ms = round(seconds * 1000, 2)
        self._route.first_audio(seconds)
        headers = [
            (b"content-type", (SSE if self._sse else CONTENT_TYPES[self._format]).encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # a proxy that gathers would undo the streaming
            (b"x-csm-sample-rate-hz", str(self._rate_hz).encode()),
            (b"x-csm-seed", str(self._outcome.seed).encode()),
            (b"server-timing", f"first_audio;dur={self._outcome.first_audio_ms}".encode()),
        ]
        if self._outcome.warnings:
            told = "; ".join(self._outcome.warnings)[:MAX_WARNINGS_CHARS]
            headers.append((b"x-csm-warnings", told.encode("ascii", "replace")))
        await sender.send({"type": "http.response.start", "status": 200, "headers": headers})


def _failure(completed: SpeechTurnCompleted) -> errors.ServiceError | None:
    """Why the audio is not all that there should be; None: it is."""
    match completed.finish_reason:
        case FinishReason.EOS | FinishReason.MAX_DURATION:
            return None
        case FinishReason.SHUTDOWN:
            return errors.Unavailable("the service is shutting down")
        case FinishReason.DEADLINE:
            return errors.DeadlineExceeded("the turn was not spoken in time")
        case _:
            return completed.error or errors.Internal("the turn was not spoken to its end")


def _done(completed: SpeechTurnCompleted, failure: errors.ServiceError | None) -> dict[str, Any]:
    """OpenAI's last event: tokens, of which ours for sound are frames; or what went wrong."""
    if failure is not None:
        return {"type": "speech.audio.error", "error": error_body(failure)}
    said, made = completed.usage.text_tokens, completed.usage.generated_frames
    usage = {"input_tokens": said, "output_tokens": made, "total_tokens": said + made}
    return {"type": "speech.audio.done", "usage": usage}


def _sse(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
