"""The trainer of the stage `polish`: a decoder, discriminators, and a listener that judges it."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from services.tokenizer.codec.mimi import Mimi
from training import checkpoint
from training.average import follow
from training.codec.adversary import Adversary
from training.codec.balance import Balance, Opinion, Patience
from training.codec.data import PredictedCrops, Source
from training.codec.decoder import decoder_parts, refuse_another_codec
from training.codec.encode import codes_of
from training.codec.gathered import gather
from training.codec.listener import Listener, apart
from training.codec.losses import WINDOWS, SpectralLoss
from training.codec.native.block import hasten
from training.codec.perception import Perception
from training.codec.trained import adam_names
from training.optimizer import Optimizer
from training.precision import autocast

STAGE = "polish"
_BETAS = (0.8, 0.99)
# Of the spectra's figures, those that say whether the adversary does harm.
_HEEDED = ("mel", "magnitude", "convergence")
# Of audio that is not heard yet: what a decoder makes depends on what was before.
_LEAD_FRAMES = 4
# No training gets there: crops of its own for `validate`.
_FAR_STEP = 10**9


@dataclass(frozen=True)
class Settings:
    """How the decoder is polished; the defaults are pico's."""

    minutes: float = 120.0
    rows: int = 6
    # Of the rows, those that the decoder is given as the language model would say them, where
    # there are such codes (`training.language_model.predict`).
    predicted_rows: int = 4
    frames: int = 24
    rate: float = 5e-4
    # Of the decoder's matrices, by Muon, as in the stage `codec`.
    matrix_rate: float = 1e-3
    matrix_every: int = 3
    adversary_rate: float = 3e-4
    warmup_steps: int = 200
    # Steps in which only the adversary learns: untrained, it has nothing to say. One that had heard
    # 150 steps made the decoder noisy.
    adversary_steps: int = 2000
    gradient_most: float = 5.0
    average: float = 0.999
    windows_a_step: int = 3
    mel: float = 1.0
    magnitude: float = 1.0
    convergence: float = 1.0
    whole: float = 1.0
    # Of the gradient at the audio, relative to the spectra's; both grow up to `adversary_most`
    # times while the spectra of held crops are no worse than they were, but for the tolerance.
    told: float = 0.2
    matching: float = 0.5
    adversary_most: float = 2.0
    adversary_tolerance: float = 0.02
    # Steps between two looks at how large these gradients are.
    balance_every: int = 10
    # By the listener, where one is trained (`training.codec.listener`).
    apart: float = 1.5
    # By models of hearing (`training.codec.perception`), on rows of the encoder's codes only: what
    # the model's codes leave open would be spoken as the mean of all that it could be.
    loudness: float = 0.5
    envelopes: float = 1.0
    # The adversary hears so many frames of a crop: it judges periods, not sentences, and over whole
    # crops it takes three quarters of a step.
    heard_frames: int = 8
    seed: int = 0


class PolishTrainer:
    """The state of the polishing and its step; see `loop.Trainer`."""

    def __init__(
        self,
        codec: Mimi,
        settings: Settings,
        device: str,
        predicted: PredictedCrops | None = None,
        listener: Listener | None = None,
    ) -> None:
        """Start from `codec`, as the stage `codec` left it.

        Raises:
            ValueError: `predicted_rows` is not between 0 and `rows`.
        """
        if not 0 <= settings.predicted_rows <= settings.rows:
            raise ValueError(
                f"predicted_rows: {settings.predicted_rows} is not allowed, must be in "
                f"[0, {settings.rows}]"
            )
        checkpoint.seed_everything(settings.seed)
        self.settings, self.device = settings, torch.device(device)
        self.predicted = predicted if predicted and settings.predicted_rows else None
        self.own_rows = settings.rows - (settings.predicted_rows if self.predicted else 0)
        self.config = codec.config
        self.mimi = copy.deepcopy(codec).to(self.device).requires_grad_(False)
        self.parts = decoder_parts(self.mimi).train().requires_grad_(True)
        for quicken in (hasten, gather):
            quicken(self.parts)
        self.average = copy.deepcopy(self.mimi).eval().requires_grad_(False)
        self.listener = listener if settings.apart else None
        self.adversary = Adversary().to(self.device)
        self.balance = Balance(settings.balance_every)
        self.patience = Patience(settings.adversary_most, settings.adversary_tolerance)
        self.loss = SpectralLoss(self.config.sampling_rate_hz).to(self.device)
        self.perception = Perception(self.config.sampling_rate_hz).to(self.device)
        self.optimizer = Optimizer(
            self.parts.named_parameters(),
            muon_rate=settings.matrix_rate,
            muon_every=settings.matrix_every,
            adam_rate=settings.rate,
            betas=_BETAS,
            adam_names=adam_names(self.mimi),
        )
        self.adversary_optimizer = Optimizer(
            self.adversary.named_parameters(),
            muon_rate=0.0,
            adam_rate=settings.adversary_rate,
            betas=_BETAS,
        )
        self.step_number, self.seconds = 0, 0.0
        # The step from which the rates warm up.
        self.warm_from = 0

    def step(self, crops: Source) -> dict[str, float]:
        """One step of both; returns its figures."""
        settings = self.settings
        polishes = self.step_number >= settings.adversary_steps
        # What the adversary alone needs: what it hears, and a little before it.
        frames = settings.frames if polishes else settings.heard_frames + _LEAD_FRAMES
        codes, audio = self._batch(crops, frames)
        random = np.random.default_rng((settings.seed, self.step_number, 2))
        windows = tuple(random.choice(WINDOWS, settings.windows_a_step, replace=False).tolist())
        for optimizer in (self.optimizer, self.adversary_optimizer):
            optimizer.set_scale(self._rate_scale())
        latents = self.mimi.quantizer.decode(codes)
        with autocast(self.device), torch.set_grad_enabled(polishes):
            heard = self.mimi.synthesize(latents)[:, 0]
        real, part = audio[:, 0], self._part(random, codes.shape[-1])
        leaf = heard.detach().requires_grad_(polishes)
        with autocast(self.device):
            judged = self.adversary(real[:, part], leaf[:, part])
        learned = [each for each in self.adversary.parameters() if each.requires_grad]
        lessons = torch.autograd.grad(judged.discriminator, learned, retain_graph=polishes)
        figures = {"discriminator": float(judged.discriminator.detach())}
        if polishes:
            scale = self.patience.scale
            opinions = {
                "told": Opinion(judged.told, scale * settings.told, part),
                "matching": Opinion(judged.matching, scale * settings.matching, part),
            }
            figures |= self._polish(real, heard, leaf, windows, opinions)
        for parameter, lesson in zip(learned, lessons, strict=True):
            parameter.grad = lesson
        self.adversary_optimizer.step()
        self.step_number += 1
        return figures

    def _batch(self, crops: Source, frames: int) -> tuple[Tensor, Tensor]:
        """Codes [rows, codebooks, frames] and the audio [rows, 1, samples] they stand for, of
        `frames` or as few as crops have.

        The first `own_rows` are the encoder's codes.
        """
        parts: list[tuple[Tensor, Tensor]] = []
        if self.own_rows:
            audio = crops.batch(self.step_number, self.own_rows).audio.to(self.device)
            audio = audio[..., : frames * self.config.frame_samples]
            parts.append((codes_of(self.mimi, audio), audio))
        if self.predicted:
            codes, audio = self.predicted.batch(
                self.step_number, self.settings.rows - self.own_rows
            )
            codes, audio = codes[..., :frames], audio[..., : frames * self.config.frame_samples]
            parts.append((codes.to(self.device), audio.to(self.device)))
        codes, audio = (torch.cat(each) for each in zip(*parts, strict=True))
        return codes, audio

    def _part(self, random: np.random.Generator, frames: int) -> slice:
        """The samples of a step's crops of `frames` that the adversary hears."""
        size = self.config.frame_samples
        count = min(self.settings.heard_frames, frames)
        start = int(random.integers(frames - count + 1))
        return slice(start * size, (start + count) * size)

    def _polish(
        self,
        real: Tensor,
        heard: Tensor,
        leaf: Tensor,
        windows: tuple[int, ...],
        opinions: dict[str, Opinion],
    ) -> dict[str, float]:
        """A step of the decoder by the spectra of `leaf`, which is `heard`, and what others say."""
        settings = self.settings
        spectral = self.loss(leaf, real, windows)
        total = sum(
            (getattr(settings, name) * value for name, value in spectral.items()),
            start=leaf.new_zeros(()),
        )
        by_ear = self._heard_apart(leaf, real, self.own_rows)
        opinions |= {name: Opinion(x, getattr(settings, name)) for name, x in by_ear.items()}
        gradient = self.balance.gradient(self.step_number, leaf, total, opinions)
        self.optimizer.zero_grad()
        heard.backward(gradient)
        norm = nn.utils.clip_grad_norm_(self.parts.parameters(), settings.gradient_most)
        if torch.isfinite(norm):
            self.optimizer.step()
        follow(self.average, self.mimi, decay=settings.average, step=self.step_number)
        scalars = {**spectral, **{name: one.value for name, one in opinions.items()}}
        scalars["gradient"] = norm
        return {name: float(value.detach()) for name, value in scalars.items()}

    def _heard_apart(self, heard: Tensor, real: Tensor, own_rows: int) -> dict[str, Tensor]:
        """Scalars, by their settings' names: how differently both `[rows, samples]` are heard.

        The first `own_rows` are of the encoder's codes.
        """
        figures = self.perception(heard[:own_rows], real[:own_rows]) if own_rows else {}
        if self.listener is not None:
            # In fp32, as the listener learned to hear.
            bands = self.listener.bands(heard), self.listener.bands(real)
            with autocast(self.device):
                with torch.no_grad():
                    wanted = self.listener(bands[1])
                figures["apart"] = apart(self.listener(bands[0]), wanted)
        return figures

    def _rate_scale(self) -> float:
        done = min(1.0, self.seconds / (60 * self.settings.minutes))
        warm = min(1.0, (self.step_number - self.warm_from + 1) / self.settings.warmup_steps)
        return warm * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)

    @torch.no_grad()
    def validate(self, crops: Source, batches: int = 6) -> dict[str, float]:
        """Figures of the averaged decoder on crops that are never trained on.

        By them the adversary comes to weigh more, or less.

        `predicted_apart`, the listener's on the model's codes, is of crops that are trained on:
        there are no such codes of others.
        """
        sums: dict[str, float] = {}
        for number in range(batches):
            audio = crops.batch(number, self.settings.rows).audio.to(self.device)
            heard = self.average.decode(self.average.encode(audio))
            figures = self.loss(heard[:, 0], audio[:, 0])
            figures |= self._heard_apart(heard[:, 0], audio[:, 0], len(audio))
            for name, value in figures.items():
                sums[f"held_{name}"] = sums.get(f"held_{name}", 0.0) + float(value) / batches
        if self.step_number >= self.settings.adversary_steps:
            self.patience.heed(sum(sums[f"held_{name}"] for name in _HEEDED))
        sums["adversary_scale"] = self.patience.scale
        if self.predicted and self.listener is not None:
            sums["predicted_apart"] = 0.0
            for number in range(batches):
                drawn = self.predicted.batch(_FAR_STEP + number, self.settings.rows)
                codes, audio = (each.to(self.device) for each in drawn)
                heard = self.average.decode(codes)
                figures = self._heard_apart(heard[:, 0], audio[:, 0], 0)
                sums["predicted_apart"] += float(figures["apart"]) / batches
        return sums

    def state(self) -> dict[str, Any]:
        """All that a later run needs to go on as if it had not stopped."""
        return {
            "config": self.config.to_dict(),
            "settings": asdict(self.settings),
            "model": self.mimi.state_dict(),
            "average": self.average.state_dict(),
            "adversary": self.adversary.state_dict(),
            "balance": self.balance.sizes,
            "patience": self.patience.state(),
            "optimizer": self.optimizer.state_dict(),
            "adversary_optimizer": self.adversary_optimizer.state_dict(),
            "step": self.step_number,
            "warm_from": self.warm_from,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state of `state()`; where the optimizers' are left out (`training.pause`), the
        rates warm up again.

        Raises:
            ValueError: it polished another codec: the encoder or the codebooks differ.
        """
        refuse_another_codec(state["model"], self.mimi)
        self.mimi.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.adversary.load_state_dict(state["adversary"])
        self.balance.sizes = dict(state.get("balance", {}))
        if "patience" in state:
            self.patience.restore(state["patience"])
        self.step_number, self.seconds = state["step"], state["seconds"]
        self.warm_from = state.get("warm_from", 0)
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
            self.adversary_optimizer.load_state_dict(state["adversary_optimizer"])
        else:
            self.warm_from = self.step_number
