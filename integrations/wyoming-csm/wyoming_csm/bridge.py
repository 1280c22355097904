"""What all connections share: the client of csm, what it may ask, and what is told of it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from wyoming.info import Attribution, Info, TtsProgram, TtsVoice
from wyoming.tts import SynthesizeVoice

from csm import AsyncClient, AsyncConversation, AsyncSpeech, AudioFormat, TextOptions

ATTRIBUTION = Attribution(name="csm", url="https://github.com/SesameAILabs/csm")
DEFAULT_LANGUAGE = "en"
"""Of a voice that says none."""
INFO_TIMEOUT_S = 5.0
SAMPLE_BYTES = 2


class Bridge:
    """Asks a csm server on behalf of Wyoming's clients, `max_requests` at once."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        voice: str = "",
        sample_rate_hz: int = 24_000,
        max_requests: int = 16,
        timeout_s: float = 120.0,
    ) -> None:
        """`voice` speaks where a request names none; `timeout_s` is for a whole request."""
        self.sample_rate_hz = sample_rate_hz
        self._client = client
        self._voice = voice
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(max_requests)

    def place(self) -> AbstractAsyncContextManager[None]:
        """One of the requests that may run at once; waits for it."""
        return self._places

    async def info(self) -> Info:
        """The voices, as Home Assistant lists them. Raises `ServiceError`."""
        server, voices = await asyncio.gather(
            self._client.server_info(timeout_s=INFO_TIMEOUT_S),
            self._client.list_voices(timeout_s=INFO_TIMEOUT_S),
        )
        listed = [
            TtsVoice(
                name=voice.name,
                description=voice.description or voice.name,
                attribution=ATTRIBUTION,
                installed=True,
                version=server.version,
                languages=[getattr(voice, "language", "") or DEFAULT_LANGUAGE],
            )
            for voice in voices
        ]
        # Clients take the first voice of a language for its default.
        chosen = self._voice or voices.default_voice
        listed.sort(key=lambda voice: voice.name != chosen)
        program = TtsProgram(
            name="csm",
            description=f"csm, {server.model}",
            attribution=ATTRIBUTION,
            installed=True,
            version=server.version,
            voices=listed,
            supports_synthesize_streaming=True,
        )
        return Info(tts=[program])

    def synthesize(self, text: str, voice: SynthesizeVoice | None) -> AsyncSpeech:
        """Speech of a whole text."""
        return self._client.synthesize(text, format=self._format(), **self._options(voice))

    def converse(self, voice: SynthesizeVoice | None) -> AsyncConversation:
        """A conversation for one text that comes in parts."""
        return self._client.converse(output_format=self._format(), **self._options(voice))

    def _format(self) -> AudioFormat:
        return AudioFormat("s16", self.sample_rate_hz)

    def _options(self, voice: SynthesizeVoice | None) -> dict[str, Any]:
        language = (voice.language if voice else None) or ""
        return {
            "voice": (voice.name if voice else None) or self._voice,
            # Home Assistant writes en_US too.
            "text_options": TextOptions(language=language.replace("_", "-")) if language else None,
            "timeout_s": self._timeout_s,
        }
