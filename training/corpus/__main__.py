"""Collect sentences and have the teachers speak them."""

from __future__ import annotations

from collections.abc import Callable

from training.arguments import parser
from training.corpus.build import Part, build, plan
from training.corpus.further import FURTHER, plan_further
from training.corpus.sentences.collection import collect
from training.corpus.sentences.exclusion import held_out, validation
from training.corpus.store import SPEAKERS, SPLITS

_SENTENCES = 62000
"""As many as pico is trained on, with all of what is further; of fewer, so is less of that."""


def main() -> None:
    options = parser("corpus", __doc__)
    options.add_argument("--sentences", type=int, default=_SENTENCES, help="sentences to train on")
    options.add_argument("--jobs", type=int, default=2, help="teachers that speak at once")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--split", choices=[*SPLITS, FURTHER], help="only this one")
    options.add_argument(
        "--speaker", choices=SPEAKERS, action="append", help="only this one; may be repeated"
    )
    arguments = options.parse_args()
    for name in ("sentences", "jobs"):
        if (value := getattr(arguments, name)) < 1:
            options.error(f"--{name}: {value} is not allowed, must be >= 1")
    seed = arguments.seed
    sources: dict[str, Callable[[], list[Part]]] = {
        "held_out": lambda: plan("held_out", list(held_out()), seed),
        "validation": lambda: plan("validation", list(validation()), seed),
        "train": lambda: plan("train", collect(arguments.sentences, seed), seed),
        FURTHER: lambda: plan_further(seed, min(1.0, arguments.sentences / _SENTENCES)),
    }
    # What is further belongs to the training split, and is last: the other parts stand without it.
    chosen = {None: list(sources), "train": ["train", FURTHER]}
    for title in chosen.get(arguments.split, [arguments.split]):
        count = build(
            arguments.work / "corpus",
            sources[title](),
            jobs=arguments.jobs,
            teachers=arguments.work / "teachers",
            title=title,
            speakers=arguments.speaker or SPEAKERS,
        )
        print(f"{title}: {count} utterances")


if __name__ == "__main__":
    main()
