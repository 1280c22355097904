"""Conversations as the tensors of one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from training.language_model.alignment import LABELS_PER_FRAME
from training.language_model.conversations import Conversation
from training.language_model.segments import SegmentTable

_ABSENT = -1


@dataclass(frozen=True)
class Batch:
    """What is read, and what shall come out of it; all int64.

    Of `frames` [rows, positions, num_codebooks + 1] (absent behind a shorter row's EOS) the
    positions in `scored` [targets] (flat: row times positions plus position) predict: the frame
    behind each has the codes `codes` [targets, num_codebooks], the phones `phones` [targets, 4]
    (-1: none) and is spoken from the positions `places` [targets, 2] of the same row, first and
    last. The depth decoder learns from the targets in `depth`.
    """

    frames: Tensor
    scored: Tensor
    codes: Tensor
    places: Tensor
    phones: Tensor
    depth: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on `device`."""
        values = {
            field.name: getattr(self, field.name).to(device, non_blocking=True)
            for field in fields(Batch)
        }
        return Batch(**values)

    @property
    def positions(self) -> int:
        """Positions computed, padding included."""
        return self.frames.shape[0] * self.frames.shape[1]


def collate(
    table: SegmentTable,
    conversations: Sequence[Conversation],
    *,
    codebook_size: int,
    code_noise: float = 0.0,
    depth_share: float = 1.0,
    only_last: bool = False,
    seed: int = 0,
) -> Batch:
    """Return the batch of some conversations.

    Every audio frame and EOS frame is a target.

    Args:
        table: the segments.
        conversations: at least one.
        codebook_size: noise is drawn below it.
        code_noise: the share of the codes read that are replaced; targets stay.
        depth_share: the share of the targets that the depth decoder learns from, beside EOS frames.
        only_last: the last turn alone is a target; the others are context.
        seed: of noise and choice.
    """
    rows, books = len(conversations), table.num_codebooks
    lengths = [int(table.lengths[list(conversation)].sum()) for conversation in conversations]
    width = max(lengths)
    frames = np.full((rows, width, books + 1), _ABSENT, dtype=np.int64)
    places = np.full((rows, width, 2), _ABSENT, dtype=np.int64)
    phones = np.full((rows, width, LABELS_PER_FRAME), _ABSENT, dtype=np.int64)
    target = np.zeros((rows, width), dtype=bool)
    for row, conversation in enumerate(conversations):
        start = 0
        for turn, segment in enumerate(conversation):
            low, high = int(table.offset[segment]), int(table.offset[segment + 1])
            here = slice(start, start + high - low)
            frames[row, here] = table.frames[low:high]
            places[row, here] = table.places[low:high] + start
            phones[row, here] = table.phones[low:high]
            if not only_last or turn == len(conversation) - 1:
                target[row, here] = table.frames[low:high, 0] >= 0
            start += high - low
    chance = np.random.default_rng((seed, 1))
    wanted = frames[:, 1:][target[:, 1:]]
    # Ends always: a turn ends only where all codes of a frame are 0, and ends are rare.
    depth = np.flatnonzero((chance.random(len(wanted)) < depth_share) | (wanted[:, 0] == 0))
    return Batch(
        frames=torch.from_numpy(_noisy(frames[:, :-1], codebook_size, code_noise, chance)),
        scored=torch.from_numpy(np.flatnonzero(target[:, 1:])),
        codes=torch.from_numpy(wanted[:, :books]),
        places=torch.from_numpy(places[:, 1:][target[:, 1:]]),
        phones=torch.from_numpy(phones[:, 1:][target[:, 1:]]),
        depth=torch.from_numpy(depth),
    )


def _noisy(
    frames: np.ndarray, codebook_size: int, share: float, chance: np.random.Generator
) -> np.ndarray:
    """Return the frames with a share of their codes replaced, EOS frames and text untouched."""
    if not share:
        return np.ascontiguousarray(frames)
    codes = frames[..., :-1]
    spoken = codes[..., :1] > 0
    replaced = spoken & (chance.random(codes.shape, dtype=np.float32) < share)
    # Code 0 of codebook 0 belongs to the EOS frame, so no noise has it.
    noise = chance.integers(1, codebook_size, codes.shape)
    return np.concatenate((np.where(replaced, noise, codes), frames[..., -1:]), axis=-1)
