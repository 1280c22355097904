"""`python -m training.corpus.sentences --count 92000 --seed 0 --out FILE`: writes the corpus text.

One sentence a line, behind its source and a tab; a table of the sources is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.corpus.sentences.collection import collect_sentences
from training.corpus.sentences.sentence import Sentence, words


def table(sentences: list[Sentence]) -> Table:
    """Return sentences and words by source."""
    counts: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    vocabulary: set[str] = set()
    for sentence in sentences:
        sequence = words(sentence.text)
        counts[sentence.source] += 1
        lengths[sentence.source] += len(sequence)
        vocabulary.update(sequence)
    total = lengths.total()
    result = Table("source", "sentences", "words", "mean words", title="Sentences")
    for source, number in counts.most_common():
        mean = lengths[source] / number
        result.add_row(source, f"{number:,}", f"{lengths[source]:,}", f"{mean:.1f}")
    result.add_section()
    result.add_row("all", f"{len(sentences):,}", f"{total:,}", f"{total / len(sentences):.1f}")
    result.caption = f"{len(vocabulary):,} different words"
    return result


def main(arguments: list[str] | None = None) -> int:
    """Collect, write, print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.corpus.sentences")
    parser.add_argument("--count", type=int, default=92000, help="how many sentences")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a .tsv: source, tab, sentence")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        with console.status("collecting sentences"):
            sentences = collect_sentences(options.count, options.seed)
    except ValueError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{sentence.source}\t{sentence.text}\n" for sentence in sentences)
    options.out.write_text("".join(lines), encoding="utf-8")
    console.print(table(sentences))
    console.print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
