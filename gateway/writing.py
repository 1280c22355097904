"""A spoken turn whose text is still coming."""

import asyncio
from collections.abc import Awaitable, Callable

from csm import errors
from gateway.speaking.spoken_turn import SpokenTurn
from gateway.text.front_end import FrontEnd
from gateway.text.off_loop import off_loop
from gateway.text.sentence import Sentence
from gateway.voices.named import NamedVoices


class Writing:
    """The turn, and the text of it that is not yet certain."""

    def __init__(
        self,
        turn: SpokenTurn,
        front_end: FrontEnd,
        max_chars: int,
        quiet_ms: int,
        on_sentences: Callable[[], None],
        look_for: Callable[[str], Awaitable[None]],
    ) -> None:
        """`on_sentences` is called when the turn has got something to speak. After `quiet_ms`
        without more text that is also a sentence which lacks only the character that would prove
        its end; 0: never. `look_for` looks for a voice of which nothing is known, by name."""
        self.turn = turn
        self.queued = False
        self._front_end = front_end
        self._max_chars = max_chars
        self._quiet_s = quiet_ms / 1000
        self._on_sentences = on_sentences
        self._named = NamedVoices(look_for)
        self._timer: asyncio.TimerHandle | None = None

    async def feed(self, text: str, voice: str = "") -> None:
        """More text, spoken by that voice; empty: the conversation's. One call at a time. Raises
        `InvalidArgument` where the turn's text gets too long."""
        num_chars = self._front_end.num_chars + len(text)
        if num_chars > self._max_chars:
            raise errors.invalid(
                "text", f"{num_chars} characters in one turn; allowed are 1..{self._max_chars}"
            )
        self.turn.meter.record.say(text)
        # First, or the quiet would flush what another thread works on.
        self.close()
        await self._named.look(text, voice)
        with self.turn.meter.preparing_text():
            sentences = await off_loop(len(text), lambda: self._front_end.feed(text, voice))
        self._take(sentences)
        if self._quiet_s and self._front_end.complete:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._quiet_s, self.flush)

    def flush(self) -> None:
        """Speaks what is there, without waiting for more of its sentence."""
        self.close()
        self._take(self._front_end.flush())

    def finish(self) -> None:
        """The text is complete."""
        self.close()
        self._take(self._front_end.finish())
        self.turn.end_text(self._front_end.trailing_pause_ms)

    def close(self) -> None:
        """Waits for no quiet any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, sentences: list[Sentence]) -> None:
        self.turn.text_chars = self._front_end.num_chars
        self.turn.warn(self._front_end.warnings())
        if sentences:
            self.turn.add(sentences)
            self._on_sentences()
