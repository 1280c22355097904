"""What callers ask of created voices: plain data, checked by `gateway.voice_messages`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.commands import SamplingOptions
from gateway.voices.created.record import VoiceRecord
from gateway.voices.voice import Consent

MAX_RECORDING_S = 30.0
MAX_RECORDINGS = 16
MAX_RECORDINGS_BYTES = 24 << 20
"""Of one voice."""


@dataclass(frozen=True)
class VoiceRecording:
    """A file and its words."""

    text: str
    audio: bytes


@dataclass(frozen=True)
class NewVoice:
    """A voice to be made."""

    name: str
    speaker: int | None
    description: str = ""
    language: str = ""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    lexicon: Mapping[str, str] = field(default_factory=dict)
    consent: Consent | None = None
    validate_only: bool = False


@dataclass(frozen=True)
class VoiceUpdate:
    """What is to change; None stays."""

    name: str
    description: str | None = None
    language: str | None = None
    sampling: SamplingOptions | None = None
    lexicon: Mapping[str, str] | None = None
    consent: Consent | None = None

    def of(self, record: VoiceRecord) -> VoiceRecord:
        """The record with the change."""
        names = ("description", "language", "sampling", "lexicon", "consent")
        changed = {name: getattr(self, name) for name in names}
        return replace(record, **{k: v for k, v in changed.items() if v is not None})
