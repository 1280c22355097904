"""What the client asks, as wire messages of `csm.v1`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from csm.audio import frames
from csm.client.formats import AudioFormat, from_float
from csm.client.sound import SoundOptions
from csm.client.text import TextOptions
from csm.errors import invalid
from csm.limits import LARGER_FILES, MAX_CONTEXT_FILE_BYTES
from csm.v1 import common_pb2, speech_pb2


@dataclass(frozen=True)
class ContextTurn:
    """A turn given as context: text, and how it sounded as a file or as codes, or neither."""

    speaker: int
    text: str = ""
    audio: bytes | Path | None = None
    """A whole audio file of at most 3 MiB, or the path of one; docs/audio.md says which are read.
    A larger one: `TokenizerClient.context_turn`."""
    codes: NDArray[np.integer] | None = field(default=None, compare=False)
    """Codes [frames, codebooks], 0..codebook_size-1."""

    def to_proto(self, field: str = "context") -> speech_pb2.ContextTurn:
        """The wire message; reads the file where `audio` is a path (OSError).

        Raises `InvalidArgument` about `field` where the file is too large for a message.
        """
        if self.audio is not None and self.codes is not None:
            raise ValueError("context: a turn takes audio or codes, not both")
        message = speech_pb2.ContextTurn(speaker=self.speaker, text=self.text)
        if self.audio is not None:
            message.audio_file = _file(self.audio, f"{field}.audio_file")
        if self.codes is not None:
            message.frames.CopyFrom(frames.pack(_checked(self.codes)))
        return message


def _file(given: bytes | Path, field: str) -> bytes:
    size = given.stat().st_size if isinstance(given, Path) else len(given)
    if size > MAX_CONTEXT_FILE_BYTES:
        raise invalid(
            field, f"{size} bytes; allowed are 1..{MAX_CONTEXT_FILE_BYTES}; {LARGER_FILES}"
        )
    return given.read_bytes() if isinstance(given, Path) else given


def _checked(codes: NDArray[np.integer]) -> NDArray[np.uint16]:
    if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"codes: {codes.dtype} {list(codes.shape)} is not allowed; integers [frames, codebooks]"
        )
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) <= 65535:
        raise ValueError(f"codes: {codes.min()}..{codes.max()} is not allowed; 0..65535")
    return codes.astype(np.uint16)


def _set(message: Message, prefix: str = "", **values: object) -> None:
    """Sets what is not None; a value that the wire cannot carry is named, with its field."""
    for name, value in values.items():
        if value is None:
            continue
        try:
            setattr(message, name, value)
        except (TypeError, ValueError) as error:
            raise invalid(prefix + name, f"{value!r} is not allowed: {error}") from None


def sampling(
    temperature: float | None = None,
    depth_temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    min_audio_ms: int | None = None,
) -> common_pb2.Sampling:
    """The wire message; what is None is the model's default."""
    message = common_pb2.Sampling()
    _set(
        message,
        "sampling.",
        temperature=temperature,
        depth_temperature=depth_temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        min_audio_ms=min_audio_ms,
    )
    return message


def synthesize_request(
    text: str,
    *,
    voice: str,
    conversation_id: str,
    context: Sequence[ContextTurn],
    speaker: int | None,
    sampling: common_pb2.Sampling,
    max_audio_ms: int,
    format: AudioFormat | None,
    max_lead_ms: int,
    text_options: TextOptions | None,
    sound_options: SoundOptions | None = None,
    word_times: bool = False,
) -> speech_pb2.SynthesizeRequest:
    """The wire message of `synthesize`."""
    message = speech_pb2.SynthesizeRequest(
        context=[turn.to_proto(f"context[{at}]") for at, turn in enumerate(context)],
        sampling=sampling,
        format=format.to_proto() if format else None,
        text_options=text_options.to_proto() if text_options else None,
        sound_options=sound_options.to_proto() if sound_options else None,
    )
    _set(
        message,
        text=text,
        voice=voice,
        conversation_id=conversation_id,
        speaker=speaker,
        max_audio_ms=max_audio_ms,
        max_lead_ms=max_lead_ms,
        word_times=word_times or None,
    )
    return message


def converse_config(
    *,
    voice: str,
    conversation_id: str,
    sampling: common_pb2.Sampling,
    max_audio_ms: int,
    output_format: AudioFormat | None,
    input_format: AudioFormat | None,
    max_lead_ms: int,
    heard_speaker: int | None,
    text_options: TextOptions | None,
    sound_options: SoundOptions | None = None,
    word_times: bool = False,
) -> speech_pb2.ConverseRequest:
    """The first message of `converse`."""
    config = speech_pb2.ConverseConfig(
        sampling=sampling,
        output_format=output_format.to_proto() if output_format else None,
        input_format=input_format.to_proto() if input_format else None,
        text_options=text_options.to_proto() if text_options else None,
        sound_options=sound_options.to_proto() if sound_options else None,
    )
    _set(
        config,
        voice=voice,
        conversation_id=conversation_id,
        max_audio_ms=max_audio_ms,
        max_lead_ms=max_lead_ms,
        heard_speaker=heard_speaker,
        word_times=word_times or None,
    )
    return speech_pb2.ConverseRequest(config=config)


_BYTES = (bytes, bytearray, memoryview)
Heard = bytes | bytearray | memoryview | NDArray[np.floating]
"""Heard audio: PCM bytes in the input format, cut anywhere, or mono floats [samples], -1..1."""
MAX_HEARD_BYTES = 256 << 10
"""Heard audio is sent in messages of at most this size; the wire allows 1 MiB."""


def heard_requests(audio: Heard, form: AudioFormat) -> Iterator[speech_pb2.ConverseRequest]:
    """Heard audio as messages: PCM bytes in `form`, or mono floats [samples] at its rate.

    Raises `InvalidArgument` about samples that are no floats, or not of one channel.
    """
    pcm = bytes(audio) if isinstance(audio, _BYTES) else from_float(_mono(audio), form)
    for start in range(0, len(pcm), MAX_HEARD_BYTES):
        yield speech_pb2.ConverseRequest(
            heard_audio=speech_pb2.ConverseHeardAudio(audio=pcm[start : start + MAX_HEARD_BYTES])
        )


def _mono(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    # Integers or two channels taken for mono floats would be heard as noise.
    samples = np.asarray(samples)
    if not np.issubdtype(samples.dtype, np.floating) or samples.ndim != 1:
        raise invalid(
            "heard_audio",
            f"{samples.dtype} {list(samples.shape)} is not allowed; mono floats [samples], -1..1, "
            "or bytes in the input format",
        )
    return samples


def cancel_request(turn_id: str, heard_ms: int | None) -> speech_pb2.ConverseRequest:
    """The message of a barge-in."""
    message = speech_pb2.ConverseCancel()
    _set(message, "cancel.", turn_id=turn_id, heard_ms=heard_ms)
    return speech_pb2.ConverseRequest(cancel=message)


def text_request(text: str, voice: str = "") -> speech_pb2.ConverseRequest:
    """The message with a part of the text to speak, by whom."""
    message = speech_pb2.ConverseText(text=text)
    _set(message, "text.", voice=voice)
    return speech_pb2.ConverseRequest(text=message)


def flush_request() -> speech_pb2.ConverseRequest:
    """The message that has spoken what is there."""
    return speech_pb2.ConverseRequest(flush=speech_pb2.ConverseFlush())


def prepare_request(
    text: str, voice: str, text_options: TextOptions | None
) -> speech_pb2.PrepareTextRequest:
    """The message that asks what would be spoken."""
    message = speech_pb2.PrepareTextRequest(
        text_options=text_options.to_proto() if text_options else None
    )
    _set(message, text=text, voice=voice)
    return message


def end_of_turn_request(heard_text: str) -> speech_pb2.ConverseRequest:
    """The message that ends a turn."""
    return speech_pb2.ConverseRequest(
        end_of_turn=speech_pb2.ConverseEndOfTurn(heard_text=heard_text)
    )
