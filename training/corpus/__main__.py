"""`python -m training.corpus`: collect sentences and have the teachers speak them."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.corpus.build import build
from training.corpus.sentences import collect, held_out, validation
from training.corpus.store import SPLITS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.corpus", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("build/pico"), help="where all stages work"
    )
    parser.add_argument("--sentences", type=int, default=60000, help="sentences to train on")
    parser.add_argument("--jobs", type=int, default=2, help="teachers that speak at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, help="only this one")
    arguments = parser.parse_args()
    sources = {
        "held_out": held_out,
        "validation": validation,
        "train": lambda: collect(arguments.sentences, arguments.seed),
    }
    for split, sentences in sources.items():
        if arguments.split in (None, split):
            count = build(
                arguments.work / "corpus",
                split,
                sentences(),
                seed=arguments.seed,
                jobs=arguments.jobs,
            )
            print(f"{split}: {count} utterances")


if __name__ == "__main__":
    main()
