"""How many positions texts take in the prompt of a turn, for callers that cut their text to fit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from csm.errors import InvalidArgument
from services.generator.context import check_text
from services.generator.model.text import TextTokenizer
from services.generator.off_loop import INLINE_CHARS, off_loop

PART_CHARS = 8192
"""Texts are measured in parts of about so many characters: a caller that is gone costs one more
part, and turns that begin meanwhile wait for one at the most."""
TEXT_CHARS = 64
"""What a text costs however short it is, in characters."""


class PositionCounter:
    """Measures texts for all callers. One part at a time, so that of the threads for long texts
    (`off_loop`) one is always left to the turns."""

    def __init__(self) -> None:
        self._one = asyncio.Semaphore(1)

    async def count(
        self, tokenizer: TextTokenizer, speaker: int, texts: Sequence[str]
    ) -> list[int]:
        """Return the positions of each text as a turn of `speaker`, without audio: template and
        tokens. 0 where nothing of it can be said."""
        if _cost(texts) <= INLINE_CHARS:
            return _positions(tokenizer, speaker, texts)
        counts: list[int] = []
        for part in _parts(texts):
            async with self._one:
                counts += await off_loop(partial(_positions, tokenizer, speaker, part))
        return counts


def _positions(tokenizer: TextTokenizer, speaker: int, texts: Sequence[str]) -> list[int]:
    return [_positions_of(tokenizer, speaker, text) for text in texts]


def _positions_of(tokenizer: TextTokenizer, speaker: int, text: str) -> int:
    try:
        check_text(text, tokenizer, len(text))
    except InvalidArgument:
        return 0
    return len(tokenizer.encode(speaker, text))


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
