"""Every utterance of a split as a segment of the model's prompt, laid out once and kept on disk.

The frames are those of `services.generator.model.prompt`: text, audio, EOS. Beside each frame
stands what the helpers learn of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from services.generator.model.prompt import PromptSegment, TextEncoder, segment_frames
from training.corpus.store import Utterance
from training.language_model.alignment import LABELS_PER_FRAME, align, frames_of

FILE_FORMAT = 2
"""Changed with the layout of the arrays, so that no old file is taken for a new one."""
_NONE = -1
_PROGRESS_EVERY = 200


@dataclass(frozen=True)
class SegmentTable:
    """Segments one after another.

    `frames` int16 [positions, num_codebooks + 1] is what the backbone reads, -1 where a column is
    absent. `places` int16 [positions, 2] are, for an audio or EOS frame, the first and the last
    position (counted from the segment's start) of the text spoken in it; `phones` int16
    [positions, 4] its phones. Both are -1 elsewhere, phones also for EOS frames. `offset` int64
    [segments + 1] are positions, `speaker` int16 [segments]. `dialogue` int32 and `turn` int16
    [segments] are the dialogue that a segment is of (-1 for none) and its place there.
    """

    frames: np.ndarray
    places: np.ndarray
    phones: np.ndarray
    offset: np.ndarray
    speaker: np.ndarray
    dialogue: np.ndarray
    turn: np.ndarray

    def __len__(self) -> int:
        return len(self.speaker)

    @property
    def num_codebooks(self) -> int:
        return int(self.frames.shape[1]) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Positions of each segment, int64 [segments]."""
        return np.diff(self.offset)


def lay_out(
    utterances: Sequence[Utterance],
    codes: np.ndarray,
    offset: np.ndarray,
    encoder: TextEncoder,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> SegmentTable:
    """Return the segments of a split.

    Args:
        utterances: of the split, in the corpus's order.
        codes: integers [frames, num_codebooks], of all utterances one after another.
        offset: int64 [utterances + 1], frames.
        encoder: the model's text tokenizer, one token a character.
        on_progress: called now and then with the count of utterances laid out.

    Raises:
        ValueError: codes and utterances do not belong together, a code 0 of codebook 0 is used, or
            a text is not one token a character.
    """
    if len(offset) != len(utterances) + 1 or offset[-1] != len(codes):
        raise ValueError(
            f"offset: {len(offset)} entries up to {offset[-1] if len(offset) else None} are not "
            f"allowed, must be {len(utterances) + 1} up to {len(codes)}: one utterance each of "
            "the split; were the codes made from another corpus?"
        )
    if len(codes) and int(codes.max()) > np.iinfo(np.int16).max:
        raise ValueError(f"codes: {int(codes.max())} is not allowed, must be below 32768")
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for index, utterance in enumerate(utterances):
        own = codes[offset[index] : offset[index + 1]]
        try:
            parts.append(_segment(utterance, own, encoder))
        except ValueError as error:
            raise ValueError(f"utterance {index} ({utterance.text!r}): {error}") from None
        if index % _PROGRESS_EVERY == 0:
            on_progress(index)
    on_progress(len(utterances))
    books = codes.shape[1]
    frames, places, phones = (
        np.concatenate([part[which] for part in parts])
        if parts
        else np.empty((0, width), dtype=np.int16)
        for which, width in enumerate((books + 1, 2, LABELS_PER_FRAME))
    )
    ends = np.cumsum([0, *(len(part[0]) for part in parts)], dtype=np.int64)
    speaker = np.array([utterance.speaker for utterance in utterances], dtype=np.int16)
    dialogue = np.array([utterance.dialogue for utterance in utterances], dtype=np.int32)
    turn = np.array([utterance.turn for utterance in utterances], dtype=np.int16)
    return SegmentTable(frames, places, phones, ends, speaker, dialogue, turn)


def _segment(
    utterance: Utterance, codes: np.ndarray, encoder: TextEncoder
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames, places and phones of one segment."""
    expected = frames_of(utterance.samples)
    if len(codes) != expected:
        raise ValueError(f"codes: {len(codes)} frames are not allowed, must be {expected}")
    if len(codes) and not codes[:, 0].all():
        frame = int(np.flatnonzero(codes[:, 0] == 0)[0])
        raise ValueError(f"codes[{frame}][0]: 0 is not allowed, it is kept for the EOS frame")
    segment = PromptSegment(utterance.speaker, utterance.text, codes)
    frames = segment_frames(segment, encoder, codes.shape[1])
    text_positions = len(frames) - len(codes) - 1
    # BOS, the prefix, the text, EOS.
    start = 1 + len(f"[{utterance.speaker}]")
    if text_positions != start + len(utterance.text) + 1:
        raise ValueError(
            f"text: {text_positions} tokens are not allowed, must be one a character and the "
            f"template's ({start + len(utterance.text) + 1}): is it not normalised?"
        )
    alignment = align(utterance, len(codes))
    places = np.full((len(frames), 2), _NONE, dtype=np.int16)
    phones = np.full((len(frames), LABELS_PER_FRAME), _NONE, dtype=np.int16)
    places[text_positions:-1] = alignment.places + start
    # The EOS frame looks at the text's EOS token, where the last pause looks as well.
    places[-1] = text_positions - 1
    phones[text_positions:-1] = alignment.phones
    return frames.astype(np.int16), places, phones


def fingerprint(paths: Sequence[Path], *texts: str) -> str:
    """Return a name for the state of files (size and time of change) and texts, 64 hex digits."""
    digest = hashlib.sha256(str(FILE_FORMAT).encode())
    for path in paths:
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    for text in texts:
        digest.update(text.encode())
    return digest.hexdigest()


def write(table: SegmentTable, path: Path, key: str) -> None:
    """Write a table under `key` (`fingerprint`), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial.npz")
    arrays = {field.name: getattr(table, field.name) for field in fields(SegmentTable)}
    np.savez(partial, key=np.array(key), **arrays)
    partial.replace(path)


def read(path: Path, key: str) -> SegmentTable | None:
    """Return the table in `path`, or None where there is none or it has another key."""
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        if str(arrays["key"]) != key:
            return None
        return SegmentTable(**{field.name: arrays[field.name] for field in fields(SegmentTable)})
