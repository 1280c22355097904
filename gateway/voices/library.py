"""The library of voices: the model's own, and those of a folder NAME/voice.json."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from csm import errors
from gateway.backends.backends import Backends
from gateway.conversations.segment import Segment
from gateway.hearing.encoder import AudioEncoder
from gateway.text.lexicon import Lexicon
from gateway.voices.prompt_check import check_prompts
from gateway.voices.voice import LibraryVoice, Voices, speaker_problem
from gateway.voices.voice_file import read_voice_file, voice_files

__all__ = ["LibraryVoice", "Voices", "load_voices"]

log = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 60.0


async def load_voices(
    backends: Backends, encoder: AudioEncoder, directory: Path | None, default: str
) -> Voices:
    """The model's own voices and those of the directory, their prompts encoded.

    The model's own are one under the model's name, and one for each speaker that it names.

    Raises:
        ValueError: a file of the directory is wrong, or its voice does not fit the model, or two
            voices have one name, or there is no voice `default`; names the file and the field.
        ServiceError: a backend failed.
    """
    generator = backends.info.generator
    speakers = {voice.speaker: voice.name for voice in generator.voices}
    voices: dict[str, LibraryVoice] = {}
    sources: dict[str, str] = {}

    def add(voice: LibraryVoice, source: str) -> None:
        if voice.name in voices:
            raise ValueError(
                f"{source}: there is a voice {voice.name!r} already: {sources[voice.name]}"
            )
        voices[voice.name], sources[voice.name] = voice, source

    for named in generator.voices:
        add(
            LibraryVoice(named.name, named.speaker, named.description),
            f"speaker {named.speaker} of the model",
        )
    # A model may well give one of its speakers its own name: that one is the model's voice then.
    own = generator.model or "default"
    if own not in voices:
        speaker = 0 if not speakers or 0 in speakers else min(speakers)
        add(LibraryVoice(own, speaker, "the model's own voice"), "the model's own voice")
    if directory is not None:
        for path in voice_files(directory):
            add(await _load(backends, encoder, path, speakers), str(path))
    if default and default not in voices:
        raise ValueError(
            f"default_voice {default!r}: no such voice; there are {', '.join(sorted(voices))}"
        )
    return Voices(voices, default or own, speakers)


async def _load(
    backends: Backends, encoder: AudioEncoder, path: Path, speakers: Mapping[int, str]
) -> LibraryVoice:
    content, recordings = await asyncio.to_thread(read_voice_file, path)
    if speakers and content.speaker not in speakers:
        raise ValueError(f"{path}: speaker: {speaker_problem(content.speaker, speakers)}")
    prompts = []
    for prompt, (audio, data) in zip(content.prompts, recordings, strict=True):
        try:
            encoded = await encoder.encode(data, str(audio))
        except errors.InvalidArgument as error:
            raise ValueError(f"{path}: {error.message}") from None
        frames = encoded.frames
        seconds = frames.num_frames * backends.info.frame_ms / 1000
        wrong = encoder.recordings.length_problem(prompt.text, seconds)
        for warning in (*encoded.warnings, *([wrong] if wrong else [])):
            log.warning("%s: %s", audio, warning)
        if not wrong:
            told = partial(log.warning, "%s: %s", audio)
            encoder.recordings.tell_of_words(data, prompt.text, told)
        prompts.append(Segment(content.speaker, prompt.text, frames.codes, frames.num_frames))
    try:
        await check_prompts(backends, content.speaker, prompts, CHECK_TIMEOUT_S)
    except errors.InvalidArgument as error:
        raise ValueError(f"{path}: {error.message}") from None
    return LibraryVoice(
        path.parent.name,
        content.speaker,
        content.description,
        tuple(prompts),
        Lexicon(content.lexicon),
    )
