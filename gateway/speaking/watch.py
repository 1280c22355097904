"""Backends that owe an answer and give none, though they hold their connections."""

import asyncio
import time
from collections.abc import Callable

from gateway.backends.backends import LOAD_TIMEOUT_S, Backends, GeneratorState
from gateway.backends.calls import Decoding
from gateway.backends.failure import BackendFailure
from gateway.backends.hedge import HedgedDecoding
from gateway.backends.requests import Call
from gateway.settings import GatewaySettings
from gateway.speaking.fate import Source

WATCH_INTERVAL_S = 0.25
SILENCE_S = 0.8
"""After which a generator that owes an answer is asked whether it still goes round."""
FLOW_SILENCE_S = 2.0
"""That a tokenizer may pause between two sounds, and a generator between two frames of a turn that
has a slot and credit, whatever is answered for it: a connection that was lost and found again may
lead the question to another one."""


LATE_S = 0.25
"""Beyond its timeout, after which a question says more of this process than of who was asked."""


class Owed:
    """Since when something is owed, if it is."""

    def __init__(self) -> None:
        self._since: float | None = None
        self.flowing = False
        """It comes one after the other, and the last one came."""

    def begin(self, *, flowing: bool = False) -> None:
        """It is owed from now on, whatever was owed before."""
        self._since, self.flowing = time.monotonic(), flowing

    def end(self) -> None:
        """Nothing is owed."""
        self._since = None

    def not_counting(self, seconds: float) -> None:
        """So much of the time so far does not count."""
        if self._since is not None and seconds > 0:
            self._since = min(self._since + seconds, time.monotonic())

    @property
    def for_s(self) -> float:
        """Seconds; 0 where nothing is owed."""
        return 0.0 if self._since is None else time.monotonic() - self._since


class Watch:
    """Ends a call that a silent backend holds, as failed; who reads it hears of that.

    Time that this process stands still itself counts against nobody: what came meanwhile has not
    been read yet. All its turns would be moved at once otherwise, and each costs the others more.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        generator: Callable[[], Call],
        generator_owed: Owed,
        decoder: Callable[[], Decoding | HedgedDecoding],
        decoder_owed: Owed,
    ) -> None:
        """The two functions give the call under way."""
        self._settings = settings
        self._generator, self._generator_owed = generator, generator_owed
        self._decoder, self._decoder_owed = decoder, decoder_owed

    async def run(self, backends: Backends, where: Callable[[], tuple[str, int]]) -> None:
        """Watches for ever; `where` is the generator's key and route."""
        settings, owed = self._settings, self._generator_owed
        asked_s = 0.0
        while True:
            slept_s = time.monotonic()
            await asyncio.sleep(WATCH_INTERVAL_S)
            late_s = time.monotonic() - slept_s - WATCH_INTERVAL_S
            for one in (self._decoder_owed, owed):
                one.not_counting(late_s)
            waited_s, limit_s = self._decoder_owed.for_s, settings.decode_timeout_s
            if self._decoder_owed.flowing:
                limit_s = min(FLOW_SILENCE_S, limit_s)
            if waited_s > limit_s:
                self._decoder().fail(BackendFailure.silent(Source.TOKENIZER, waited_s, "audio"))
                self._decoder_owed.end()
            now = time.monotonic()
            if owed.for_s < min(SILENCE_S, settings.frame_timeout_s) or now - asked_s < SILENCE_S:
                continue
            call = self._generator()
            state = await backends.generator_state(*where())
            took_s, asked_s = time.monotonic() - now, time.monotonic()
            if took_s > LOAD_TIMEOUT_S + LATE_S:
                owed.not_counting(took_s - LOAD_TIMEOUT_S)
                continue
            waited_s = owed.for_s
            limit_s = settings.frame_timeout_s
            if state is GeneratorState.FULL:
                limit_s = settings.slot_timeout_s
            if owed.flowing:
                limit_s = min(FLOW_SILENCE_S, settings.frame_timeout_s)
            silent = state is GeneratorState.HANGS or waited_s > limit_s
            if waited_s and silent and call is self._generator():
                call.fail(BackendFailure.silent(Source.GENERATOR, waited_s, "frame"))
                owed.end()
