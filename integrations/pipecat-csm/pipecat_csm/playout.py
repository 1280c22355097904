"""How much of the audio that went downstream has been played, as far as this side can tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_CONTEXTS = 64
"""More are not remembered; the oldest are long over."""
MAX_START_DELAY_S = 2.0
"""A bot that is said to begin to speak later than this does not begin with this audio."""


@dataclass
class _Played:
    context_id: str
    starts_at_s: float
    audio_ms: float = 0.0
    interruptible: bool = True
    follows: bool = False
    """Whether it begins as another one ends, or its beginning was told by the transport."""

    @property
    def ends_at_s(self) -> float:
        return self.starts_at_s + self.audio_ms / 1000


class Playout:
    """A clock for each context: audio is played in real time, in the order in which it was pushed,
    from when the transport says that the bot speaks."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._contexts: dict[str, _Played] = {}
        self._ends_at_s = 0.0

    def pushed(self, context_id: str, audio_ms: float, *, interruptible: bool = True) -> None:
        """Audio of a context went downstream."""
        now_s = self._now_s()
        played = self._contexts.get(context_id)
        if played is None:
            follows = self._ends_at_s > now_s
            played = _Played(context_id, max(now_s, self._ends_at_s), follows=follows)
            self._contexts[context_id] = played
            while len(self._contexts) > MAX_CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
        elif now_s > played.ends_at_s:
            # It had run dry: what is played from now on is later by the gap.
            played.starts_at_s += now_s - played.ends_at_s
        played.audio_ms += audio_ms
        played.interruptible = interruptible
        self._ends_at_s = played.ends_at_s

    def bot_started(self) -> None:
        """The transport has begun to play."""
        now_s = self._now_s()
        contexts = self._contexts.values()
        first = next((p for p in contexts if not p.follows and p.ends_at_s > now_s), None)
        if first is None or now_s - first.starts_at_s > MAX_START_DELAY_S:
            return
        began_at_s = first.starts_at_s
        first.follows = True
        for played in contexts:
            if played.starts_at_s >= began_at_s:
                played.starts_at_s += now_s - began_at_s
        self._ends_at_s += now_s - began_at_s

    def heard_ms(self, context_id: str) -> int:
        """Milliseconds of a context that have been played; 0 for one that is not known."""
        played = self._contexts.get(context_id)
        if played is None:
            return 0
        elapsed_ms = (self._now_s() - played.starts_at_s) * 1000
        return round(min(max(elapsed_ms, 0.0), played.audio_ms))

    def interrupted(self) -> dict[str, int]:
        """Contexts of which something is still to be played, with what of them was heard, in
        milliseconds. They are forgotten: the transport drops the rest."""
        now_s = self._now_s()
        cut = {
            p.context_id: self.heard_ms(p.context_id)
            for p in self._contexts.values()
            if p.interruptible and p.ends_at_s > now_s
        }
        for context_id in cut:
            del self._contexts[context_id]
        self._ends_at_s = max((p.ends_at_s for p in self._contexts.values()), default=0.0)
        return cut
