"""What a teacher returns, and how it is made ready for the corpus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from training.corpus.store import PHONES, SAMPLE_RATE_HZ, Phone

_LEAD_S = 0.08
_TAIL_S = 0.12
_PAUSE_MOST_S = 0.45
# Root mean square of the spoken part, full scale 1; about -24 dB, as recordings of speech have it.
_LEVEL = 0.063
_PEAK = 0.95
_INDEX = {name: index for index, name in enumerate(PHONES)}


class TeacherError(RuntimeError):
    """A teacher is not installed, or said nothing; the message says what to install."""


@dataclass(frozen=True)
class SpokenPhone:
    """A phone as the teacher names it, its end in seconds, and the token it belongs to ("")."""

    name: str
    end_s: float
    token: str


@dataclass(frozen=True)
class Speech:
    """One spoken text: audio int16 `[samples]` at the teacher's own rate, and its phones."""

    audio: np.ndarray
    rate_hz: int
    phones: tuple[SpokenPhone, ...]


def prepare(text: str, speech: Speech) -> tuple[np.ndarray, tuple[Phone, ...]]:
    """Bring a teacher's speech to the corpus's rate, level and silences.

    Returns the audio, int16 `[samples]` at 24 kHz, and the phones on it with the characters of
    `text` that their tokens span.

    Raises:
        TeacherError: nothing was said, nothing is to be heard, or a phone is unknown.
    """
    audio = speech.audio.astype(np.float32) / 32768.0
    if speech.rate_hz != SAMPLE_RATE_HZ:
        audio = soxr.resample(audio, speech.rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    spans = _spans(text, [p.token for p in speech.phones])
    phones = []
    for phone, (start, end) in zip(speech.phones, spans, strict=True):
        index = _INDEX.get(phone.name)
        if index is None:
            raise TeacherError(f"phone is {phone.name!r}; allowed: {', '.join(PHONES)}")
        last = min(round(phone.end_s * SAMPLE_RATE_HZ), len(audio))
        phones.append(Phone(index, last, start, end))
    audio, phones = _cut_pauses(audio, phones)
    if not audio.any():
        raise TeacherError("the teacher's audio is silent")
    return _level(audio), tuple(phones)


def _spans(text: str, tokens: list[str]) -> list[tuple[int, int]]:
    """Where each phone's token stands in `text`: tokens come in the order of the text."""
    spans: list[tuple[int, int]] = []
    at, found, last = 0, (-1, -1), ""
    for token in tokens:
        if not token:
            spans.append((-1, -1))
            last = ""
            continue
        if token != last:
            place = text.find(token, at)
            # A token that is not found (the front end rewrote it) stays at the one before.
            if place >= 0:
                found, at = (place, place + len(token)), place + len(token)
            last = token
        spans.append(found)
    return spans


def _cut_pauses(audio: np.ndarray, phones: list[Phone]) -> tuple[np.ndarray, list[Phone]]:
    """Shorten the silence before, after and inside to what people leave."""
    if all(p.index == 0 for p in phones):
        raise TeacherError("the teacher spoke no phone")
    pieces: list[np.ndarray] = []
    kept: list[Phone] = []
    start = 0
    first = next(i for i, p in enumerate(phones) if p.index)
    final = max(i for i, p in enumerate(phones) if p.index)
    total = 0
    for place, phone in enumerate(phones):
        piece = audio[start : phone.end_sample]
        start = phone.end_sample
        if phone.index == 0:
            most_s = _PAUSE_MOST_S
            if place < first:
                piece = piece[max(0, len(piece) - round(_LEAD_S * SAMPLE_RATE_HZ)) :]
            elif place > final:
                most_s = _TAIL_S
            if place >= first and len(piece) > round(most_s * SAMPLE_RATE_HZ):
                # The middle goes: both ends belong to the sounds beside them.
                half = round(most_s * SAMPLE_RATE_HZ) // 2
                tail = piece[len(piece) - half :] if place < final else piece[:0]
                piece = np.concatenate([piece[: 2 * half - len(tail)], tail])
        if place > final and kept and place > final + 1:
            continue
        pieces.append(piece)
        total += len(piece)
        kept.append(Phone(phone.index, total, phone.start_char, phone.end_char))
    joined = np.concatenate(pieces)
    fade = min(len(joined) // 2, SAMPLE_RATE_HZ // 200)
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    joined[:fade] *= ramp
    joined[len(joined) - fade :] *= ramp[::-1]
    return joined, kept


def _level(audio: np.ndarray) -> np.ndarray:
    """Int16 at the corpus's level, measured where there is sound."""
    block = SAMPLE_RATE_HZ // 50
    blocks = audio[: len(audio) // block * block].reshape(-1, block)
    power = np.square(blocks).mean(axis=1) if len(blocks) else np.square(audio).mean(keepdims=True)
    loud = power[power > power.max() * 1e-3]
    gain = _LEVEL / max(float(np.sqrt(loud.mean())), 1e-5)
    gain = min(gain, _PEAK / max(float(np.abs(audio).max()), 1e-5))
    return np.round(audio * gain * 32767.0).astype(np.int16)
