"""How well a model predicts sentences it never saw, alone and after two turns of context."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from training.language_model import conversations
from training.language_model.batch import Batch, collate
from training.language_model.conversations import Conversation
from training.language_model.objective import Objective
from training.language_model.segments import SegmentTable
from training.precision import autocast

CONTEXT_TURNS = 2


class Validation:
    """The same sentences every time; only the last turn of each conversation counts."""

    def __init__(
        self,
        table: SegmentTable,
        *,
        codebook_size: int,
        utterances: int,
        positions_per_batch: int,
        max_positions: int,
        seed: int = 0,
    ) -> None:
        """Choose the sentences.

        Args:
            table: the segments of the validation split.
            codebook_size: the codec's.
            utterances: how many of them, spread evenly.
            positions_per_batch: as for training.
            max_positions: of the model; longer conversations are left out.
            seed: of the contexts.
        """
        self.batches = {
            prefix: _batches(
                table,
                conversations.with_context(table.speaker, turns, seed=seed, limit=utterances),
                codebook_size,
                positions_per_batch,
                max_positions,
            )
            for prefix, turns in (("validation", 0), ("context", CONTEXT_TURNS))
        }

    def measure(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """Return the losses by name, `validation_first`, `context_first` and so on, in nats.

        The objective's weights must not ask for gradients: none are switched off here, because the
        model's products for inference would run in fp32.
        """
        figures = {}
        for prefix, batches in self.batches.items():
            losses: list[dict[str, float]] = []
            for batch in batches:
                with autocast(device):
                    losses.append(objective(batch.to(device)).values())
            weights = [len(batch.scored) for batch in batches]
            for name in losses[0]:
                mean = np.average([each[name] for each in losses], weights=weights)
                figures[f"{prefix}_{name}"] = float(mean)
        return figures


def _batches(
    table: SegmentTable,
    chosen: Sequence[Conversation],
    codebook_size: int,
    positions_per_batch: int,
    max_positions: int,
) -> list[Batch]:
    lengths = table.lengths
    short = [one for one in chosen if conversations.inputs(one, lengths) <= max_positions]
    if not short:
        raise ValueError(
            f"max_positions: {max_positions} is not allowed, no conversation of the validation "
            "split is that short"
        )
    packed = conversations.pack(
        short, lengths, positions_per_batch=positions_per_batch, seed=0, epoch=0
    )
    return [collate(table, each, codebook_size=codebook_size, only_last=True) for each in packed]
