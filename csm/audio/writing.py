"""Audio files out: WAV, FLAC, Ogg and MP3 through soundfile."""

from pathlib import Path

import numpy as np
import soundfile

from csm.audio.decoders import BLOCK_SAMPLES, reason
from csm.audio.pcm import AudioError, BitDepth, Samples, check_rate, to_integers

_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
_LOSSY = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
_SUBTYPES: dict[tuple[str, BitDepth], str] = {
    ("WAV", "8"): "PCM_U8",
    ("WAV", "16"): "PCM_16",
    ("WAV", "24"): "PCM_24",
    ("WAV", "32"): "PCM_32",
    ("WAV", "float"): "FLOAT",
    ("FLAC", "8"): "PCM_S8",
    ("FLAC", "16"): "PCM_16",
    ("FLAC", "24"): "PCM_24",
}


def write_audio(
    path: Path | str, samples: Samples, rate_hz: int, *, bit_depth: BitDepth = "16"
) -> None:
    """Writes mono samples [N] to a file whose suffix says the container.

    `.wav` takes every bit depth, `.flac` 8, 16 and 24; `.ogg` (Vorbis) and `.mp3` are lossy and
    have none. Samples beyond full scale are clipped.

    Raises `AudioError` for a suffix, a depth or a rate that does not go together, and where the
    file cannot be written.
    """
    path = Path(path)
    container = _FORMATS.get(path.suffix.lower())
    if container is None:
        allowed = ", ".join(_FORMATS)
        raise AudioError(str(path), f"suffix {path.suffix!r} is not allowed; allowed are {allowed}")
    check_rate(rate_hz, "rate_hz")
    subtype = _LOSSY.get(container) or _SUBTYPES.get((container, bit_depth))
    if subtype is None:
        depths = ", ".join(depth for kind, depth in _SUBTYPES if kind == container)
        raise AudioError(
            "bit_depth", f"{bit_depth!r} is not allowed for {path.suffix}; allowed are {depths}"
        )
    try:
        with soundfile.SoundFile(
            str(path), "w", rate_hz, 1, subtype=subtype, format=container
        ) as sound:
            # In blocks: libsndfile's Vorbis encoder overflows its stack on minutes at once.
            for first in range(0, len(samples), BLOCK_SAMPLES):
                sound.write(_stored(samples[first : first + BLOCK_SAMPLES], subtype))
    except soundfile.SoundFileError as error:
        raise AudioError(str(path), f"cannot be written: {reason(error)}") from error


def _stored(samples: Samples, subtype: str) -> np.ndarray:
    """What soundfile stores without rounding: integers in the upper bits of their type."""
    match subtype:
        case "PCM_U8" | "PCM_S8":
            return (to_integers(samples, 8) << 8).astype(np.int16)
        case "PCM_16":
            return to_integers(samples, 16).astype(np.int16)
        case "PCM_24":
            return to_integers(samples, 24) << 8
        case "PCM_32":
            return to_integers(samples, 32)
        case _:
            return np.clip(samples, -1.0, 1.0).astype(np.float32)
