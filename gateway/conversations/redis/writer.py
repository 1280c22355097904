"""One conversation's way into Redis: what changed is written behind, under a lease.

What is missing is the difference between the conversation in memory and what the store is known to
have. So a store that was away gets all of it at once, in order, and no queue grows meanwhile.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable

from csm import errors
from gateway.conversations.conversation import StoredConversation
from gateway.conversations.redis.commands import (
    Differs,
    HeadGone,
    LeaseLost,
    OpenedHead,
    RedisCommands,
    StoreFailure,
)
from gateway.conversations.redis.records import RecordKey
from gateway.conversations.redis.splice import Splice, SpokenRecords, splice
from gateway.conversations.turn import Turn

log = logging.getLogger(__name__)

SPOKEN_S = 0.8
"""Between two writes of a turn that is being spoken."""
MAX_WAIT_S = 1.0
"""That the end of a turn waits for the store."""
PROBE_S = 0.1
"""That it waits for a store that has just failed."""


class ConversationWriter:
    """A `WriteBehind` over Redis."""

    def __init__(
        self, conversation: StoredConversation, commands: RedisCommands, codec: Callable[[], str]
    ) -> None:
        self.conversation = conversation
        self.lost = ""
        """Why it will never write again; empty: it may."""
        self._commands = commands
        self._codec = codec
        self._fence = ""
        """Of its lease; empty: it must open the conversation first."""
        self._known = False
        """It had a lease once."""
        self._nonce = ""
        """Of an attempt to open it that was not answered, or is not over."""
        self._revision = ""
        self._num_writes = 0
        self._stored: list[RecordKey] = []
        self._pending: tuple[str, list[RecordKey]] | None = None
        """What the store has if the write whose answer was lost was done after all."""
        self._spoken = SpokenRecords()
        self._problem = ""
        self._away = False
        """The store did not answer the last time."""
        self._renewed_at = 0.0
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self._closing = False

    # --- WriteBehind ---

    def changed(self) -> None:
        """See `WriteBehind`."""
        self._wake.set()

    async def unsaved(self) -> str:
        """See `WriteBehind`."""
        limit_s = PROBE_S if self._problem else min(MAX_WAIT_S, self._commands.timeout_s)
        # A task of its own: the client of Redis may swallow a cancel, and the call would go on.
        task = asyncio.create_task(self.write())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            self._problem = self._problem or "the store of conversations does not answer in time"
        return self.lost or self._problem

    # --- the call's beginning and end ---

    async def open(self) -> None:
        """Takes the lease, and the turns that the store has.

        Raises `StoreFailure`, `FailedPrecondition` (`InUse` where another has it) and `LeaseLost`
        where the store has gone on without what is in memory.
        """
        async with self._lock:
            begun = self._known
            if self._fence and await self._renewed():
                return
            voice = await self._open()
            if not begun:
                self.conversation.voice = voice

    def start(self) -> None:
        """Writes from now on, and keeps the lease."""
        self._closing = False
        self._task = asyncio.create_task(self._run())

    async def finish(self) -> bool:
        """Writes what is missing and gives the lease back; whether nothing is missing.

        A store that has just not answered is not asked again: the next call may wait for the end
        of this one.
        """
        await self.pause()
        if not self._away:
            await self.write(renew=True)
        if not self._away:
            await self.give_back()
        return not (self.lost or self._problem)

    @property
    def closing(self) -> bool:
        """Whether its call is over."""
        return self._closing

    async def pause(self) -> None:
        """Ends what `start` began, when it has written what it is writing."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    @property
    def lease(self) -> str:
        """The fence of the lease that the store has, or the nonce of one that it may have; empty:
        there is none."""
        return "" if self.lost else self._fence or self._nonce

    async def give_back(self) -> None:
        """Gives the lease back, even one of which no answer said that it was given."""
        if self.lease:
            try:
                await self._commands.close(self.conversation.key, self.lease)
            except StoreFailure:
                # It ends by itself, unless this writer goes on with it.
                log.debug("a lease could not be given back")
                return
        self._fence = self._nonce = ""

    # --- writing ---

    async def write(self, *, renew: bool = False) -> None:
        """Writes what is missing, if anything is; remembers what went wrong."""
        async with self._lock:
            if self.lost:
                return
            try:
                await self._write(renew)
            except StoreFailure as failure:
                self._told(str(failure))
                self._away = not failure.answered
            except LeaseLost as lost:
                self.lost = str(lost)
                log.warning("a conversation is written no more: %s", self.lost)
            except errors.FailedPrecondition as refused:
                self._told(refused.message, "refused")
                self._away = False
            except errors.ServiceError as error:
                # Of the backends, whose codec it asks for: whether the store answers is not known.
                self._told(error.message, error.summary())
            except Exception:
                log.exception("the writer of a conversation")
                self._told("the gateway failed to write it")
            else:
                self._problem, self._away = "", False

    async def _run(self) -> None:
        """The task of a call: soon after a change, while a turn is spoken, and for the lease."""
        lease_s = self._commands.lease_s
        while not (self.lost or self._closing):
            spoken = self.conversation.speaking is not None
            try:
                async with asyncio.timeout(SPOKEN_S if spoken else lease_s / 3):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if self._closing:
                return
            await self.write(renew=time.monotonic() - self._renewed_at > lease_s / 4)

    async def _write(self, renew: bool) -> None:
        if not self._fence:
            await self._open()
        turn = self._being_spoken()
        whole = False
        while True:
            stored = [] if whole else self._stored
            change = splice(stored, self.conversation.turns, self._spoken.of(turn))
            if change is None and whole:
                change = Splice(0, 0, [], [])
            if change is None:
                break
            self._num_writes += 1
            following = f"{self._fence}.{self._num_writes}"
            self._pending = (following, change.after)
            began = time.monotonic()
            try:
                await self._commands.write(
                    self.conversation.key,
                    self._fence,
                    self.conversation.voice,
                    self._revision,
                    following,
                    len(stored),
                    change,
                    whole=whole,
                )
            except Differs as differs:
                whole = not self._adopt(differs.revision)
                self._revision = differs.revision
                continue
            except HeadGone:
                await self._open()
                continue
            self._revision, self._stored, self._pending = following, change.after, None
            whole = False
            self._renewed_at, renew = began, False
            if not change.more:
                break
        if renew and not await self._renewed():
            self._fence = ""
            await self._write(False)

    async def _renewed(self) -> bool:
        """Renews the lease; False: the store has no such conversation any more."""
        began = time.monotonic()
        try:
            await self._commands.renew(self.conversation.key, self._fence)
        except HeadGone:
            return False
        self._renewed_at = began
        return True

    async def _open(self) -> str:
        """Returns the voice that the store has for it."""
        conversation = self.conversation
        codec = self._codec()
        self._fence = ""
        unanswered = self._nonce
        self._nonce = unanswered or uuid.uuid4().hex
        try:
            opened = await self._commands.open(
                conversation.key, self._nonce, conversation.voice, codec, again=self._known
            )
        except (StoreFailure, LeaseLost, errors.FailedPrecondition) as refused:
            # A no settles this attempt. What was not answered before it may still have been done.
            if not isinstance(refused, StoreFailure) or refused.answered:
                self._nonce = unanswered
            raise
        try:
            await self._take_over(opened)
        except (LeaseLost, errors.FailedPrecondition):
            await self.give_back()
            raise
        self._fence, self._revision, self._known = opened.fence, opened.revision, True
        self._nonce, self._pending = "", None
        self._renewed_at = time.monotonic()
        return opened.voice

    async def _take_over(self, opened: OpenedHead) -> None:
        """What the store has comes before what was said since; of a conversation that this writer
        had before, it must be what it wrote, or nothing."""
        conversation = self.conversation
        if not self._known:
            if opened.num_records:
                turns, keys = await self._commands.turns(conversation.key)
                conversation.restore(turns)
                self._stored = keys
        elif opened.revision != self._revision and not self._adopt(opened.revision):
            if opened.revision or opened.num_records:
                raise LeaseLost("another call has gone on with the conversation")
            self._stored = []

    def _adopt(self, revision: str) -> bool:
        """Whether the write whose answer was lost is what the store has."""
        if self._pending is None or self._pending[0] != revision:
            return False
        self._stored, self._pending = self._pending[1], None
        return True

    def _being_spoken(self) -> Turn | None:
        if self.conversation.speaking is None:
            return None
        turn = self.conversation.speaking()
        turns = self.conversation.turns
        return None if turns and turns[-1].turn_id == turn.turn_id else turn

    def _told(self, problem: str, logged: str = "") -> None:
        if problem != self._problem:
            log.warning("a conversation is not saved: %s", logged or problem)
        self._problem = problem
