"""How many positions texts take in the prompt of a turn, for callers that cut their text to fit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from csm.errors import InvalidArgument
from services.generator.context import check_text
from services.generator.model.text import TextTokenizer
from services.generator.off_loop import INLINE_CHARS

PART_CHARS = 8192
"""Texts are measured in parts of about so many characters: callers take turns with them, and one
that is gone costs no more than the part that has begun."""
TEXT_CHARS = 64
"""What a text costs however short it is, in characters."""

# One thread, and its own: however much is to be measured, the turns' texts (`off_loop`) are not
# held up by it.
_thread = ThreadPoolExecutor(1, thread_name_prefix="csm-generator-positions")


async def count_positions(
    tokenizer: TextTokenizer, speaker: int, texts: Sequence[str], most: int
) -> list[int]:
    """Return the positions of each text as a turn of `speaker`, without audio: template and tokens.

    0 where nothing of it can be said; `most` + 1 where it is more than `most`, of which only a part
    is looked at.
    """
    if _cost(texts) <= INLINE_CHARS:
        return _positions(tokenizer, speaker, texts, most)
    loop, counts = asyncio.get_running_loop(), list[int]()
    for part in _parts(texts):
        measure = partial(_positions, tokenizer, speaker, part, most)
        counts += await loop.run_in_executor(_thread, measure)
    return counts


def _positions(
    tokenizer: TextTokenizer, speaker: int, texts: Sequence[str], most: int
) -> list[int]:
    return [_positions_of(tokenizer, speaker, text, most) for text in texts]


def _positions_of(tokenizer: TextTokenizer, speaker: int, text: str, most: int) -> int:
    try:
        check_text(text, tokenizer, len(text))
    except InvalidArgument:
        return 0
    ids = tokenizer.encode_within(speaker, text, most)
    return most + 1 if ids is None else len(ids)


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for text in texts:
        if part and _cost(part) + len(text) > PART_CHARS:
            yield part
            part = []
        part.append(text)
    if part:
        yield part


def _cost(texts: Sequence[str]) -> int:
    return sum(map(len, texts)) + TEXT_CHARS * len(texts)
