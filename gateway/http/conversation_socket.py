"""`WS /v1/conversations`: the semantics of Converse, as JSON and binary frames.

A text frame is an object with a `type`. From the client a binary frame is heard audio; to the
client it is the audio that the `audio` message before it tells of.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

import grpc
from starlette.websockets import WebSocket, WebSocketDisconnect

from csm import errors
from csm.limits import MAX_ID_CHARS
from csm.serving.calls.record import current_call
from csm.serving.metrics.http import HttpMetrics
from gateway.commands import Cancel, Command, StreamFormat
from gateway.http import messages
from gateway.http.connection import FLUSH_S, abort_later, client_of, origins
from gateway.http.errors import HttpError, error_body
from gateway.http.frame_codes import FrameCodes, wants_codes
from gateway.http.guard import chosen_subprotocol
from gateway.http.outcomes import warning_json
from gateway.http.sending import Sender
from gateway.messages import Checker
from gateway.owner import owner_of_call
from gateway.speaking.events import (
    Audio,
    ConversationOpened,
    Event,
    SpeechTurnCompleted,
    SpeechTurnStarted,
    SpeechTurnTruncated,
)
from gateway.speaking.opus_stream import as_ogg_opus
from gateway.speech import SpeechHandler

CLOSED_WELL, WRONG, FAILED, LATER = 1000, 1008, 1011, 1013
"""Close codes (RFC 6455 and IANA): all was said; the client's fault; ours; try again later."""
_LATER = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
_OURS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
_OWN_COMMANDS = ("playback", "ping", "close")
"""What a message may be beside those that gRPC has."""


class ConversationRoute:
    """The route."""

    def __init__(self, speech: SpeechHandler, metrics: HttpMetrics) -> None:
        self._speech = speech
        self._metrics = metrics

    async def converse(self, websocket: WebSocket) -> None:
        """One conversation, to its end. Raises `HttpError` for a page of another origin."""
        self._check_origin(websocket)
        await websocket.accept(chosen_subprotocol(websocket.scope.get("subprotocols", ())))
        with self._metrics.websockets.track_inprogress():
            try:
                await _Socket(websocket, self._speech).run()
            except WebSocketDisconnect:
                pass  # it went while it was told something
            finally:
                abort_later(websocket.scope)

    def _check_origin(self, websocket: WebSocket) -> None:
        """Browsers let any page open a WebSocket to anywhere, and only say which page it is."""
        origin = websocket.headers.get("origin", "")
        allowed = origins(self._speech.settings)
        try:
            own = urlsplit(origin).netloc == websocket.headers.get("host", "")
        except ValueError:  # no URL at all
            own = False
        if origin and not own and origin not in allowed and "*" not in allowed:
            raise HttpError(
                403, "origin_not_allowed", "Origin: this page is not allowed (http_cors_origins)"
            )


class _Socket:
    """One connection."""

    def __init__(self, websocket: WebSocket, speech: SpeechHandler) -> None:
        self._websocket = websocket
        self._speech = speech
        self._owner = owner_of_call()
        self._checker = Checker(speech.settings, speech.backends.info)
        self._sender = Sender(websocket.send, speech.settings.max_unread_s)
        self._sending = asyncio.Lock()
        self._gone = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._codes: FrameCodes | None = None
        self._last_started = ""
        self._played: tuple[str, int] | None = None
        """Turn and milliseconds that its listener said last to have heard."""

    async def run(self) -> None:
        """Returns when all is said, or the client has gone."""
        working = asyncio.create_task(self._work())
        leaving = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            tasks = [t for t in (working, leaving, self._watching) if t is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        try:
            await self._converse()
        except errors.ServiceError as error:
            current_call().error = error.summary()
            await self._end(error)
        else:
            await self._sender.send({"type": "websocket.close", "code": CLOSED_WELL})

    async def _converse(self) -> None:
        first = await self._first()
        if wants_codes(first):
            self._codes = FrameCodes(self._speech.backends.info)
        options = messages.opening(self._checker, first, self._speech.texts.rules)
        client = client_of(self._websocket.scope)
        events = self._speech.converse(options, self._commands(), client, None, owner=self._owner)
        if messages.output_is_opus(first):
            events = as_ogg_opus(events, messages.opus_encoding())
        async with contextlib.aclosing(events):
            async for event in events:
                await self._tell(event)

    async def _end(self, error: errors.ServiceError) -> None:
        code = WRONG
        if error.code in _LATER:
            code = LATER
        elif error.code in _OURS:
            code = FAILED
        reason = error.code.name.lower()
        # One that has not read for long is not waited for once more.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._send({"type": "error", "error": error_body(error)})
                await self._sender.send({"type": "websocket.close", "code": code, "reason": reason})

    # --- what the client says ---

    async def _first(self) -> dict[str, Any]:
        limit_s = self._speech.settings.first_message_s
        try:
            async with asyncio.timeout(limit_s):
                message = await self._message()
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"first message: none came within {limit_s:g} s (first_message_s)"
            ) from None
        if isinstance(message, bytes) or message.get("type") != "config":
            got = "audio" if isinstance(message, bytes) else "something else"
            raise errors.invalid("config", f"the first message is {got}; allowed is the config")
        return message

    async def _commands(self) -> AsyncGenerator[Command, None]:
        while True:
            message = await self._message()
            if isinstance(message, bytes):
                yield messages.heard(self._checker, message)
                continue
            match message.get("type"):
                case "close":
                    self._watching = asyncio.create_task(self._drop())
                    return
                case "ping":
                    await self._send({"type": "pong"})
                case "playback":
                    self._played = _played(message)
                case _:
                    yield self._located(self._command(message))

    def _command(self, message: dict[str, Any]) -> Command:
        try:
            return messages.command(self._checker, message)
        except errors.InvalidArgument as error:
            if error.violations[0].field != "type":
                raise
            allowed = ", ".join((*messages.COMMANDS, *_OWN_COMMANDS))
            raise errors.invalid("type", f"is not known; allowed are {allowed}") from None

    def _located(self, command: Command) -> Command:
        """A cancel that says how much was heard, where the playback position says it."""
        if not isinstance(command, Cancel) or command.heard_ms is not None or not self._played:
            return command
        turn_id, heard_ms = self._played
        if turn_id != (command.turn_id or self._last_started):
            return command
        return replace(command, heard_ms=heard_ms)

    async def _message(self) -> dict[str, Any] | bytes:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            # Nothing more of the call is wanted. It must not end as after `close`.
            self._gone.set()
            await asyncio.Event().wait()
        if (data := message.get("bytes")) is not None:
            return bytes(data)
        try:
            value = json.loads(message["text"])
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise errors.invalid("message", "is no JSON object")
        return value

    async def _drop(self) -> None:
        """After `close`: what else comes is dropped, until the client is gone."""
        while (await self._websocket.receive())["type"] != "websocket.disconnect":
            pass
        self._gone.set()

    # --- what it is told ---

    async def _tell(self, event: Event) -> None:
        match event:
            case Audio():
                about: dict[str, Any] = {
                    "type": "audio",
                    "turn_id": event.turn_id,
                    "first_sample": event.first_sample,
                    "text_chars": event.text_chars,
                    "num_bytes": len(event.pcm),
                }
                if event.words:
                    about["words"] = [asdict(word) for word in event.words]
                if self._codes is not None:
                    about["codes"] = self._codes.of(event)
                await self._send(about, event.pcm)
            case SpeechTurnStarted():
                self._last_started = event.turn_id
                await self._send(
                    {
                        "type": "turn_started",
                        "turn_id": event.turn_id,
                        "format": _form(event.form),
                        "seed": event.seed,
                    }
                )
            case SpeechTurnCompleted():
                await self._send(_completed(event))
            case SpeechTurnTruncated():
                await self._send({"type": "turn_truncated", **asdict(event)})
            case ConversationOpened():
                opened: dict[str, Any] = {
                    "type": "started",
                    "conversation_id": event.conversation_id,
                    "output_format": _form(event.form),
                    "num_turns": event.num_turns,
                    "voice": event.voice,
                }
                if self._codes is not None:
                    opened["codec"] = self._codes.codec()
                await self._send(opened)

    async def _send(self, message: dict[str, Any], audio: bytes | None = None) -> None:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        async with self._sending:
            await self._sender.send({"type": "websocket.send", "text": text})
            if audio is not None:
                await self._sender.send({"type": "websocket.send", "bytes": audio})


def _played(message: dict[str, Any]) -> tuple[str, int]:
    turn_id, heard_ms = message.get("turn_id"), message.get("heard_ms")
    if not isinstance(turn_id, str) or not 0 < len(turn_id) <= MAX_ID_CHARS:
        raise errors.invalid(
            "playback.turn_id", f"must be the name of a turn, 1..{MAX_ID_CHARS} characters"
        )
    if not isinstance(heard_ms, int) or isinstance(heard_ms, bool) or not 0 <= heard_ms < 1 << 63:
        raise errors.invalid("playback.heard_ms", "must be an integer of milliseconds, from 0")
    return turn_id, heard_ms


def _form(form: StreamFormat) -> dict[str, Any]:
    return {
        "encoding": messages.encoding_named(form),
        "sample_rate_hz": form.sample_rate_hz,
        "channels": form.channels,
    }


def _completed(event: SpeechTurnCompleted) -> dict[str, Any]:
    return {
        "type": "turn_completed",
        "turn_id": event.turn_id,
        "finish_reason": event.finish_reason,
        "usage": asdict(event.usage),
        "timing": asdict(event.timing),
        "kept_audio_ms": event.kept_audio_ms,
        "heard": event.heard,
        "error": error_body(event.error) if event.error is not None else None,
        "warnings": [warning_json(warning) for warning in event.warnings],
    }
