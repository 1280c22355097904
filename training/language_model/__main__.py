"""Train the language model of a voice, on the corpus and its codes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.tokenizer import codec
from training.arguments import parser as stage_parser
from training.language_model.settings import TrainingSettings
from training.language_model.shape import SIZES
from training.language_model.train import train
from training.language_model.warm import told_by_both, warmed
from training.memory import keep_freed_memory
from training.tokenizer import build_tokenizer


def _started(work: Path, voice: Path, config: CsmConfig) -> Csm:
    theirs, ours = told_by_both(work, codec.load(voice))
    return warmed(weights.load(voice).float(), config, theirs, ours)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and train."""
    recipe = TrainingSettings()
    parser = stage_parser("language_model", __doc__)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="of training, all runs together")
    length.add_argument("--steps", type=int, help="of training, all runs together")
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="VOICE",
        help="start from the language model of this model directory, where no checkpoint is yet",
    )
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch likes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--positions", type=int, default=recipe.positions_per_batch, help="of a batch"
    )
    parser.add_argument(
        "--max-positions", type=int, default=recipe.max_positions, help="of a conversation"
    )
    parser.add_argument(
        "--depth-share",
        type=float,
        default=recipe.depth_share,
        help="of the frames, that the depth decoder learns from in a step",
    )
    parser.add_argument(
        "--depth-weight",
        type=float,
        default=recipe.depth_weight,
        help="of the acoustic codebooks together, where the first one weighs 1",
    )
    parser.add_argument("--matrix-rate", type=float, default=recipe.matrix_rate)
    parser.add_argument("--other-rate", type=float, default=recipe.other_rate)
    parser.add_argument("--codebook-size", type=int, help="of the codec; else pico's")
    given = parser.parse_args(arguments)
    keep_freed_memory()
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        train(
            given.work,
            tokenizer=build_tokenizer(),
            minutes=given.minutes,
            steps=given.steps,
            size=given.size,
            codebook_size=given.codebook_size,
            settings=replace(
                recipe,
                positions_per_batch=given.positions,
                max_positions=given.max_positions,
                depth_share=given.depth_share,
                depth_weight=given.depth_weight,
                matrix_rate=given.matrix_rate,
                other_rate=given.other_rate,
            ),
            device=given.device,
            seed=given.seed,
            start=None if given.source is None else partial(_started, given.work, given.source),
        )
    except (ValueError, FileNotFoundError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
