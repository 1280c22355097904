"""`python -m training.codec`: train the codec, or go on training it."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import torch

from training.codec import shape
from training.codec.train import Settings, train
from training.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.codec", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("build/pico"), help="where all stages work"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch on the CPU")
    parser.add_argument("--most-steps", type=int, help="stop after so many steps")
    for field in fields(Settings):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    settings = Settings(**{f.name: getattr(arguments, f.name) for f in fields(Settings)})
    train(
        arguments.work,
        shape.pico(),
        settings,
        device=arguments.device,
        most_steps=arguments.most_steps,
    )


if __name__ == "__main__":
    main()
