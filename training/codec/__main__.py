"""Train the codec, or go on training it."""

from __future__ import annotations

import torch

from training.arguments import add_training, parser, settings_of
from training.codec import shape
from training.codec.train import Settings, train
from training.memory import keep_freed_memory


def main() -> None:
    arguments = parser("codec", __doc__)
    add_training(arguments, Settings)
    given = arguments.parse_args()
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    train(
        given.work,
        shape.pico(),
        settings_of(given, Settings),
        device=given.device,
        most_steps=given.most_steps,
    )


if __name__ == "__main__":
    main()
