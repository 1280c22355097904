"""What the language model is trained to do: the losses of one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from services.generator.model.csm import Csm
from training.corpus.store import PHONES
from training.language_model import guidance
from training.language_model.alignment import LABELS_PER_FRAME
from training.language_model.batch import Batch
from training.language_model.settings import TrainingSettings


@dataclass(frozen=True)
class Losses:
    """Means over the batch in nats, each fp32 [], but `depth`: fp32 [codebooks - 1].

    `first` is codebook 0's, EOS frames included; `depth` those of the other codebooks; `phones`
    and `guidance` are the helpers'; `end` is `first` over the EOS frames alone.
    """

    first: Tensor
    depth: Tensor
    phones: Tensor
    guidance: Tensor
    end: Tensor

    def total(self, settings: TrainingSettings, progress: float) -> Tensor:
        """The sum that is minimised, weighted as at `progress` (0 to 1) of the run."""
        return (
            self.first
            + settings.depth_weight * self._depth(settings.depth_slope)
            + settings.phone_weight * self.phones
            + settings.guidance_weight(progress) * self.guidance
        )

    def values(self) -> dict[str, float]:
        """The figures by name; `depth` is the plain mean of its codebooks."""
        return {name: float(value.detach().mean()) for name, value in vars(self).items()}

    def _depth(self, slope: float) -> Tensor:
        weights = torch.linspace(1 + slope, 1 - slope, len(self.depth), device=self.depth.device)
        return (weights / weights.sum() * self.depth).sum()


class Objective(nn.Module):
    """The model and its helper, which is dropped at export: a head for the next frame's phones."""

    def __init__(self, model: Csm) -> None:
        super().__init__()
        self.model = model
        self.phone_head = nn.Linear(model.config.backbone.width, LABELS_PER_FRAME * len(PHONES))
        with torch.no_grad():
            # Zero: deterministic without a seed of its own, and every phone is as likely.
            self.phone_head.weight.zero_()
            self.phone_head.bias.zero_()

    def forward(self, batch: Batch) -> Losses:
        """Return the losses; differentiable. Run it under autocast for bf16."""
        model = self.model
        layers = guidance.guided_layers(model.config.backbone.layers)
        with guidance.watched(model, layers) as seen:
            hidden = model.hidden_states(batch.frames)
        hidden = hidden.flatten(0, 1)[batch.scored]
        each = functional.cross_entropy(
            model.lm_head(hidden).float(), batch.codes[:, 0], reduction="none"
        )
        ends = batch.codes[:, 0] == 0
        codes = batch.codes[batch.depth]
        depth = model.depth_logits(hidden[batch.depth], codes).float()
        phones = self.phone_head(hidden).float().view(-1, len(PHONES))
        return Losses(
            first=each.mean(),
            depth=functional.cross_entropy(
                depth.flatten(0, 1), codes[:, 1:].flatten(), reduction="none"
            )
            .view_as(codes[:, 1:])
            .mean(0),
            phones=functional.cross_entropy(phones, batch.phones.flatten(), ignore_index=-1),
            guidance=guidance.loss(model, seen, batch.scored, batch.places),
            end=(each.detach() * ends).sum() / ends.sum().clamp(min=1),
        )
