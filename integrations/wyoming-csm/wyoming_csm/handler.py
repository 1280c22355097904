"""One connection of a Wyoming client: its events in, audio out."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

import csm
from csm import AsyncConversation, Internal, ServiceError, TurnCompleted
from wyoming_csm.bridge import SAMPLE_BYTES, Bridge

logger = logging.getLogger("wyoming_csm")

MAX_WAITING_PARTS = 256
"""Parts of a text that wait for the server; then the client waits."""


class SpeechHandler(AsyncEventHandler):
    """Answers `describe`, `synthesize`, and a text that comes in parts (`synthesize-start`).

    What fails is an `error` event, and the connection stays.
    """

    def __init__(
        self, bridge: Bridge, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(reader, writer)
        self._bridge = bridge
        self._parts: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING_PARTS)
        self._speaking: asyncio.Task[None] | None = None

    async def handle_event(self, event: Event) -> bool:
        """Takes one event. False: the client has gone."""
        try:
            await self._take(event)
        except ConnectionError:
            return False
        return True

    async def _take(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._describe()
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif SynthesizeStart.is_type(event.type):
            await self._stop()
            self._parts = asyncio.Queue(MAX_WAITING_PARTS)
            voice = SynthesizeStart.from_event(event).voice
            self._speaking = asyncio.create_task(self._speak_parts(voice, self._parts))
        elif SynthesizeChunk.is_type(event.type):
            await self._put(SynthesizeChunk.from_event(event).text)
        elif SynthesizeStop.is_type(event.type):
            await self._put(None)
            if self._speaking is not None:
                await asyncio.wait({self._speaking})
                self._speaking = None
        elif Synthesize.is_type(event.type) and self._speaking is None:
            # Within a text in parts it is the same text again, for servers that take no parts.
            await self._speak(Synthesize.from_event(event))

    async def disconnect(self) -> None:
        """The client has gone: what is spoken for it ends at the server."""
        await self._stop()

    async def _describe(self) -> None:
        try:
            info = await self._bridge.info()
        except ServiceError as error:
            await self._tell(error)
        else:
            await self.write_event(info.event())

    async def _speak(self, request: Synthesize) -> None:
        if not request.text.strip():
            await self._play(_nothing())
            return
        try:
            async with (
                self._bridge.place(),
                self._bridge.synthesize(request.text, request.voice) as speech,
            ):
                await self._play(speech)
        except ServiceError as error:
            await self._tell(error)

    # A text in parts.

    async def _put(self, part: str | None) -> None:
        """Hands a part on, unless there is nobody any more who would take it."""
        if self._speaking is None:
            return
        put = asyncio.create_task(self._parts.put(part))
        await asyncio.wait({put, self._speaking}, return_when=asyncio.FIRST_COMPLETED)
        put.cancel()

    async def _stop(self) -> None:
        speaking, self._speaking = self._speaking, None
        if speaking is not None:
            speaking.cancel()
            await asyncio.wait({speaking})

    async def _speak_parts(
        self, voice: SynthesizeVoice | None, parts: "asyncio.Queue[str | None]"
    ) -> None:
        try:
            first = ""
            while not first.strip():
                part = await parts.get()
                if part is None:
                    await self._play(_nothing())
                    return
                first += part
            async with self._bridge.place(), self._bridge.converse(voice) as conversation:
                sending = asyncio.create_task(_send(conversation, first, parts))
                try:
                    await self._play(_audio(conversation))
                finally:
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError, ServiceError):
                        await sending
        except ServiceError as error:
            await self._tell(error)
        except OSError:
            return  # The client has gone.
        finally:
            with contextlib.suppress(OSError):
                await self.write_event(SynthesizeStopped().event())

    # Out.

    async def _play(self, audio: AsyncIterable[csm.AudioChunk]) -> None:
        """Writes audio as it comes, between a start and a stop."""
        rate_hz = self._bridge.sample_rate_hz
        await self.write_event(AudioStart(rate=rate_hz, width=SAMPLE_BYTES, channels=1).event())
        try:
            async for chunk in audio:
                event = AudioChunk(
                    rate=rate_hz, width=SAMPLE_BYTES, channels=1, audio=chunk.pcm
                ).event()
                await self.write_event(event)
        finally:
            await self.write_event(AudioStop().event())

    async def _tell(self, error: ServiceError) -> None:
        logger.warning("a request failed: %s", error.summary())
        with contextlib.suppress(OSError):
            await self.write_event(Error(text=error.message, code=error.code.name).event())


async def _send(
    conversation: AsyncConversation, first: str, parts: "asyncio.Queue[str | None]"
) -> None:
    part: str | None = first
    while part is not None:
        if part:
            await conversation.say(part)
        part = await parts.get()
    await conversation.end_turn()


async def _audio(conversation: AsyncConversation) -> AsyncIterable[csm.AudioChunk]:
    """The audio of the conversation's one turn. Raises what its terminal says."""
    async for event in conversation:
        if isinstance(event, csm.AudioChunk):
            yield event
        elif isinstance(event, TurnCompleted):
            if event.error is not None:
                raise event.error
            return
    raise Internal("the server ended the call before the turn's end")


async def _nothing() -> AsyncIterable[csm.AudioChunk]:
    no_chunks: tuple[csm.AudioChunk, ...] = ()
    for chunk in no_chunks:
        yield chunk
