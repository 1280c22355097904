"""The stage `polish`: the codec's decoder alone, against discriminators and a listener.

Encoder and codebooks stay as they are, so the codes do, and with them the language model: this
stage may run at any time after `codec`, and again.
"""

from __future__ import annotations

from pathlib import Path

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.mimi import Mimi
from training import checkpoint
from training.codec.data import PredictedCrops
from training.codec.decoder import refuse_another_codec
from training.codec.listener import trained_listener
from training.codec.loop import command, run
from training.codec.polisher import STAGE, PolishTrainer, Settings
from training.codec.train import trained_codec


def polished_codec(work: Path, device: str = "cpu") -> Mimi:
    """The codec with its polished decoder; as the stage `codec` left it where none was polished.

    Raises:
        FileNotFoundError: there is no codec.
        ValueError: what was polished is another codec: encoder or codebooks differ.
    """
    codec = trained_codec(work, device)
    state = checkpoint.load(checkpoint.path_of(work, STAGE), device)
    if state is not None:
        refuse_another_codec(state["average"], codec)
        codec = Mimi(MimiConfig.from_dict(state["config"])).to(device)
        codec.load_state_dict(state["average"])
    return codec.eval().requires_grad_(False)


def polish(
    work: Path,
    settings: Settings,
    *,
    device: str = "cpu",
    most_steps: int | None = None,
    log_every: int = 50,
    save_every_s: float = 120.0,
) -> Mimi:
    """Polish the decoder of the codec in `work`; returns the codec, averaged."""
    codec = trained_codec(work, device)
    predicted = PredictedCrops(
        work,
        frames=settings.frames,
        frame_samples=codec.config.frame_samples,
        seed=settings.seed + 1,
    )
    listener = trained_listener(work, device)
    if listener is None and settings.apart:
        print(f"{STAGE}: no listener; `python -m training.codec.listener` trains one", flush=True)
    trainer = PolishTrainer(codec, settings, device, predicted, listener)
    run(
        trainer,
        work,
        STAGE,
        settings=settings,
        frame_samples=codec.config.frame_samples,
        seed=settings.seed + 1,
        most_steps=most_steps,
        log_every=log_every,
        save_every_s=save_every_s,
    )
    return trainer.average


def main() -> None:
    command("codec.polish", "Polish the decoder, or go on polishing it.", Settings, polish)


if __name__ == "__main__":
    main()
