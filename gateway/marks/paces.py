"""How fast each speaker speaks: what was heard of one turn serves the next."""

from collections import OrderedDict

MAX_SPEAKERS = 1024
"""The ones that have not spoken for longest are forgotten."""
_PRIOR_MS = 1_500.0
"""What is known of one who has said nothing yet counts like so much speech."""
_MEMORY_MS = 60_000.0
"""Older speech counts ever less."""
MIN_PACE, MAX_PACE = 0.4, 2.5
"""Of what is expected; faster or slower nobody speaks."""


class Paces:
    """By speaker number, how long what is expected to take 1 takes."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[float, float]] = OrderedDict()
        """Milliseconds that were spoken, and that were expected."""

    def __len__(self) -> int:
        return len(self._known)

    def of(self, speaker: int) -> float:
        """The pace of a speaker; 1 of one who is not known."""
        spoken_ms, expected_ms = self._known.get(speaker, (0.0, 0.0))
        pace = (spoken_ms + _PRIOR_MS) / (expected_ms + _PRIOR_MS)
        return min(max(pace, MIN_PACE), MAX_PACE)

    def learn(self, speaker: int, spoken_ms: float, expected_ms: float) -> None:
        """Speech of so many milliseconds was expected to take so many."""
        before = self._known.pop(speaker, (0.0, 0.0))
        fade = min(1.0, _MEMORY_MS / (before[1] + expected_ms + 1.0))
        self._known[speaker] = (
            (before[0] + spoken_ms) * fade,
            (before[1] + expected_ms) * fade,
        )
        if len(self._known) > MAX_SPEAKERS:
            self._known.popitem(last=False)


OF_ALL_TURNS = Paces()
"""Of this process: a voice is the same in every call."""
