"""How the language model is trained: every number that is not a size of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.language_model.shape import MAX_POSITIONS

MAX_TURNS = 6


@dataclass(frozen=True)
class TrainingSettings:
    """The recipe.

    Losses are weighted against the cross-entropy of codebook 0. Guidance falls linearly from
    `guidance_start` to `guidance_end` over the run: alignment stands after minutes, and later the
    model shall find its own. Learning rates are those after the warm-up, falling linearly to 0.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """

    positions_per_batch: int = 4000
    max_positions: int = MAX_POSITIONS
    turn_weights: tuple[float, ...] = (0.36, 0.26, 0.18, 0.1, 0.06, 0.04)
    """How often a conversation has 1, 2, ... turns, at most `MAX_TURNS`."""
    speaker_repeats: int = 4
    """The most often that an epoch has a segment: those of a speaker with few are repeated, up to
    the number of the speaker with most."""
    code_noise: float = 0.05
    """The share of the audio codes read that are replaced by random ones."""
    dropout: float = 0.05
    """The share of the channels of what a backbone layer adds that a row of a step is without."""
    depth_share: float = 0.75
    """The share of the frames that the depth decoder learns from in a step."""
    depth_weight: float = 2.0
    depth_slope: float = 0.7
    """The weights of the acoustic codebooks fall linearly from 1 + this to 1 - this: each says less
    of the sound than the one before, and the last are hardly told by text and past."""
    phone_weight: float = 0.3
    guidance_start: float = 0.3
    guidance_end: float = 0.03
    matrix_rate: float = 1.5e-3
    matrix_every: int = 3
    """Steps between two directions of a matrix (`optimizer.Muon`): at each they take 0.15 of it."""
    other_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 60
    max_gradient_norm: float = 1.0
    average_decay: float = 0.998
    """Of the averaged weights, a step; they are what is validated and exported."""
    checkpoint_every_s: float = 120.0
    validate_every_s: float = 240.0
    validation_utterances: int = 120

    def __post_init__(self) -> None:
        for name, low in (
            ("positions_per_batch", 16),
            ("max_positions", 16),
            ("speaker_repeats", 1),
            ("matrix_every", 1),
            ("warmup_steps", 0),
            ("validation_utterances", 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"{name}: {value!r} is not allowed, must be an integer >= {low}")
        for name in ("code_noise", "depth_share", "depth_slope", "average_decay"):
            self._number(name, 0.0, 1.0)
        self._number("dropout", 0.0, 0.9)
        for name in (
            *("depth_weight", "phone_weight", "guidance_start", "guidance_end", "matrix_rate"),
            *("other_rate", "weight_decay", "max_gradient_norm", "checkpoint_every_s"),
            "validate_every_s",
        ):
            self._number(name, 0.0, math.inf)
        weights = self.turn_weights
        if not 1 <= len(weights) <= MAX_TURNS or min(weights) < 0 or not sum(weights) > 0:
            raise ValueError(
                f"turn_weights: {weights!r} is not allowed, must be 1 to {MAX_TURNS} numbers "
                ">= 0, not all of them 0"
            )
        if self.positions_per_batch < self.max_positions:
            raise ValueError(
                f"positions_per_batch: {self.positions_per_batch} is not allowed, must be >= "
                f"max_positions ({self.max_positions})"
            )

    def _number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
            raise ValueError(f"{name}: {value!r} is not allowed, must be a number")
        if not low <= value <= high:
            raise ValueError(f"{name}: {value!r} is not allowed, must be in [{low:g}, {high:g}]")

    def guidance_weight(self, progress: float) -> float:
        """The weight of the guidance at `progress` (0 to 1) of the run."""
        return self.guidance_start + (self.guidance_end - self.guidance_start) * progress

    def rate_scale(self, step: int, progress: float) -> float:
        """What the learning rates are multiplied by: a linear warm-up, then linearly to 0.

        Args:
            step: steps made so far.
            progress: the share of the run that is over, 0 to 1.
        """
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return warm * max(0.0, 1.0 - progress)
