"""The sentences of a spoken turn, for the one who speaks them while others still write."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from gateway.text.sentence import Sentence


class SentenceQueue:
    """The sentences of a turn: some may still be on their way."""

    def __init__(self, on_starved: Callable[[], None]) -> None:
        """`on_starved` is called when the next sentence comes after it was waited for."""
        self._sentences: deque[Sentence] = deque()
        self._ended = False
        self._wake = asyncio.Event()
        self._on_starved = on_starved

    def add(self, sentences: Iterable[Sentence]) -> None:
        """More to speak."""
        self._sentences.extend(sentences)
        self._wake.set()

    def put_back(self, sentences: Iterable[Sentence]) -> None:
        """To be spoken again, before all others."""
        self._sentences.extendleft(reversed(list(sentences)))

    def end(self, *, at_once: bool = False) -> None:
        """There is no more; `at_once`: not even what is there."""
        if at_once:
            self._sentences.clear()
        self._ended = True
        self._wake.set()

    async def ready(self) -> bool:
        """Waits for a sentence; False: there is none and comes none."""
        while not self._sentences:
            if self._ended:
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    async def next(self) -> Sentence | None:
        """The next sentence, waited for; None after the last."""
        starved = not self._sentences and not self._ended
        if not await self.ready():
            return None
        if starved:
            self._on_starved()
        return self._sentences.popleft()
