"""What may be changed while a pipeline runs."""

from dataclasses import dataclass, field
from typing import Any

from pipecat.services.settings import NOT_GIVEN, TTSSettings
from pipecat.utils.types import NotGiven

from csm import TextOptions


@dataclass
class CsmTTSSettings(TTSSettings):
    """Settings of a `CsmTTSService`; a change holds from the next turn on.

    Parameters:
        temperature: how codes are drawn, 0..10; None: as the server is set.
        top_k: the k most likely codes are kept; None: as the server is set.
        seed: same seed, same speech; None: drawn by the server.
    """

    temperature: float | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    top_k: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    seed: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)

    @classmethod
    def defaults(cls) -> "CsmTTSSettings":
        """All left to the server."""
        return cls(model=None, voice=None, language=None, temperature=None, top_k=None, seed=None)

    def converse_options(self) -> dict[str, Any]:
        """As arguments of `AsyncClient.converse`."""
        language = str(self.language or "")
        return {
            "voice": self.voice or "",
            "temperature": self.temperature,
            "top_k": self.top_k,
            "seed": self.seed,
            "text_options": TextOptions(language=language) if language else None,
        }
