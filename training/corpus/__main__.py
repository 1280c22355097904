"""Collect sentences and have the teachers speak them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from training.arguments import parser
from training.corpus.build import build
from training.corpus.sentences.collection import collect
from training.corpus.sentences.exclusion import held_out, validation
from training.corpus.store import SPEAKERS, SPLITS


def main() -> None:
    options = parser("corpus", __doc__)
    options.add_argument("--sentences", type=int, default=62000, help="sentences to train on")
    options.add_argument("--jobs", type=int, default=2, help="teachers that speak at once")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--split", choices=SPLITS, help="only this one")
    options.add_argument(
        "--speaker", choices=SPEAKERS, action="append", help="only this one; may be repeated"
    )
    arguments = options.parse_args()
    sources: dict[str, Callable[[], Sequence[str]]] = {
        "held_out": held_out,
        "validation": validation,
        "train": lambda: collect(arguments.sentences, arguments.seed),
    }
    for split, sentences in sources.items():
        if arguments.split in (None, split):
            count = build(
                arguments.work / "corpus",
                split,
                list(sentences()),
                seed=arguments.seed,
                jobs=arguments.jobs,
                teachers=arguments.work / "teachers",
                speakers=arguments.speaker or SPEAKERS,
            )
            print(f"{split}: {count} utterances")


if __name__ == "__main__":
    main()
