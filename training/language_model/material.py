"""What the stage learns from, found in the work directory and laid out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress
from tokenizers import Tokenizer

from services.generator.model.text import TextTokenizer
from training.codec import codes
from training.codec.codes import codes_path
from training.corpus.store import Corpus, part_names
from training.language_model import segments
from training.language_model.segments import SegmentTable
from training.language_model.shape import TEXT_VOCAB_SIZE, TOKEN_IDS


def open_table(work: Path, split: str, tokenizer: Tokenizer) -> SegmentTable:
    """Return the segments of a split, laid out now or, if nothing has changed, before.

    They are kept in `<work>/language_model/<split>.npz`.

    Args:
        work: the voice's work directory, with `corpus/` and `codes/`.
        split: `train` or `validation`.
        tokenizer: the voice's own (`training.tokenizer.build_tokenizer`).

    Raises:
        FileNotFoundError: there is no corpus or there are no codes; the message says what makes
            them.
        ValueError: the tokenizer's vocabulary is too large, or codes, corpus and tokenizer do not
            belong together.
    """
    place = work / "corpus"
    names = part_names(place, split)
    if tokenizer.get_vocab_size() > TEXT_VOCAB_SIZE:
        raise ValueError(
            f"tokenizer: {tokenizer.get_vocab_size()} tokens are not allowed, must be at most "
            f"{TEXT_VOCAB_SIZE}"
        )
    coded = [codes_path(work, name) for name in names]
    key = segments.fingerprint(
        [*filter(Path.exists, coded), *(place / f"{name}.done" for name in names)],
        tokenizer.to_str(),
    )
    kept = work / "language_model" / f"{split}.npz"
    table = segments.read(kept, key)
    if table is not None:
        return table
    table = lay_out_parts(work, split, names, tokenizer)
    segments.write(table, kept, key)
    return table


def lay_out_parts(
    work: Path, split: str, names: Sequence[str], tokenizer: Tokenizer
) -> SegmentTable:
    """Return the segments of some parts of a split.

    Raises:
        FileNotFoundError: a part or its codes are missing.
        ValueError: codes, corpus and tokenizer do not belong together.
    """
    corpus = Corpus.open(work / "corpus", split, names)
    made, offset = codes.read([codes_path(work, name) for name in names])
    encoder = TextTokenizer(tokenizer, TOKEN_IDS)
    with Progress(transient=True) as progress:
        task = progress.add_task(f"laying out {split}", total=len(corpus))
        return segments.lay_out(
            corpus.utterances,
            made,
            offset,
            encoder,
            on_progress=lambda done: progress.update(task, completed=done),
        )
