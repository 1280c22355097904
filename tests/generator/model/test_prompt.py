"""The prompt's frames: columns, order, the EOS frame, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from services.generator.model.prompt import (
    PromptSegment,
    audio_frames,
    prompt_frames,
    segment_frames,
    text_frames,
)


class Letters:
    """Encodes a letter as its code point, between 1 and 2."""

    def encode(self, speaker: int, text: str) -> list[int]:
        return [1, *(ord(letter) for letter in f"[{speaker}]{text}"), 2]


CODES = np.array([[5, 6, 7], [8, 9, 0]], dtype=np.uint16)


def test_text_frames_hold_the_id_alone() -> None:
    frames = text_frames([4, 0], 3)
    assert frames.dtype == np.int64
    assert frames.tolist() == [[-1, -1, -1, 4], [-1, -1, -1, 0]]


def test_audio_frames_end_with_a_frame_of_zeros_without_text() -> None:
    frames = audio_frames(CODES, 3)
    assert frames.dtype == np.int64
    assert frames.tolist() == [[5, 6, 7, -1], [8, 9, 0, -1], [0, 0, 0, -1]]
    assert audio_frames(CODES, 3, end=False).tolist() == [[5, 6, 7, -1], [8, 9, 0, -1]]


def test_a_segment_is_text_then_audio_then_its_end() -> None:
    frames = segment_frames(PromptSegment(2, "a", CODES), Letters(), 3)
    text = [1, *map(ord, "[2]a"), 2]
    assert frames[:, -1].tolist() == [*text, -1, -1, -1]
    assert (frames[: len(text), :3] == -1).all()
    assert frames[len(text) :, :3].tolist() == [[5, 6, 7], [8, 9, 0], [0, 0, 0]]


def test_a_turn_to_speak_is_text_alone() -> None:
    frames = segment_frames(PromptSegment(0, "b"), Letters(), 3)
    assert frames.shape == (6, 4)
    assert (frames[:, :3] == -1).all()


def test_a_prompt_is_its_segments_in_order() -> None:
    segments = [
        PromptSegment(0, "a", CODES),
        PromptSegment(1, "bc", CODES[:1]),
        PromptSegment(0, "d"),
    ]
    frames = prompt_frames(segments, Letters(), 3)
    parts = [segment_frames(segment, Letters(), 3) for segment in segments]
    assert np.array_equal(frames, np.concatenate(parts))


def test_a_segment_of_no_frames_has_only_its_end() -> None:
    assert audio_frames(np.zeros((0, 3), np.uint16), 3).tolist() == [[0, 0, 0, -1]]


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((2, 4), np.uint16), r"codes: shape \[2, 4\] is not allowed, .*\[frames, 3\]"),
        (np.zeros(3, np.uint16), r"codes: shape \[3\] is not allowed"),
        (np.zeros((2, 3), np.float32), r"codes: dtype float32 is not allowed"),
        (np.array([[0, 1, 2], [3, 64, 0]]), r"codes\[1\]\[1\]: 64 is not allowed.*\[0, 63\]"),
        (np.array([[0, 1, -1]]), r"codes\[0\]\[2\]: -1 is not allowed"),
    ],
)
def test_wrong_codes_are_named(codes: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segment_frames(PromptSegment(0, "a", codes), Letters(), 3, codebook_size=64)


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="segments: an empty prompt is not allowed"):
        prompt_frames([], Letters(), 3)
