"""From a recording and its words to a prompt, and what is known of it."""

from csm import errors
from csm.audio.recording import SILENT_WARNING
from gateway.backends.backends import Backends
from gateway.conversations.segment import Segment
from gateway.hearing.encoder import AudioEncoder
from gateway.voices.quality import quality_of
from gateway.voices.voice import RecordingQuality

MEASURE_TIMEOUT_S = 60.0


async def prompt_of(
    backends: Backends,
    encoder: AudioEncoder,
    speaker: int,
    text: str,
    audio: bytes,
    field: str,
    *,
    deadline: float | None = None,
    max_s: float | None = None,
    language: str | None = None,
) -> tuple[Segment, RecordingQuality]:
    """The prompt that a recording makes, and its quality; `field` is what errors are about.

    `language` (BCP 47; empty: English): it is listened whether the recording says the words. None:
    the caller sees to that.

    Raises `InvalidArgument` where it is no audio, or longer than `max_s` seconds; other
    `ServiceError`s as the tokenizer does.
    """
    encoded = await encoder.encode(audio, field, deadline, max_s)
    frames = encoded.frames
    wrong = encoder.recordings.length_problem(
        text, frames.num_frames * backends.info.frame_ms / 1000
    )
    if wrong is None and language is not None:
        wrong = await encoder.recordings.words_problem(audio, text, language)
    warnings = (*encoded.warnings, *([wrong] if wrong else []))
    async with encoder.measuring:
        quality = await quality_of(
            backends, frames, encoded.num_samples, warnings, MEASURE_TIMEOUT_S
        )
    return Segment(speaker, text, frames.codes, frames.num_frames), quality


def check_sounds(field: str, quality: RecordingQuality) -> None:
    """Raises `InvalidArgument` about `field` where the recording is silent."""
    if SILENT_WARNING in quality.warnings:
        raise errors.invalid(field, f"{SILENT_WARNING}; allowed is a recording of speech")
