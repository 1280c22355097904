"""Training of the codec: spectra, phones on the first codebook, pitch, commitment."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.mimi import Mimi
from training import checkpoint
from training.average import follow
from training.codec.data import LABELS_PER_FRAME, Batch, Source
from training.codec.gathered import gather
from training.codec.loop import run
from training.codec.losses import WINDOWS, SpectralLoss
from training.codec.native.block import hasten
from training.codec.pitch import pitch
from training.codec.quantizer import quantize, reserve_end_code, start_codebooks, unquantized
from training.codec.trained import CodecTraining, adam_names
from training.codec.warm import widened
from training.corpus.store import PHONES
from training.optimizer import Optimizer
from training.precision import autocast

STAGE = "codec"


@dataclass(frozen=True)
class Settings:
    """How the codec is trained; the defaults are pico's."""

    minutes: float = 180.0
    rows: int = 6
    frames: int = 24
    rate: float = 1e-3
    # Of the matrices, by Muon; what is no matrix, or a head, or one channel wide goes by `rate`.
    matrix_rate: float = 2e-3
    # Steps between two directions of a matrix; each is a quarter of what a step takes otherwise.
    matrix_every: int = 3
    warmup_steps: int = 200
    unquantized_steps: int = 400
    gradient_most: float = 5.0
    average: float = 0.998
    windows_a_step: int = 3
    # Rows that keep only some of the acoustic codebooks, so that the first ones carry the most.
    coarse_share: float = 0.25
    mel: float = 1.0
    magnitude: float = 1.0
    convergence: float = 1.0
    phones: float = 0.5
    pitch: float = 1.0
    voice: float = 0.1
    commitment: float = 0.25
    seed: int = 0


class CodecTrainer:
    """The state of a training and its step."""

    def __init__(
        self, config: MimiConfig, settings: Settings, device: str, start: Mimi | None = None
    ) -> None:
        """Start from random weights, or as `start` sounds (see `warm.widened`)."""
        checkpoint.seed_everything(settings.seed)
        self.config, self.settings, self.device = config, settings, torch.device(device)
        self.model = CodecTraining(config, settings.seed)
        if start is not None:
            known = widened(start, config, seed=settings.seed)
            self.model.mimi.load_state_dict(known.state_dict())
        self.model.to(self.device)
        for quicken in (hasten, gather):
            quicken(self.model.mimi)
        self.average = copy.deepcopy(self.model.mimi).eval().requires_grad_(False)
        self.loss = SpectralLoss(config.sampling_rate_hz).to(self.device)
        self.optimizer = Optimizer(
            self.model.named_parameters(),
            muon_rate=settings.matrix_rate,
            muon_every=settings.matrix_every,
            adam_rate=settings.rate,
            betas=(0.8, 0.99),
            weight_decay=0.01,
            adam_names=adam_names(self.model.mimi),
        )
        self.step_number, self.seconds = 0, 0.0
        self._latents: list[Tensor] = []

    @property
    def quantized(self) -> bool:
        """Whether codebooks are in use yet."""
        return self.step_number >= self.settings.unquantized_steps

    def step(self, crops: Source) -> dict[str, float]:
        """One step; returns its figures."""
        settings = self.settings
        batch = crops.batch(self.step_number, settings.rows)
        self.optimizer.set_scale(self._rate_scale())
        random = np.random.default_rng((settings.seed, self.step_number, 1))
        windows = tuple(random.choice(WINDOWS, settings.windows_a_step, replace=False).tolist())
        if self.step_number == settings.unquantized_steps:
            start_codebooks(self.model.mimi.quantizer, torch.cat(self._latents))
            reserve_end_code(self.model.mimi.quantizer)
            self._latents = []
        audio = batch.audio.to(self.device)
        with autocast(self.device):
            latents = self.model.mimi.latents(audio)
        total, figures = self._losses(audio, latents.float(), batch, windows, random)
        self.optimizer.zero_grad()
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_most)
        if torch.isfinite(norm):
            self.optimizer.step()
        self._follow()
        self.step_number += 1
        return {**figures, "gradient": float(norm)}

    def _losses(
        self,
        audio: Tensor,
        latents: Tensor,
        batch: Batch,
        windows: tuple[int, ...],
        random: np.random.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        settings, mimi = self.settings, self.model.mimi
        figures: dict[str, float] = {}
        extra = audio.new_zeros(())
        if self.quantized:
            most = self.config.num_acoustic_codebooks
            kept = np.where(
                random.random(len(audio)) < settings.coarse_share,
                random.integers(0, most, len(audio)),
                most,
            )
            result = quantize(
                mimi.quantizer, latents, kept=torch.from_numpy(kept).to(audio.device), update=True
            )
            reserve_end_code(mimi.quantizer)
            read, semantic = result.latents, result.semantic
            extra = settings.commitment * result.commitment
            figures["commitment"] = float(result.commitment.detach())
        else:
            read = unquantized(mimi.quantizer, latents)
            semantic = mimi.quantizer.semantic.project(latents)
            if self.step_number >= settings.unquantized_steps - 100:
                self._latents.append(latents.detach().flatten(0, 1))
        logits = self.model.phones(semantic).unflatten(-1, (LABELS_PER_FRAME, len(PHONES)))
        labels = batch.phones.to(audio.device)
        spoken = F.cross_entropy(logits.flatten(0, 2), labels.flatten())
        sung, voice = self._pitch_losses(audio[:, 0], read)
        with autocast(self.device):
            heard = mimi.synthesize(read)
        spectral = self.loss(heard[:, 0], audio[:, 0], windows)
        total = (
            settings.mel * spectral["mel"]
            + settings.magnitude * spectral["magnitude"]
            + settings.convergence * spectral["convergence"]
            + settings.phones * spoken
            + settings.pitch * sung
            + settings.voice * voice
            + extra
        )
        figures |= {name: float(value.detach()) for name, value in spectral.items()}
        scalars = {"phones": spoken, "pitch": sung, "voice": voice, "loss": total}
        figures |= {name: float(value.detach()) for name, value in scalars.items()}
        return total, figures

    def _pitch_losses(self, audio: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        """How far pitch (in octaves) and voice are from what the decoder reads of them."""
        hop = self.config.frame_samples // LABELS_PER_FRAME
        octaves, voiced = pitch(audio, self.config.sampling_rate_hz, hop)
        found = self.model.pitch(read).unflatten(-1, (LABELS_PER_FRAME, 2)).flatten(1, 2)
        error = ((found[..., 0] - octaves).abs() * voiced).sum() / voiced.sum().clamp(min=1)
        return error, F.binary_cross_entropy_with_logits(found[..., 1], voiced.float())

    def _rate_scale(self) -> float:
        done = min(1.0, self.seconds / (60 * self.settings.minutes))
        warm = min(1.0, (self.step_number + 1) / self.settings.warmup_steps)
        return warm * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights, which are what is kept in the end."""
        mimi = self.model.mimi
        follow(self.average, mimi, decay=self.settings.average, step=self.step_number)
        for of_mean, of_now in zip(self.average.buffers(), mimi.buffers(), strict=True):
            of_mean.copy_(of_now)

    @torch.no_grad()
    def validate(self, crops: Source, batches: int = 4) -> dict[str, float]:
        """Figures of the averaged weights on crops that are never trained on."""
        sums: dict[str, float] = {}
        used = torch.zeros(self.config.num_codebooks, self.config.codebook_size)
        for number in range(batches):
            audio = crops.batch(number, self.settings.rows).audio.to(self.device)
            codes = self.average.encode(audio)
            heard = self.average.decode(codes)
            for name, value in self.loss(heard[:, 0], audio[:, 0]).items():
                sums[f"held_{name}"] = sums.get(f"held_{name}", 0.0) + float(value) / batches
            for book in range(self.config.num_codebooks):
                used[book] += torch.bincount(
                    codes[:, book].flatten().cpu(), minlength=self.config.codebook_size
                )
        shares = used / used.sum(-1, keepdim=True)
        entropy = -(shares * (shares + 1e-9).log()).sum(-1)
        sums["held_perplexity_first"] = float(entropy[0].exp())
        sums["held_perplexity_last"] = float(entropy[-1].exp())
        return sums

    def state(self) -> dict[str, Any]:
        """All that a later run needs to go on as if it had not stopped."""
        return {
            "config": self.config.to_dict(),
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step_number,
            "seconds": self.seconds,
            "random": torch.get_rng_state(),
            "latents": self._latents,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state of `state()`, or a compact one of `training.pause`.

        Raises:
            ValueError: it was trained in another shape.
        """
        if state["config"] != self.config.to_dict():
            raise ValueError(
                f"{STAGE}: the checkpoint was trained in another shape; move it away or use its own"
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.step_number, self.seconds = state["step"], state["seconds"]
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"].cpu())
            self._latents = state["latents"]


def trained_codec(work: Path, device: str = "cpu") -> Mimi:
    """The codec trained so far, its weights averaged, frozen: for codes, export and evaluation.

    Raises:
        FileNotFoundError: there is no checkpoint.
    """
    path = checkpoint.path_of(work, STAGE)
    state = checkpoint.load(path, device)
    if state is None:
        raise FileNotFoundError(f"{path}: no such file; `python -m training.codec` trains one")
    mimi = Mimi(MimiConfig.from_dict(state["config"])).to(device)
    mimi.load_state_dict(state["average"])
    return mimi.eval().requires_grad_(False)


def train(
    work: Path,
    config: MimiConfig,
    settings: Settings,
    *,
    device: str = "cpu",
    start: Mimi | None = None,
    most_steps: int | None = None,
    log_every: int = 50,
    save_every_s: float = 120.0,
) -> Mimi:
    """Train in `work` until the time or `most_steps` is over; goes on from a checkpoint there.

    Where there is none it begins with random weights, or as `start` sounds. Returns the averaged
    codec.
    """
    trainer = CodecTrainer(config, settings, device, start)
    run(
        trainer,
        work,
        STAGE,
        settings=settings,
        frame_samples=config.frame_samples,
        seed=settings.seed,
        most_steps=most_steps,
        log_every=log_every,
        save_every_s=save_every_s,
    )
    return trainer.average
