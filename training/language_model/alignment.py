"""What is being spoken in every frame: its phones, and its place in the text.

Known from the teachers' timings. Pauses have no character of their own; their place is the
character before the next word (`]` of the prefix before the first), and after the last word the
text's end, so that the place only ever moves forward, and the end of speech has a place too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.store import PHONES, Phone, Utterance

FRAME_SAMPLES = 1920
LABELS_PER_FRAME = 4
LABEL_SAMPLES = FRAME_SAMPLES // LABELS_PER_FRAME
"""One phone label every 20 ms."""
PAUSE = PHONES.index("pau")


@dataclass(frozen=True)
class Alignment:
    """An utterance's frames, one row each.

    `phones` int16 [frames, 4] are indices into `PHONES`, one for every 20 ms. `places` int16
    [frames, 2] are the first and the last character (inclusive) spoken in the frame: -1 is just
    before the text, `len(text)` just behind it.
    """

    phones: np.ndarray
    places: np.ndarray


def align(utterance: Utterance, frames: int) -> Alignment:
    """Return the alignment of an utterance's first `frames` frames.

    A frame behind the audio's end is a pause behind the text.

    Raises:
        ValueError: a phone is unknown, lies outside the text, or ends before it starts.
    """
    _check(utterance)
    phones = utterance.phones
    centres = (np.arange(frames * LABELS_PER_FRAME) + 0.5) * LABEL_SAMPLES
    ends = np.array([phone.end_sample for phone in phones], dtype=np.int64)
    starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    # Behind the last phone stands one more, a pause of any length.
    which = np.searchsorted(ends, centres, side="right")
    within = np.zeros(len(centres))
    inside = which < len(phones)
    found = which[inside]
    within[inside] = (centres[inside] - starts[found]) / (ends[found] - starts[found])

    first, length, share, count = _words(phones, len(utterance.text))
    steps = np.floor((share[which] + within) / count[which] * length[which])
    places = first[which] + np.minimum(steps, np.maximum(length[which] - 1, 0))
    labels = np.array([*(phone.index for phone in phones), PAUSE])[which]
    by_frame = places.astype(np.int16).reshape(frames, LABELS_PER_FRAME)
    return Alignment(
        phones=labels.astype(np.int16).reshape(frames, LABELS_PER_FRAME),
        places=np.stack((by_frame.min(1), by_frame.max(1)), axis=1),
    )


def _words(
    phones: tuple[Phone, ...], text_length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return for every phone, and for the pause behind them, what its word spans.

    Four arrays [phones + 1]: the word's first character, its length in characters (0 for a pause),
    the phone's number in the word, and the word's count of phones.
    """
    size = len(phones) + 1
    first = np.full(size, text_length, dtype=np.int64)
    length, share = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    count = np.ones(size, dtype=np.int64)
    index = 0
    while index < len(phones):
        span = (phones[index].start_char, phones[index].end_char)
        end = index
        while end < len(phones) and (phones[end].start_char, phones[end].end_char) == span:
            end += 1
        if span[0] >= 0:
            first[index:end], length[index:end] = span[0], span[1] - span[0]
            share[index:end], count[index:end] = np.arange(end - index), end - index
        elif end < len(phones):
            first[index:end] = phones[end].start_char - 1
        index = end
    return first, length, share, count


def _check(utterance: Utterance) -> None:
    before = 0
    for number, phone in enumerate(utterance.phones):
        if not 0 <= phone.index < len(PHONES):
            raise ValueError(
                f"phones[{number}].index: {phone.index} is not allowed, must be in "
                f"[0, {len(PHONES) - 1}]"
            )
        if phone.end_sample < before:
            raise ValueError(
                f"phones[{number}].end_sample: {phone.end_sample} is not allowed, must be >= "
                f"{before}, where it starts"
            )
        before = phone.end_sample
        span = (phone.start_char, phone.end_char)
        if span != (-1, -1) and not 0 <= span[0] < span[1] <= len(utterance.text):
            raise ValueError(
                f"phones[{number}]: characters {span} are not allowed, must be (-1, -1) or lie in "
                f"[0, {len(utterance.text)}]"
            )


def frames_of(samples: int) -> int:
    """Frames of so many samples, the last one completed by silence."""
    return -(-samples // FRAME_SAMPLES)
