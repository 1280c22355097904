"""`TTS`: csm behind the interface of LiveKit Agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from livekit.agents import APIConnectOptions, APITimeoutError, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice.io import AudioOutput

from csm import (
    AsyncClient,
    AsyncConversation,
    AsyncSpeech,
    AudioFormat,
    RetryPolicy,
    ServiceError,
    TextOptions,
)

from .log import logger
from .shared_conversation import SharedConversation
from .spoken_turn import SpokenTurn
from .streams import SpeechStream, TextStream
from .transcript import WORD_TIMES, Transcript

DEFAULT_TARGET = "127.0.0.1:50050"


class TTS(tts.TTS):
    """Speech of a csm server.

    Make one for each session. By default each segment is a text on its own. With a
    `conversation_id` all segments are turns of that conversation: the model hears how it spoke
    before, `add_heard_text` tells it what the user said, and with `follow_playback` an interrupted
    turn is cut to what was heard.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        voice: str = "",
        conversation_id: str | None = None,
        sample_rate: int = 24_000,
        word_times: bool = True,
        temperature: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
        max_audio_ms: int = 0,
        max_lead_ms: int = 0,
        text_options: TextOptions | None = None,
        root_certificates: bytes | Path | None = None,
        metadata: list[tuple[str, str | bytes]] | None = None,
    ) -> None:
        """A plugin for the gateway at `target` (`host:port`, or a name of gRPC).

        Args:
            target: where the gateway listens.
            voice: a voice of the server, by name; empty: its default voice.
            conversation_id: None: no conversation. Empty: one that the server names. Else the
                conversation to open or to go on with, at most 128 characters.
            sample_rate: of the audio, in Hz, 8000..192000.
            word_times: the transcript is aligned by word, where the installed csm can ask for
                it; otherwise by sentence.
            temperature, top_k, seed: how codes are drawn; None: as the server is set.
            max_audio_ms: longest segment, 80..600000; 0: by its text.
            max_lead_ms: audio is sent at most so far ahead of real time; 0: as fast as it is made.
            text_options: what is done to a text before it is spoken.
            root_certificates: PEM, or the path of a file: turns TLS on.
            metadata: sent with every call, e.g. `[("authorization", "Bearer ...")]`.
        """
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=sample_rate,
            num_channels=1,
        )
        self._target = target
        self._connect: dict[str, Any] = {
            "root_certificates": root_certificates,
            "metadata": metadata or (),
        }
        self._options: dict[str, Any] = {
            "voice": voice,
            "temperature": temperature,
            "top_k": top_k,
            "seed": seed,
            "max_audio_ms": max_audio_ms,
            "max_lead_ms": max_lead_ms,
            "text_options": text_options,
        }
        self._by_word = word_times and WORD_TIMES
        if self._by_word:
            self._options["word_times"] = True
        self._client: AsyncClient | None = None
        self._model = "csm"
        self._shared = (
            None
            if conversation_id is None
            else SharedConversation(self._conversation, conversation_id)
        )
        self._warming: asyncio.Task[None] | None = None

    @property
    def model(self) -> str:
        """The server's model directory, once it is known (`prewarm`), else "csm"."""
        return self._model

    @property
    def provider(self) -> str:
        """Always "csm"."""
        return "csm"

    @property
    def conversation_id(self) -> str | None:
        """The conversation that segments belong to. None: there is none. Empty: not yet named."""
        return None if self._shared is None else self._shared.conversation_id

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Audio of a whole text. `conn_options.timeout` is the longest wait for the server."""
        if self._shared is not None:
            return self._synthesize_with_stream(text, conn_options=conn_options)
        return TextStream(tts=self, input_text=text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SpeechStream:
        """Audio of a text that is pushed part by part; one stream for each segment."""
        return SpeechStream(tts=self, conn_options=conn_options)

    def update_options(self, *, voice: str) -> None:
        """Speaks with another voice from the next segment on."""
        if voice == self._options["voice"]:
            return
        self._options["voice"] = voice
        if self._shared is not None:
            self._shared.reopen()

    def add_heard_text(self, text: str) -> None:
        """What the user said, a turn of the conversation before the next segment.

        Does nothing without a conversation.
        """
        if self._shared is not None:
            self._shared.heard(text)

    def follow_playback(self, output: AudioOutput) -> None:
        """What the user did not hear of an interrupted segment leaves the conversation.

        Call it when the session has started, with `session.output.audio`. Does nothing without a
        conversation.
        """
        if self._shared is not None:
            self._shared.follow(output)

    def prewarm(self) -> None:
        """Connects, so that the first segment need not; needs a running loop, else does nothing."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._warming is None:
            self._warming = loop.create_task(self._warm())

    async def aclose(self) -> None:
        """Ends what is spoken and closes the connection. A conversation stays at the server."""
        if self._warming is not None:
            self._warming.cancel()
        if self._shared is not None:
            await self._shared.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _warm(self) -> None:
        try:
            self._model = (await self._connected().server_info()).model
        except ServiceError as error:
            logger.debug("prewarm: %s", error.message)

    def _connected(self) -> AsyncClient:
        # A channel belongs to the loop that runs when it is made. The framework tries again.
        if self._client is None:
            retry = RetryPolicy(max_attempts=1)
            self._client = AsyncClient(self._target, retry=retry, **self._connect)
        return self._client

    # For the streams.

    def _transcript(self) -> Transcript:
        return Transcript(by_word=self._by_word)

    def _format(self) -> AudioFormat:
        return AudioFormat("s16", self.sample_rate)

    def _synthesis(self, text: str) -> AsyncSpeech:
        return self._connected().synthesize(text, format=self._format(), **self._options)

    def _conversation(self, conversation_id: str) -> AsyncConversation:
        return self._connected().converse(
            conversation_id=conversation_id, output_format=self._format(), **self._options
        )

    def _speaking(self, turn: SpokenTurn) -> None:
        if self._shared is not None:
            self._shared.speaking(turn)

    @asynccontextmanager
    async def _turn(self, timeout_s: float) -> AsyncIterator[SpokenTurn]:
        """A turn of the conversation, or of a call of its own; `APITimeoutError` after the time."""
        if self._shared is not None:
            async with self._shared.turn(timeout_s) as turn:
                yield turn
            return
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(timeout_s):
                    conversation = await stack.enter_async_context(self._conversation(""))
            except TimeoutError:
                raise APITimeoutError() from None
            yield SpokenTurn(conversation)
