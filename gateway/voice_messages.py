"""Protobuf of voices: what is asked of them into checked data, and voices into messages."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable

from csm import errors
from csm.limits import MAX_RECORDING_BYTES
from csm.v1 import speech_pb2
from gateway.backends.convert import sampling_message
from gateway.messages import sampling_of
from gateway.text_messages import lexicon_of
from gateway.violations import Violations
from gateway.voices.created.asked import (
    MAX_RECORDINGS,
    MAX_RECORDINGS_BYTES,
    NewVoice,
    VoiceRecording,
    VoiceUpdate,
)
from gateway.voices.names import ALLOWED, MAX_NAME_CHARS, is_name
from gateway.voices.pages import MAX_PAGE_VOICES, VoicePage
from gateway.voices.voice import Consent, LibraryVoice
from gateway.voices.voice_file import (
    LANGUAGE,
    MAX_DESCRIPTION_CHARS,
    MAX_GIVEN_BY_CHARS,
    MAX_STATEMENT_CHARS,
    MAX_TEXT_CHARS,
)
from gateway.voices.voices import Voices

MAX_CHUNK_BYTES = 1 << 20
IDLE_S = 30.0
"""Longest that a call may leave the server waiting for its next message."""
MAX_FILTER_CHARS = 64
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LANGUAGE = re.compile(LANGUAGE)

Holding = Callable[[int], None]


def new_voice(config: speech_pb2.CreateVoiceConfig) -> NewVoice:
    """The voice that is to be made; raises `InvalidArgument` naming every field at fault."""
    found = Violations()
    _new_name(found, "config.name", config.name)
    speaker = config.speaker if config.HasField("speaker") else None
    found.speaker("config.speaker", speaker)
    _line(found, "config.description", config.description, MAX_DESCRIPTION_CHARS)
    _language(found, "config.language", config.language)
    found.sampling("config.sampling", config.sampling)
    consent = _consent(found, "config.consent", config)
    lexicon = lexicon_of(found, "config.lexicon", config.lexicon)
    found.raise_any()
    return NewVoice(
        config.name,
        speaker,
        config.description,
        config.language,
        sampling_of(config.sampling),
        lexicon,
        consent,
        config.validate_only,
    )


def voice_update(request: speech_pb2.UpdateVoiceRequest) -> VoiceUpdate:
    """The change; raises `InvalidArgument` naming every field at fault."""
    found = Violations()
    known_name(found, "name", request.name)
    _line(found, "description", request.description, MAX_DESCRIPTION_CHARS)
    _language(found, "language", request.language)
    found.sampling("sampling", request.sampling)
    consent = _consent(found, "consent", request)
    lexicon = lexicon_of(found, "lexicon.entries", request.lexicon.entries)
    found.raise_any()
    return VoiceUpdate(
        request.name,
        request.description if request.HasField("description") else None,
        request.language if request.HasField("language") else None,
        sampling_of(request.sampling) if request.HasField("sampling") else None,
        lexicon if request.HasField("lexicon") else None,
        consent,
    )


def voice_name(name: str) -> str:
    """The name of a voice, or an alias; raises `InvalidArgument`."""
    found = Violations()
    known_name(found, "name", name)
    found.raise_any()
    return name


def known_name(found: Violations, field: str, name: str) -> None:
    """What is wrong with a name that a voice should have: also the model's may have any sign."""
    if not 0 < len(name) <= MAX_NAME_CHARS:
        found.add(field, f"{len(name)} characters; allowed are 1..{MAX_NAME_CHARS}")
    elif _CONTROL.search(name):
        found.add(field, "has control characters; allowed is the name of a voice")


def check_listing(request: speech_pb2.ListVoicesRequest) -> None:
    """Raises `InvalidArgument` naming every field of the request that is wrong."""
    found = Violations()
    if request.page_size > MAX_PAGE_VOICES:
        found.add(
            "page_size", f"{request.page_size} is not allowed; allowed are 1..{MAX_PAGE_VOICES}"
        )
    _line(found, "name_contains", request.name_contains, MAX_FILTER_CHARS)
    _language(found, "language", request.language)
    found.raise_any()


async def recordings_of(
    requests: AsyncIterator[speech_pb2.CreateVoiceRequest], holding: Holding
) -> list[VoiceRecording]:
    """The recordings that follow the config, whole. `holding` is told of bytes before they are
    kept, and raises where all calls hold too many.

    Raises `InvalidArgument` about `recordings[i]`, and `DeadlineExceeded` where nothing comes.
    """
    texts: list[str] = []
    files: list[bytearray] = []
    total_bytes = 0
    async for request in _in_time(requests):
        kind = request.WhichOneof("request")
        if kind == "recording":
            if len(texts) == MAX_RECORDINGS:
                raise errors.invalid(
                    "recordings", f"more than {MAX_RECORDINGS}; allowed are at most so many"
                )
            found = Violations()
            text = request.recording.text
            field = f"recordings[{len(texts)}].text"
            found.text(field, text, MAX_TEXT_CHARS, may_be_empty=False)
            found.raise_any()
            texts.append(text)
            files.append(bytearray())
        elif kind == "audio":
            if not files:
                raise errors.invalid("audio", "comes before a recording; allowed is behind one")
            size = len(request.audio)
            field = f"recordings[{len(files) - 1}].audio"
            if size > MAX_CHUNK_BYTES:
                raise errors.invalid(
                    field, f"{size} bytes in a message; allowed are at most {MAX_CHUNK_BYTES}"
                )
            if len(files[-1]) + size > MAX_RECORDING_BYTES:
                raise errors.invalid(
                    field, f"is larger than {MAX_RECORDING_BYTES} bytes, the most that is allowed"
                )
            total_bytes += size
            if total_bytes > MAX_RECORDINGS_BYTES:
                raise errors.invalid(
                    "recordings",
                    f"are larger than {MAX_RECORDINGS_BYTES} bytes together, the most that is "
                    "allowed",
                )
            holding(size)
            files[-1] += request.audio
        elif kind == "config":
            raise errors.invalid("config", "was sent a second time; allowed is once, first")
        else:
            raise errors.invalid("request", "is empty; allowed are recording and audio")
    for number, audio in enumerate(files):
        if not audio:
            raise errors.invalid(
                f"recordings[{number}].audio", "is empty; allowed is a file of audio"
            )
    return [VoiceRecording(text, bytes(audio)) for text, audio in zip(texts, files, strict=True)]


async def _in_time(
    requests: AsyncIterator[speech_pb2.CreateVoiceRequest],
) -> AsyncIterator[speech_pb2.CreateVoiceRequest]:
    incoming = aiter(requests)
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                request = await anext(incoming, None)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"nothing came for {IDLE_S:g} s, and the voice is not complete"
            ) from None
        if request is None:
            return
        yield request


# --- voices into messages ---


def voice_message(voices: Voices, voice: LibraryVoice) -> speech_pb2.Voice:
    """A voice on the wire."""
    return speech_pb2.Voice(
        name=voice.name,
        speaker=voice.speaker,
        prompt_segments=len(voice.prompts),
        description=voice.description,
        language=voice.language,
        aliases=voices.aliases_of(voice),
        sampling=sampling_message(voice.sampling, voice.sampling.seed),
        source=f"VOICE_SOURCE_{voice.origin.name}",
        updated_unix_s=voice.updated_unix_s,
    )


def listed(voices: Voices, page: VoicePage) -> speech_pb2.ListVoicesResponse:
    """A page of voices on the wire."""
    return speech_pb2.ListVoicesResponse(
        voices=[voice_message(voices, voice) for voice in page.voices],
        default_voice=voices.default,
        next_page_token=page.next_page_token,
        num_voices=page.num_voices,
    )


def reports(voice: LibraryVoice) -> list[speech_pb2.RecordingReport]:
    """What is known of a voice's recordings, on the wire."""
    pairs = zip(voice.prompts, voice.qualities, strict=True)
    return [
        speech_pb2.RecordingReport(
            audio_ms=quality.audio_ms,
            loudness_lufs=quality.loudness_lufs,
            peak_dbfs=quality.peak_dbfs,
            noise_dbfs=quality.noise_dbfs,
            warnings=quality.warnings,
            text=prompt.text,
        )
        for prompt, quality in pairs
    ]


def whole_voice(voices: Voices, voice: LibraryVoice) -> speech_pb2.GetVoiceResponse:
    """A voice with all that is known of it, on the wire."""
    consent = None
    if voice.consent is not None:
        consent = speech_pb2.VoiceConsent(
            statement=voice.consent.statement, given_by=voice.consent.given_by
        )
    return speech_pb2.GetVoiceResponse(
        voice=voice_message(voices, voice), recordings=reports(voice), consent=consent
    )


# --- what is wrong with a field ---


def _new_name(found: Violations, field: str, name: str) -> None:
    if len(name) > MAX_NAME_CHARS:
        found.add(field, f"{len(name)} characters; allowed are {ALLOWED}")
    elif not is_name(name):
        found.add(field, f"{name!r} is no name for a voice; allowed are {ALLOWED}")


def _line(found: Violations, field: str, text: str, most: int) -> None:
    if len(text) > most:
        found.add(field, f"{len(text)} characters; allowed are at most {most}")
    elif _CONTROL.search(text):
        found.add(field, "has control characters; allowed is plain text")


def _language(found: Violations, field: str, tag: str) -> None:
    if tag and not _LANGUAGE.fullmatch(tag):
        found.add(field, f"{tag[:32]!r} is no language; allowed are BCP 47 tags such as en-GB")


def _consent(
    found: Violations,
    field: str,
    message: speech_pb2.CreateVoiceConfig | speech_pb2.UpdateVoiceRequest,
) -> Consent | None:
    if not message.HasField("consent"):
        return None
    consent = message.consent
    limits = (("statement", MAX_STATEMENT_CHARS), ("given_by", MAX_GIVEN_BY_CHARS))
    for name, most in limits:
        value = getattr(consent, name)
        if not value.strip():
            found.add(f"{field}.{name}", f"is empty; allowed are 1..{most} characters")
        _line(found, f"{field}.{name}", value, most)
    return Consent(consent.statement, consent.given_by)
