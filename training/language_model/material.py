"""What the stage learns from, found in the work directory and laid out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.progress import Progress
from tokenizers import Tokenizer

from services.generator.model.text import TextTokenizer
from training.codec.encode import codes_path
from training.corpus.store import Corpus
from training.language_model import segments
from training.language_model.segments import SegmentTable
from training.language_model.shape import TEXT_VOCAB_SIZE, TOKEN_IDS


def open_table(work: Path, split: str, tokenizer: Tokenizer) -> SegmentTable:
    """Return the segments of a split, laid out now or, if nothing has changed, before.

    They are kept in `<work>/language_model/<split>.npz`.

    Args:
        work: the voice's work directory, with `corpus/` and `codes/`.
        split: `train` or `validation`.
        tokenizer: the voice's own (`training.text.normalizer.build_tokenizer`).

    Raises:
        FileNotFoundError: there is no corpus or there are no codes; the message says what makes
            them.
        ValueError: the tokenizer's vocabulary is too large, or codes, corpus and tokenizer do not
            belong together.
    """
    codes = codes_path(work, split)
    if not codes.is_file():
        raise FileNotFoundError(f"{codes}: no such file; the codec's stage makes it")
    if tokenizer.get_vocab_size() > TEXT_VOCAB_SIZE:
        raise ValueError(
            f"tokenizer: {tokenizer.get_vocab_size()} tokens are not allowed, must be at most "
            f"{TEXT_VOCAB_SIZE}"
        )
    key = segments.fingerprint(
        [codes, *sorted((work / "corpus").glob(f"{split}-*.done"))], tokenizer.to_str()
    )
    kept = work / "language_model" / f"{split}.npz"
    table = segments.read(kept, key)
    if table is not None:
        return table
    corpus = Corpus.open(work / "corpus", split)
    with np.load(codes) as arrays:
        made, offset = arrays["codes"], arrays["offset"]
    encoder = TextTokenizer(tokenizer, TOKEN_IDS)
    with Progress() as progress:
        task = progress.add_task(f"laying out {split}", total=len(corpus))
        table = segments.lay_out(
            corpus.utterances,
            made,
            offset,
            encoder,
            on_progress=lambda done: progress.update(task, completed=done),
        )
    segments.write(table, kept, key)
    return table
