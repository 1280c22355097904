"""The stage `listener`: a small network that hears phones and speakers in audio.

It is trained on the teachers' audio, whose phones and times are known, and then judges the
decoder (`training.codec.polish`): spectra weigh a blurred consonant like a blurred vowel, a
listener minds whether it can still be told from another. Nothing of it is shipped, and the
recogniser of the evaluation is another program with another model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training import checkpoint
from training.codec.data import LABELS_PER_FRAME, Source
from training.codec.loop import command, run
from training.codec.losses import hann, magnitudes, mel_filters
from training.codec.train import trained_codec
from training.corpus.store import PHONES, SAMPLE_RATE_HZ, SPEAKERS
from training.optimizer import Optimizer
from training.precision import autocast

STAGE = "listener"
_WINDOW, _BANDS = 512, 64
_HOP = _WINDOW // 4
_STRIDE = 2
_FLOOR = 3e-4
# Of the log-mel bands over the corpus, roughly: what comes in is near zero mean and unit spread.
_MEAN, _SPREAD = -4.0, 2.0


@dataclass(frozen=True)
class Heard:
    """What the listener makes of `[rows, samples]`.

    `features`, each float `[rows, channels, steps]`, are the layers' outputs; `phones` float
    `[rows, steps, phones]` and `speakers` float `[rows, speakers]` are logits. A step is 10.7 ms.
    """

    features: list[Tensor]
    phones: Tensor
    speakers: Tensor


class Listener(nn.Module):
    """Convolutions over log-mel bands; each step hears about 0.2 s around it, and of the rest how
    loud it is.

    Not more: it shall hear the sounds, and not guess a phone from the words around it.
    """

    def __init__(self, width: int = 160, dilations: tuple[int, ...] = (1, 1, 2, 2)) -> None:
        super().__init__()
        self.register_buffer("window", hann(_WINDOW), persistent=False)
        bank = mel_filters(SAMPLE_RATE_HZ, _WINDOW, _BANDS)
        self.register_buffer("bank", bank, persistent=False)
        self.first = nn.Conv1d(_BANDS, width, 4, _STRIDE)
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
            for dilation in dilations
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in dilations)
        self.phones = nn.Linear(width, len(PHONES))
        self.speakers = nn.Linear(2 * width, len(SPEAKERS))

    def bands(self, audio: Tensor) -> Tensor:
        """Log-mel bands, float32 `[rows, bands, windows]`, of audio `[rows, samples]`."""
        spectrum = magnitudes(audio.float(), self.get_buffer("window"))
        log = (spectrum @ self.get_buffer("bank") + _FLOOR).log()
        return ((log - _MEAN) / _SPREAD).transpose(1, 2)

    def forward(self, bands: Tensor) -> Heard:
        """Hear `bands()` of audio."""
        x = self.first(bands)
        features = []
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = x + block(F.gelu(norm(x)))
            features.append(x)
        whole = torch.cat([x.mean(-1), x.std(-1)], dim=-1)
        return Heard(features, self.phones(x.transpose(1, 2)), self.speakers(whole))


def steps_of(labels: Tensor, steps: int, frame_samples: int) -> Tensor:
    """The phone of every step of the listener, int64 `[rows, steps]`.

    `labels` int64 `[rows, frames * 4]` are `data.phone_labels`.
    """
    middles = (torch.arange(steps) * _STRIDE + (_STRIDE + 1) / 2) * _HOP + _WINDOW / 2
    places = (middles / (frame_samples / LABELS_PER_FRAME)).long().clamp(max=labels.shape[1] - 1)
    return labels[:, places.to(labels.device)]


def apart(heard: Heard, wanted: Heard) -> Tensor:
    """How differently two clips sound to the listener, a scalar.

    The mean distance of features, each layer by its own size, and the divergence of the phones
    heard from those wanted, in nats.
    """
    features = torch.stack(
        [
            (want.float() - have.float()).abs().mean() / (want.float().abs().mean() + 1e-4)
            for want, have in zip(wanted.features, heard.features, strict=True)
        ]
    ).mean()
    have, want = (each.phones.float().log_softmax(-1) for each in (heard, wanted))
    return features + F.kl_div(have, want, log_target=True, reduction="none").sum(-1).mean()


@dataclass(frozen=True)
class Settings:
    """How the listener is trained; the defaults are pico's."""

    minutes: float = 7.0
    rows: int = 8
    frames: int = 24
    rate: float = 2e-3
    matrix_rate: float = 1e-2
    warmup_steps: int = 100
    speakers: float = 0.1
    # Bands and times that are hidden, and a slope over the bands, drawn for each row: what it hears
    # must not hang on one place, or on how bright a voice is.
    hidden_bands: int = 8
    hidden_steps: int = 12
    tilt: float = 0.3
    seed: int = 0


class ListenerTrainer:
    """The state of the training and its step; see `loop.Trainer`."""

    def __init__(self, frame_samples: int, settings: Settings, device: str) -> None:
        checkpoint.seed_everything(settings.seed)
        self.settings, self.device = settings, torch.device(device)
        self._frame_samples = frame_samples
        self.model = Listener().to(self.device)
        self.optimizer = Optimizer(
            self.model.named_parameters(),
            muon_rate=settings.matrix_rate,
            adam_rate=settings.rate,
            weight_decay=0.05,
            adam_names=("phones.", "speakers."),
        )
        self.step_number, self.seconds = 0, 0.0

    def step(self, crops: Source) -> dict[str, float]:
        """One step; returns its figures."""
        settings = self.settings
        done = min(1.0, self.seconds / (60 * settings.minutes))
        warm = min(1.0, (self.step_number + 1) / settings.warmup_steps)
        self.optimizer.set_scale(warm * (0.02 + 0.98 * (1 - done)))
        batch = crops.batch(self.step_number, settings.rows)
        random = np.random.default_rng((settings.seed, self.step_number, 4))
        bands = self._disturbed(self.model.bands(batch.audio[:, 0].to(self.device)), random)
        loss, figures = self._losses(bands, batch.phones, batch.speakers)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step_number += 1
        return figures

    def _disturbed(self, bands: Tensor, random: np.random.Generator) -> Tensor:
        settings = self.settings
        slopes = torch.from_numpy(random.uniform(-settings.tilt, settings.tilt, len(bands)))
        over = torch.linspace(-1, 1, bands.shape[1])
        bands = bands + (slopes.float()[:, None] * over)[..., None].to(bands)
        for row in bands:
            count = int(random.integers(settings.hidden_bands + 1))
            at = int(random.integers(bands.shape[1] - count + 1))
            row[at : at + count] = 0.0
            count = int(random.integers(settings.hidden_steps + 1))
            at = int(random.integers(bands.shape[2] - count + 1))
            row[:, at : at + count] = 0.0
        return bands

    def _losses(
        self, bands: Tensor, labels: Tensor, speakers: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        with autocast(self.device):
            heard = self.model(bands)
        wanted = steps_of(labels.to(self.device), heard.phones.shape[1], self._frame_samples)
        logits = heard.phones.float()
        phones = F.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        speaker = F.cross_entropy(heard.speakers.float(), speakers.to(self.device))
        right = (logits.argmax(-1) == wanted).float().mean()
        figures = {"phones": phones, "speaker": speaker, "right": right}
        loss = phones + self.settings.speakers * speaker
        return loss, {name: float(value.detach()) for name, value in figures.items()}

    @torch.no_grad()
    def validate(self, crops: Source, batches: int = 20) -> dict[str, float]:
        """Figures on crops that are never trained on."""
        sums: dict[str, float] = {}
        for number in range(batches):
            batch = crops.batch(number, self.settings.rows)
            bands = self.model.bands(batch.audio[:, 0].to(self.device))
            for name, value in self._losses(bands, batch.phones, batch.speakers)[1].items():
                sums[f"held_{name}"] = sums.get(f"held_{name}", 0.0) + value / batches
        return sums

    def state(self) -> dict[str, Any]:
        """All that a later run needs to go on as if it had not stopped."""
        return {
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step_number,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state of `state()`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step_number, self.seconds = state["step"], state["seconds"]


def trained_listener(work: Path, device: str = "cpu") -> Listener | None:
    """The listener trained in `work`, frozen; None where there is none."""
    state = checkpoint.load(checkpoint.path_of(work, STAGE), device)
    if state is None:
        return None
    listener = Listener().to(device)
    listener.load_state_dict(state["model"])
    return listener.eval().requires_grad_(False)


def train(
    work: Path,
    settings: Settings,
    *,
    device: str = "cpu",
    most_steps: int | None = None,
    log_every: int = 50,
    save_every_s: float = 60.0,
) -> Listener:
    """Train in `work` until the time or `most_steps` is over; goes on from a checkpoint there."""
    frame_samples = trained_codec(work, device).config.frame_samples
    trainer = ListenerTrainer(frame_samples, settings, device)
    run(
        trainer,
        work,
        STAGE,
        settings=settings,
        frame_samples=frame_samples,
        seed=settings.seed + 2,
        most_steps=most_steps,
        log_every=log_every,
        save_every_s=save_every_s,
    )
    return trainer.model


def main() -> None:
    command("codec.listener", "Train the listener, or go on training it.", Settings, train)


if __name__ == "__main__":
    main()
