"""The library of voices: the model's own, and those of a folder NAME/voice.json."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from csm import errors
from gateway.backends.backends import Backends
from gateway.commands import SamplingOptions
from gateway.hearing.encoder import AudioEncoder
from gateway.text.lexicon import Lexicon
from gateway.voices.names import key_of, read_aliases
from gateway.voices.prompt_check import check_prompts
from gateway.voices.prompts import prompt_of
from gateway.voices.voice import (
    MAX_TOLD,
    Consent,
    LibraryVoice,
    VoiceOrigin,
    speaker_problem,
)
from gateway.voices.voice_file import read_voice_file, voice_files
from gateway.voices.voices import Voices

__all__ = ["LibraryVoice", "Voices", "check_default", "check_files", "load_voices"]

log = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 60.0


async def load_voices(
    backends: Backends,
    encoder: AudioEncoder,
    directory: Path | None,
    default: str,
    aliases: str = "",
) -> Voices:
    """The model's own voices and those of the directory, their prompts encoded.

    The model's own are one under the model's name, and one for each speaker that it names. Whether
    there is a voice `default` is for who knows all voices to check (`check_default`).

    Raises:
        ValueError: a file of the directory is wrong, or its voice does not fit the model, or two
            voices have one name, or one has that of an alias; names the file and the field.
        ServiceError: a backend failed.
    """
    generator = backends.info.generator
    speakers = {voice.speaker: voice.name for voice in generator.voices}
    voices: dict[str, LibraryVoice] = {}
    sources: dict[str, str] = {}

    def add(voice: LibraryVoice, source: str) -> None:
        key = key_of(voice.name)
        if key in sources:
            raise ValueError(f"{source}: there is a voice {voice.name!r} already: {sources[key]}")
        voices[voice.name], sources[key] = voice, source

    for named in generator.voices:
        add(
            LibraryVoice(named.name, named.speaker, named.description, origin=VoiceOrigin.MODEL),
            f"speaker {named.speaker} of the model",
        )
    # A model may well give one of its speakers its own name: that one is the model's voice then.
    own = generator.model or "default"
    if key_of(own) not in sources:
        speaker = 0 if not speakers or 0 in speakers else min(speakers)
        add(
            LibraryVoice(own, speaker, "the model's own voice", origin=VoiceOrigin.MODEL),
            "the model's own voice",
        )
    if directory is not None:
        for path in voice_files(directory):
            add(await _load(backends, encoder, path, speakers), str(path))
    also = read_aliases(aliases)
    if taken := [alias for alias in also if key_of(alias) in sources]:
        raise ValueError(
            f"voice_aliases: {taken[0]!r} is the name of a voice: {sources[key_of(taken[0])]}"
        )
    return Voices(voices, default or own, speakers, also)


def check_files(directory: Path | None, aliases: str) -> None:
    """Raises `ValueError` where a voice's file or the aliases are wrong whatever the model is."""
    if directory is not None:
        for path in voice_files(directory):
            read_voice_file(path)
    read_aliases(aliases)


def check_default(voices: Voices, default: str) -> None:
    """Raises `ValueError` where there is no voice `default`; logs aliases of voices that are not
    there, which may be created yet."""
    if default and voices.find(default) is None and voices.why_unusable(default) is None:
        known = ", ".join(voice.name for voice in voices.all()[:MAX_TOLD])
        raise ValueError(f"default_voice {default!r}: no such voice; there are {known}")
    for alias, name in voices.aliases.items():
        if voices.find(alias) is None:
            log.warning("voice_aliases: %s stands for %s, which is not there", alias, name)


async def _load(
    backends: Backends, encoder: AudioEncoder, path: Path, speakers: Mapping[int, str]
) -> LibraryVoice:
    content, recordings = await asyncio.to_thread(read_voice_file, path)
    if speakers and content.speaker not in speakers:
        raise ValueError(f"{path}: speaker: {speaker_problem(content.speaker, speakers)}")
    prompts, qualities = [], []
    for prompt, (audio, data) in zip(content.prompts, recordings, strict=True):
        try:
            segment, quality = await prompt_of(
                backends, encoder, content.speaker, prompt.text, data, str(audio)
            )
        except errors.InvalidArgument as error:
            raise ValueError(f"{path}: {error.message}") from None
        for warning in quality.warnings:
            log.warning("%s: %s", audio, warning)
        # Beside everything else: a start does not wait for it.
        told = partial(log.warning, "%s: %s", audio)
        encoder.recordings.tell_of_words(data, prompt.text, told, content.language)
        prompts.append(segment)
        qualities.append(quality)
    try:
        await check_prompts(backends, content.speaker, prompts, CHECK_TIMEOUT_S)
    except errors.InvalidArgument as error:
        raise ValueError(f"{path}: {error.message}") from None
    consent = content.consent
    return LibraryVoice(
        path.parent.name,
        content.speaker,
        content.description,
        tuple(prompts),
        Lexicon(content.lexicon),
        content.language,
        SamplingOptions() if content.sampling is None else content.sampling.options(),
        VoiceOrigin.OPERATOR,
        tuple(qualities),
        None if consent is None else Consent(consent.statement, consent.given_by),
        int((await asyncio.to_thread(path.stat)).st_mtime),
    )
