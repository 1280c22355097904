"""Train the codec, or go on training it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from services.tokenizer import codec
from training.codec import shape
from training.codec.loop import command
from training.codec.train import Settings, train

_OPTIONS: dict[str, dict[str, Any]] = {
    "--from": {
        "dest": "source",
        "type": Path,
        "metavar": "VOICE",
        "help": "start from the codec of this model directory, where no checkpoint is yet",
    },
    "--filters": {
        "type": int,
        "default": shape.pico().num_filters,
        "help": "channels at the audio's rate (%(default)s)",
    },
}


def _train(
    work: Path, settings: Settings, *, source: Path | None, filters: int, **options: Any
) -> None:
    config = replace(shape.pico(), num_filters=filters)
    start = None if source is None else codec.load(source)
    train(work, config, settings, start=start, **options)


def main() -> None:
    command("codec", __doc__, Settings, _train, _OPTIONS)


if __name__ == "__main__":
    main()
