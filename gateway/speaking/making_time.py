"""How long the generator takes to make a turn's frames, apart from what it waits for."""


class _Steps:
    """Steps of one kind: how many, and the seconds of those that could be timed."""

    def __init__(self) -> None:
        self._count = self.timed = 0
        self._timed_s = 0.0

    def add(self, seconds: float | None) -> None:
        """None: the step was not timed, and takes as long as the mean of the others."""
        self._count += 1
        if seconds is not None:
            self.timed += 1
            self._timed_s += seconds

    @property
    def seconds(self) -> float:
        """Of all; 0 where none was timed."""
        return self._timed_s * self._count / self.timed if self.timed else 0.0


class MakingTime:
    """Seconds that the generator takes for a turn: first frames, further frames, ends.

    A generator whose credit is used up waits for the client. When credit comes it needs a moment to
    go on, and the credit a moment to reach it: a step behind a pause says more about the pacing
    than about the making, so it is not timed. The same generator shows the same figure whatever a
    client's lead. All times are of one clock.
    """

    def __init__(self) -> None:
        self._speaking = self._first = False
        self._out_of_credit = False
        self._since: float | None = None
        """Since when it has all that its next step needs; None: it waits, or has just resumed."""
        self.made_again()

    @property
    def seconds(self) -> float | None:
        """Of all steps; None where none could be timed."""
        if not self._firsts.timed + self._frames.timed:
            return None
        return self._firsts.seconds + self._frames.seconds + self._ends.seconds

    def made_again(self) -> None:
        """What was made so far was thrown away."""
        self._firsts, self._frames, self._ends = _Steps(), _Steps(), _Steps()

    def submitted(self) -> None:
        """A new call, with credit of its own."""
        self._speaking = self._out_of_credit = False
        self._since = None

    def sentence_began(self, now: float) -> None:
        """The generator was given a sentence."""
        self._speaking = self._first = True
        # The credit may be used up since the sentence before.
        self._since = None if self._out_of_credit else now

    def frame(self, now: float) -> None:
        """A frame came."""
        (self._firsts if self._first else self._frames).add(self._elapsed(now))
        self._first = False
        self._since = now if self._speaking and not self._out_of_credit else None

    def sentence_ended(self, now: float) -> None:
        """The generator is done with it; finding that out is a step without a frame."""
        self._ends.add(self._elapsed(now))
        self._speaking, self._since = False, None

    def credit_used_up(self) -> None:
        """The generator pauses for the client."""
        self._out_of_credit, self._since = True, None

    def credit_given(self) -> None:
        """The generator goes on."""
        self._out_of_credit = False

    def _elapsed(self, now: float) -> float | None:
        return None if self._since is None else now - self._since
