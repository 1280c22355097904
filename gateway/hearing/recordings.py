"""Whether a recording and the words that are said to be in it go together."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from gateway.hearing.recognition.process import JudgingProcess, available
from gateway.hearing.words import misfit

CheckRecordings = Literal["off", "length", "words"]

LEAST_WORDS = 4
"""Fewer say too little to tell."""
MAX_BYTES = 8 << 20
"""Of a file that is judged: half a minute of most."""
OTHER_WORDS = "other words are heard in it than those that are given with it"


class RecordingCheck:
    """What is asked of recordings, for all calls of a gateway.

    `off`: nothing. `length`: whether the words fit its length. `words`: also whether it says them,
    where a recogniser is installed and the language is English.
    """

    def __init__(self, check: CheckRecordings) -> None:
        self._check = check
        self._judging = JudgingProcess() if check == "words" and available() else None
        self._beside: set[asyncio.Task[None]] = set()
        self._one = asyncio.Lock()

    def length_problem(self, text: str, seconds: float) -> str | None:
        """What is odd about a recording of so many seconds with these words, by its length."""
        return None if self._check == "off" else misfit(text, seconds)

    async def words_problem(self, audio: bytes, text: str, language: str = "en") -> str | None:
        """What is odd about the words of an audio file, by ear; takes seconds, and never raises.

        `language` is a BCP 47 tag.
        """
        few = len(text.split()) < LEAST_WORDS
        if self._judging is None or few or len(audio) > MAX_BYTES or not _is_english(language):
            return None
        return OTHER_WORDS if await self._judging.wrong(audio, text) else None

    def tell_of_words(
        self, audio: bytes, text: str, tell: Callable[[str], None], language: str = "en"
    ) -> None:
        """As `words_problem`, beside everything else: `tell` is called with what is odd."""

        async def check() -> None:
            # One after another: of a folder of voices none is left out because others wait.
            async with self._one:
                problem = await self.words_problem(audio, text, language)
            if problem is not None:
                tell(problem)

        self._begin(check())

    async def close(self) -> None:
        """Ends what is under way."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if self._judging is not None:
            await self._judging.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        if self._judging is None:
            work.close()
            return
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


def _is_english(language: str) -> bool:
    return language.replace("_", "-").partition("-")[0].lower() in ("en", "")
