"""Voices as plain values, and what is asked of them as wire messages of `csm.v1`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from csm.client.answers import Sampling
from csm.errors import invalid
from csm.limits import MAX_RECORDING_BYTES
from csm.v1 import common_pb2, speech_pb2

CHUNK_BYTES = 256 << 10
"""Of a recording in one message; the wire allows 1 MiB."""

VoiceRecording = tuple[bytes | Path, str]
"""A whole audio file, or the path of one, and its words."""


@dataclass(frozen=True)
class Voice:
    """A voice."""

    name: str
    speaker: int
    """Speaker number."""
    prompt_segments: int
    """Segments pinned at the start of the context."""
    description: str
    language: str = ""
    """BCP 47; empty: not said."""
    aliases: tuple[str, ...] = ()
    """Other names that it answers to."""
    sampling: Sampling = Sampling()  # noqa: RUF009 (it does not change)
    """How its codes are drawn where a call does not say."""
    source: str = ""
    """`model`, `operator` or `created`; empty: the server does not say."""
    updated_unix_s: int = 0
    """When it was created or last changed, seconds since 1970; 0: not known."""

    @classmethod
    def from_proto(cls, message: speech_pb2.Voice) -> "Voice":
        """The values of a wire message."""
        source = speech_pb2.VoiceSource.DESCRIPTOR.values_by_number.get(message.source)
        known = "" if source is None or not message.source else source.name
        return cls(
            message.name,
            message.speaker,
            message.prompt_segments,
            message.description,
            message.language,
            tuple(message.aliases),
            Sampling.from_proto(message.sampling),
            known.removeprefix("VOICE_SOURCE_").lower(),
            message.updated_unix_s,
        )


@dataclass(frozen=True)
class VoiceList:
    """The voices of a server, in order of name. Iterates over them."""

    voices: tuple[Voice, ...]
    default_voice: str
    """Name of the voice used where none is named."""

    def __iter__(self) -> Iterator[Voice]:
        return iter(self.voices)

    def __len__(self) -> int:
        return len(self.voices)


@dataclass(frozen=True)
class RecordingReport:
    """What is known of a recording that a voice is prompted with."""

    audio_ms: int
    """Milliseconds that are used of it."""
    loudness_lufs: float
    """ITU-R BS.1770; -70 where there is none."""
    peak_dbfs: float
    """Highest sample, dB of full scale."""
    noise_dbfs: float
    """Level of its quietest parts, dB of full scale."""
    warnings: tuple[str, ...]
    """What is odd about it, a sentence each."""
    text: str
    """Its words."""

    @classmethod
    def from_proto(cls, message: speech_pb2.RecordingReport) -> "RecordingReport":
        """The values of a wire message."""
        return cls(
            message.audio_ms,
            message.loudness_lufs,
            message.peak_dbfs,
            message.noise_dbfs,
            tuple(message.warnings),
            message.text,
        )


@dataclass(frozen=True)
class VoiceConsent:
    """Who allowed that a voice is made of a recording."""

    statement: str
    """What was agreed to."""
    given_by: str
    """Who gave it."""

    def to_proto(self) -> speech_pb2.VoiceConsent:
        """The wire message."""
        return speech_pb2.VoiceConsent(statement=self.statement, given_by=self.given_by)


@dataclass(frozen=True)
class VoiceDetails:
    """A voice with all that is known of it."""

    voice: Voice
    recordings: tuple[RecordingReport, ...]
    """In order."""
    consent: VoiceConsent | None = None
    """None: nobody said."""

    @classmethod
    def from_proto(
        cls, message: speech_pb2.GetVoiceResponse | speech_pb2.CreateVoiceResponse
    ) -> "VoiceDetails":
        """The values of a wire message."""
        consent = None
        if isinstance(message, speech_pb2.GetVoiceResponse) and message.HasField("consent"):
            consent = VoiceConsent(message.consent.statement, message.consent.given_by)
        reports = tuple(RecordingReport.from_proto(one) for one in message.recordings)
        return cls(Voice.from_proto(message.voice), reports, consent)


def create_requests(
    name: str,
    recordings: Sequence[VoiceRecording],
    *,
    speaker: int | None,
    description: str,
    language: str,
    sampling: Sampling | None,
    consent: VoiceConsent | None,
    lexicon: Mapping[str, str],
    validate_only: bool,
) -> Iterator[speech_pb2.CreateVoiceRequest]:
    """The messages that make a voice. Files are read when this is called (`OSError`).

    Raises `InvalidArgument` for what the wire cannot carry, and for a file that is too large.
    """
    config = speech_pb2.CreateVoiceConfig(
        name=name,
        description=description,
        language=language,
        sampling=sampling_proto(sampling) if sampling else None,
        consent=consent.to_proto() if consent else None,
        lexicon=_entries(lexicon),
        validate_only=validate_only,
    )
    if speaker is not None:
        try:
            config.speaker = speaker
        except (TypeError, ValueError) as error:
            raise invalid("config.speaker", f"{speaker!r} is not allowed: {error}") from None
    read = [
        (_file(audio, f"recordings[{number}].audio"), text)
        for number, (audio, text) in enumerate(recordings)
    ]
    return _messages(config, read)


def _messages(
    config: speech_pb2.CreateVoiceConfig, recordings: Sequence[tuple[bytes, str]]
) -> Iterator[speech_pb2.CreateVoiceRequest]:
    yield speech_pb2.CreateVoiceRequest(config=config)
    for audio, text in recordings:
        yield speech_pb2.CreateVoiceRequest(recording=speech_pb2.CreateVoiceRecording(text=text))
        for at in range(0, len(audio), CHUNK_BYTES):
            yield speech_pb2.CreateVoiceRequest(audio=audio[at : at + CHUNK_BYTES])


def update_request(
    name: str,
    *,
    description: str | None,
    language: str | None,
    sampling: Sampling | None,
    consent: VoiceConsent | None,
    lexicon: Mapping[str, str] | None,
) -> speech_pb2.UpdateVoiceRequest:
    """The message that changes a voice; None stays."""
    return speech_pb2.UpdateVoiceRequest(
        name=name,
        description=description,
        language=language,
        sampling=None if sampling is None else sampling_proto(sampling),
        consent=consent.to_proto() if consent else None,
        lexicon=None if lexicon is None else speech_pb2.LexiconUpdate(entries=_entries(lexicon)),
    )


def sampling_proto(sampling: Sampling) -> common_pb2.Sampling:
    """The wire message; raises `InvalidArgument` for what the wire cannot carry."""
    message = common_pb2.Sampling()
    for name in Sampling.__dataclass_fields__:
        value = getattr(sampling, name)
        if value is None:
            continue
        try:
            setattr(message, name, value)
        except (TypeError, ValueError) as error:
            raise invalid(f"sampling.{name}", f"{value!r} is not allowed: {error}") from None
    return message


def _entries(lexicon: Mapping[str, str]) -> list[speech_pb2.LexiconEntry]:
    return [speech_pb2.LexiconEntry(word=w, spelling=s) for w, s in lexicon.items()]


def _file(given: bytes | Path, field: str) -> bytes:
    size = given.stat().st_size if isinstance(given, Path) else len(given)
    if size > MAX_RECORDING_BYTES:
        raise invalid(field, f"{size} bytes; allowed are 1..{MAX_RECORDING_BYTES}")
    return given.read_bytes() if isinstance(given, Path) else given
