"""Train the codec, or go on training it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.codec import shape
from training.codec.loop import command
from training.codec.train import Settings, train


def _train(work: Path, settings: Settings, **options: Any) -> None:
    train(work, shape.pico(), settings, **options)


def main() -> None:
    command("codec", __doc__, Settings, _train)


if __name__ == "__main__":
    main()
