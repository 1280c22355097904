"""The turns of `csm chat`: lines that are typed, answers that are spoken, and interrupting them."""

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TextIO

import typer

from csm.audio.wav import WavStream
from csm.cli.loudspeaker import Loudspeaker
from csm.cli.reporting import console, warn
from csm.client import (
    AsyncConversation,
    AudioChunk,
    Event,
    FinishReason,
    TurnCompleted,
    TurnTruncated,
)
from csm.language_model import LanguageModelError, whole_characters

PROMPT = "> "
MAX_LINE_CHARS = 4000
_LAST_PART_S = 2.0
"""So long an interrupted answer has to end by itself."""
Answers = Callable[[str], Iterator[str]]
"""What is said to a line, in parts as they come."""


class Lines:
    """The lines of a terminal or a file as they are typed, until it ends or `stopped` is set."""

    def __init__(self, source: TextIO, stopped: asyncio.Event) -> None:
        self._source, self._stopped = source, stopped
        self._wanted = threading.Semaphore(0)

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[str] = asyncio.Queue(1)
        # Not an executor's: nothing ends a thread that waits for somebody to type.
        threading.Thread(target=self._read, args=(loop, lines), daemon=True).start()
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            while True:
                if self._source.isatty():
                    print(PROMPT, end="", file=sys.stderr, flush=True)
                self._wanted.release()
                line = asyncio.create_task(lines.get())
                await asyncio.wait({line, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not line.done() or not line.result():
                    line.cancel()
                    return
                # What is no character in the terminal's encoding is read as a surrogate, which
                # nothing can send.
                text = "".join(whole_characters([line.result()])).strip()
                if text:
                    yield text
        finally:
            stopped.cancel()

    def _read(self, loop: asyncio.AbstractEventLoop, lines: "asyncio.Queue[str]") -> None:
        line = "first"
        while line:
            # A line is read when it is wanted, so that a pipe is not read ahead of the talk.
            self._wanted.acquire()
            try:
                line = self._source.readline(MAX_LINE_CHARS)
            except ValueError:  # no UTF-8, or closed
                line = ""
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(lines.put_nowait, line)


class Talk:
    """A conversation whose other side types."""

    def __init__(
        self,
        conversation: AsyncConversation,
        loudspeaker: Loudspeaker | None,
        file: WavStream | None,
        answers: Answers | None,
        max_text_chars: int = MAX_LINE_CHARS,
    ) -> None:
        """`max_text_chars` of the server: a turn takes no more, and a call that says more ends."""
        self._conversation = conversation
        self._max_text_chars = max_text_chars
        self._loudspeaker, self._file = loudspeaker, file
        self._answers = answers
        self._interrupted = asyncio.Event()
        self._speaking = False
        self._begun = False
        """Whether anything of this turn was given to the server to speak."""
        self._heard_s = 0.0
        self._failure = ""
        self.num_spoken = self.num_failed = 0
        """Turns."""
        self.stopped = asyncio.Event()
        """Set when somebody interrupts while nobody speaks."""

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """In the body Ctrl-C interrupts the turn, or ends the talk where none is spoken."""
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGINT, self.interrupt)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        (self._interrupted if self._speaking else self.stopped).set()

    async def turn(self, line: str) -> None:
        """Speaks the line, or the answer to it; returns when the turn is over. What fails is said,
        and the talk goes on; an error of the call is raised."""
        if len(line) > self._max_text_chars:
            self.num_failed += 1
            warn(f"{len(line)} characters in one line; allowed are {self._max_text_chars}")
            return
        self._interrupted.clear()
        self._failure = ""
        self._begun = False
        self._speaking = True
        saying = asyncio.create_task(self._say(line))
        try:
            completed = await self._hear(saying)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(saying, None if completed else _LAST_PART_S)
        finally:
            self._speaking = False
            saying.cancel()
        if completed is not None:
            self._tell(completed)
        if self._failure:
            self.num_failed += 1
            warn(self._failure)

    async def _say(self, line: str) -> None:
        if self._answers is None:
            self._begun = True
            await self._conversation.say(line)
            await self._conversation.end_turn()
            return
        # A turn of its own, so that the first sentence of the answer knows it.
        await self._conversation.end_turn(heard_text=line)
        parts = self._answers(line)
        room = self._max_text_chars
        try:
            # The standard library's HTTP blocks.
            while part := await asyncio.to_thread(next, parts, ""):
                if self._interrupted.is_set():
                    break
                taken = part[:room]
                room -= len(taken)
                typer.echo(taken, nl=False)
                self._begun = self._begun or bool(taken.strip())
                await self._conversation.say(taken)
                if taken != part:
                    warn(f"the answer is cut at {self._max_text_chars} characters")
                    break
            if not self._begun and not self._interrupted.is_set():
                self._failure = "the model answered nothing"
        except LanguageModelError as error:
            self._failure = str(error)
        finally:
            typer.echo()
        if self._begun:
            await self._conversation.end_turn()
        else:
            self._interrupted.set()

    async def _hear(self, saying: asyncio.Task[None]) -> TurnCompleted | None:
        """Plays and keeps what comes, until the turn is over; None: there was none to end.

        Raises what ends the call, and whatever makes `saying` fail.
        """
        cancelled = False
        self._heard_s = 0.0
        interrupted = asyncio.create_task(self._interrupted.wait())
        event = None
        try:
            while True:
                event = asyncio.create_task(anext(self._conversation))
                if not cancelled:
                    await _first_of(event, interrupted, saying)
                if self._interrupted.is_set() and not cancelled:
                    if not self._begun:
                        # A cancel would be of the turn before, and take its words back.
                        return None
                    cancelled = True
                    await self._cancel()
                match await event:
                    case AudioChunk() as chunk if not cancelled:
                        await self._take(chunk)
                    case TurnCompleted() as completed if not completed.heard:
                        if cancelled and completed.finish_reason is not FinishReason.CANCELLED:
                            # It was over before; what the cancel came to is still told.
                            continue
                        return completed
                    case TurnTruncated() if cancelled:
                        return None
        finally:
            interrupted.cancel()
            if event is not None:
                # Nothing is lost: the next to ask gets the event.
                event.cancel()

    async def _cancel(self) -> None:
        unheard_s = 0.0
        if self._loudspeaker is not None:
            unheard_s = self._loudspeaker.latency_s
            self._loudspeaker.hush()
        heard_ms = round(max(0.0, self._heard_s - unheard_s) * 1000)
        await self._conversation.cancel(heard_ms=heard_ms)

    async def _take(self, chunk: AudioChunk) -> None:
        if self._file is not None:
            self._file.write(chunk.pcm)
        if self._loudspeaker is not None:
            await self._loudspeaker.play_async(chunk.samples, chunk.sample_rate_hz)
        self._heard_s += chunk.duration_s

    def _tell(self, completed: TurnCompleted) -> None:
        self.num_spoken += 1
        for one in completed.warnings:
            warn(f"{one.field}: {one.description}")
        if completed.error is not None:
            self._failure = str(completed.error)
        how = " (interrupted)" if completed.finish_reason is FinishReason.CANCELLED else ""
        console().print(f"  {completed.kept_audio_ms / 1000:.2f} s{how}", style="dim")


async def _first_of(
    event: asyncio.Task[Event], interrupted: asyncio.Task[bool], saying: asyncio.Task[None]
) -> None:
    """Waits for an event or an interruption; raises what makes `saying` fail, since then no turn
    may ever come."""
    while not (event.done() or interrupted.done()):
        under_way = set[asyncio.Task[Any]]() if saying.done() else {saying}
        await asyncio.wait({event, interrupted} | under_way, return_when=asyncio.FIRST_COMPLETED)
        if saying.done():
            saying.result()
