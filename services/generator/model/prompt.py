"""The prompt as plain data, and its frames: what the backbone reads, one row a position.

A segment is its text frames, then its audio frames, then one EOS frame of code 0 everywhere
(Sesame's `generator.py`). A prompt is segments and the text frames of the turn to speak. Knows
nothing of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

ABSENT = -1
"""A column that takes no part in a frame."""


class TextEncoder(Protocol):
    """What is needed of a text tokenizer (`text.TextTokenizer`)."""

    def encode(self, speaker: int, text: str) -> list[int]: ...


@dataclass(frozen=True)
class PromptSegment:
    """One turn of the prompt: who, what was said, and how it sounded.

    `codes` is uint16 [frames, num_codebooks], or None for a turn that is still to be spoken.
    """

    speaker: int
    text: str
    codes: np.ndarray | None = None


def text_frames(ids: Sequence[int], num_codebooks: int) -> np.ndarray:
    """Return one frame a text id, int64 [ids, num_codebooks + 1]: codes absent."""
    frames = np.full((len(ids), num_codebooks + 1), ABSENT, dtype=np.int64)
    frames[:, num_codebooks] = ids
    return frames


def audio_frames(
    codes: np.ndarray,
    num_codebooks: int,
    *,
    codebook_size: int | None = None,
    end: bool = True,
) -> np.ndarray:
    """Return one frame a code frame, and the EOS frame behind them, text absent.

    Args:
        codes: integers [frames, num_codebooks].
        num_codebooks: the model's.
        codebook_size: the codec's; where given, codes must be below it.
        end: False leaves the EOS frame out, so that the model goes on with the same breath.

    Returns:
        int64 [frames + 1 or frames, num_codebooks + 1]

    Raises:
        ValueError: shape, dtype or a code is wrong; the message names it.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != num_codebooks:
        raise ValueError(
            f"codes: shape {list(codes.shape)} is not allowed, must be [frames, {num_codebooks}]"
        )
    if not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"codes: dtype {codes.dtype} is not allowed, must be an integer")
    if codes.size and codebook_size is not None:
        bad = (codes < 0) | (codes >= codebook_size)
        if bad.any():
            frame, book = (int(index) for index in np.argwhere(bad)[0])
            raise ValueError(
                f"codes[{frame}][{book}]: {int(codes[frame, book])} is not allowed, must be in "
                f"[0, {codebook_size - 1}]"
            )
    frames = np.full((len(codes) + int(end), num_codebooks + 1), ABSENT, dtype=np.int64)
    frames[: len(codes), :num_codebooks] = codes
    if end:
        frames[len(codes), :num_codebooks] = 0
    return frames


def segment_frames(
    segment: PromptSegment,
    text_tokenizer: TextEncoder,
    num_codebooks: int,
    *,
    codebook_size: int | None = None,
    end: bool = True,
) -> np.ndarray:
    """Return a segment's frames: text, audio and EOS, or only text where it has no codes.

    Args and errors as `audio_frames` and the tokenizer's `encode`; int64
    [positions, num_codebooks + 1].
    """
    words = text_frames(text_tokenizer.encode(segment.speaker, segment.text), num_codebooks)
    if segment.codes is None:
        return words
    sound = audio_frames(segment.codes, num_codebooks, codebook_size=codebook_size, end=end)
    return np.concatenate((words, sound))


def prompt_frames(
    segments: Sequence[PromptSegment],
    text_tokenizer: TextEncoder,
    num_codebooks: int,
    *,
    codebook_size: int | None = None,
) -> np.ndarray:
    """Return the frames of a whole prompt, the turn to speak last (a segment without codes).

    int64 [positions, num_codebooks + 1].

    Raises:
        ValueError: there is no segment, or as `segment_frames`.
    """
    if not segments:
        raise ValueError("segments: an empty prompt is not allowed, must have at least one segment")
    return np.concatenate(
        [
            segment_frames(segment, text_tokenizer, num_codebooks, codebook_size=codebook_size)
            for segment in segments
        ]
    )
