"""Are texts heard as they are meant? `python -m benchmarks.text_heard`.

The hardest rows of a table of texts (most words that are not written as they are spoken) are spoken
by pico as people write them, and as their spoken form typed out by hand. A recogniser writes down
both; word errors are counted against the spoken form. The text as written must be heard no worse.
Needs pocketsphinx.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from csm.client import AsyncClient
from services.all_in_one import AllInOne
from training.evaluate.recogniser import Recogniser
from training.evaluate.words import count_errors, difference, total, words_of

TABLE = Path("tests/gateway/text/data/text.tsv")
RATE_HZ = 24_000


def hardest(table: Path, count: int) -> list[tuple[str, str]]:
    """Text and spoken form of the rows with the largest share of words that the text has not."""
    rows = []
    for line in table.read_text(encoding="utf-8").splitlines():
        text, tab, forms = line.partition("\t")
        form = forms.split("||")[0].strip()
        if not tab or not form or line.startswith("# text as written"):
            continue
        written = set(text.lower().split())
        said = form.split()
        rows.append((sum(word not in written for word in said) / len(said), len(said), text, form))
    rows.sort(key=lambda row: (-row[0], -row[1]))
    return [(text.replace("\\n", "\n"), form) for _, _, text, form in rows[:count]]


async def speak(texts: Sequence[str], seeds: int) -> list[np.ndarray]:
    """Each text by pico, once with each of the seeds from 1: mono float32 [samples] at 24 kHz."""
    spoken = []
    async with AllInOne(slots=1) as running, AsyncClient(running.address) as client:
        lines = [(text, seed) for seed in range(1, seeds + 1) for text in texts]
        for text, seed in track(lines, "speaking", console=Console(stderr=True)):
            chunks = [c.samples async for c in client.synthesize(text, seed=seed)]
            spoken.append(np.concatenate(chunks) if chunks else np.zeros(0, np.float32))
    return spoken


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the two word error rates; 1 where the text as written is heard worse."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=4, help="each text is spoken so many times")
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args(arguments)
    rows = hardest(given.table, given.rows)
    texts = [text for text, _ in rows]
    # As a person would type it: a sentence, with its capital and its full stop.
    typed = [form[0].upper() + form[1:] + "." for _, form in rows]
    recogniser = Recogniser(jobs=2)
    wanted = [words_of(form) for _, form in rows] * given.seeds
    ours, theirs = (
        [
            count_errors(words, words_of(heard))
            for words, heard in zip(
                wanted,
                recogniser.transcribe(asyncio.run(speak(said, given.seeds)), RATE_HZ),
                strict=True,
            )
        ]
        for said in (texts, typed)
    )
    apart = difference(ours, theirs)
    figures = {
        "rows": len(rows),
        "words": total(ours).words,
        "word_errors_as_written": round(total(ours).rate, 4),
        "word_errors_typed_by_hand": round(total(theirs).rate, 4),
        "difference": round(apart.value, 4),
        "difference_95_percent": [round(apart.low, 4), round(apart.high, 4)],
        "seeds": given.seeds,
    }
    print(json.dumps(figures, indent=2))
    edits = [
        (sum(o.edits for o in ours[i :: len(rows)]), sum(t.edits for t in theirs[i :: len(rows)]))
        for i in range(len(rows))
    ]
    console = Console(stderr=True, highlight=False, markup=False)
    for i in sorted(range(len(rows)), key=lambda i: edits[i][1] - edits[i][0])[:8]:
        if edits[i][0] > edits[i][1]:
            console.print(f"{texts[i]!r}: {edits[i][0]} edits, typed {edits[i][1]}")
    return int(apart.low > 0)


if __name__ == "__main__":
    raise SystemExit(main())
