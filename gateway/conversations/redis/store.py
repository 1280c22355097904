"""Conversations in Redis: shared by gateways, and there after a restart."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from csm import errors
from gateway.conversations.conversation import StoredConversation
from gateway.conversations.key import ConversationKey
from gateway.conversations.memory import ConversationMemory
from gateway.conversations.redis.commands import LeaseLost, RedisCommands, StoreFailure
from gateway.conversations.redis.leases import LeftLeases
from gateway.conversations.redis.writer import ConversationWriter
from gateway.conversations.store import LISTED, InUse, Kept

log = logging.getLogger(__name__)

WATCH_S = 1.0
"""Between two looks whether the store answers."""
POLL_S = 0.05
"""Between two tries to open what another call is about to give back."""


class RedisStore:
    """A `ConversationStore` over Redis.

    What calls hold, and what could not be written yet when they ended, is in `memory`, within its
    budget; everything else is in the store alone.
    """

    def __init__(
        self,
        memory: ConversationMemory,
        commands: RedisCommands,
        codec: Callable[[], str],
        fail: Literal["open", "closed"],
    ) -> None:
        self._memory = memory
        self._commands = commands
        self._codec = codec
        self._fail = fail
        self._answers = False
        self._writers: dict[StoredConversation, ConversationWriter] = {}
        self._left = LeftLeases(commands)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def __len__(self) -> int:
        return len(self._memory)

    async def start(self) -> None:
        """See `ConversationStore`."""
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """See `ConversationStore`."""
        self._stopping.set()
        if self._watcher is not None:
            await asyncio.wait({self._watcher})
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if left := sum(1 for c in self._writers if c.turns):
            log.warning("%d conversations end with this process, not saved", left)
        await self._left.give_back()
        await self._commands.disconnect()

    def ready(self) -> bool:
        """See `ConversationStore`."""
        return self._answers or self._fail == "open"

    async def open(
        self, conversation_id: str, voice: str, wait_s: float, *, owner: str = ""
    ) -> StoredConversation:
        """See `ConversationStore`."""
        await self._given_back(ConversationKey(owner, conversation_id), wait_s)
        conversation = self._memory.acquire(conversation_id, voice, owner=owner)
        # A call that is cancelled while it waits here leaves no lease behind.
        opening = self._begin(self._open(conversation, wait_s))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._unwanted)
            raise

    def close(self, conversation: StoredConversation) -> None:
        """See `ConversationStore`."""
        self._begin(self._close(conversation))

    async def read(self, conversation_id: str, *, owner: str = "") -> StoredConversation:
        """See `ConversationStore`."""
        key = ConversationKey(owner, conversation_id)
        here = self._memory.found(conversation_id, owner=owner)
        if here is not None:
            return here
        try:
            voice = await self._commands.voice(key)
            turns = [] if voice is None else (await self._commands.turns(key))[0]
        except StoreFailure as failure:
            raise _unavailable(failure) from failure
        if voice is None:
            raise errors.NotFound("conversation", conversation_id)
        return StoredConversation(conversation_id, voice, self._memory.limits, turns, owner=owner)

    async def delete(self, conversation_id: str, wait_s: float, *, owner: str = "") -> None:
        """See `ConversationStore`."""
        key = ConversationKey(owner, conversation_id)
        await self._given_back(key, wait_s)
        here = self._memory.found(conversation_id, owner=owner)
        if here is not None:
            self._memory.delete(conversation_id, owner=owner)
            self._forget_writer(here)
        try:
            there = await self._waiting(wait_s, key, lambda: self._commands.delete(key))
        except StoreFailure as failure:
            raise _unavailable(failure) from failure
        if not (there or here):
            raise errors.NotFound("conversation", conversation_id)
        await self._note(key, 0)

    async def count(self, owner: str) -> int:
        """See `ConversationStore`."""
        return (await self._kept(owner)).count

    async def num_bytes(self, owner: str) -> int:
        """See `ConversationStore`."""
        return (await self._kept(owner)).num_bytes

    async def ids(self, owner: str = "") -> list[str]:
        """See `ConversationStore`."""
        here = self._memory.ids(owner=owner)
        try:
            there = await self._commands.ids(owner)
        except StoreFailure as failure:
            raise _unavailable(failure) from failure
        return list(dict.fromkeys([*here, *there]))[:LISTED]

    async def sweep(self) -> None:
        """See `ConversationStore`. The store itself drops what is too old."""
        self._memory.sweep()
        kept = set(self._memory.keys())
        for conversation in list(self._writers):
            if conversation.free.is_set() and conversation.key not in kept:
                self._forget_writer(conversation)

    # --- inside ---

    async def _note(self, key: ConversationKey, num_bytes: int) -> None:
        with contextlib.suppress(StoreFailure):
            await self._commands.note(key, num_bytes)

    async def _kept(self, owner: str) -> Kept:
        try:
            return await self._commands.kept(owner)
        except StoreFailure as failure:
            raise _unavailable(failure) from failure

    async def _given_back(self, key: ConversationKey, wait_s: float) -> None:
        """Returns when no call here has it, or after the timeout. One that only waits for a store
        that is slow is waited for longer."""
        here = self._memory.found(key.conversation_id, owner=key.owner)
        writer = None if here is None else self._writers.get(here)
        if writer is not None and writer.closing:
            wait_s += 3 * self._commands.timeout_s
        await self._memory.given_back(key.conversation_id, wait_s, owner=key.owner)

    async def _open(self, conversation: StoredConversation, wait_s: float) -> StoredConversation:
        writer = self._writers.get(conversation) or self._watched(conversation)
        try:
            try:
                await self._waiting(wait_s, conversation.key, writer.open)
            except LeaseLost:
                # The store has gone on without what was never written to it: it is the truth.
                self._drop(conversation)
                conversation = self._acquired(conversation.key)
                writer = self._watched(conversation)
                await self._waiting(wait_s, conversation.key, writer.open)
        except StoreFailure as failure:
            if self._fail == "closed":
                self._give_up(conversation)
                raise _unavailable(failure) from failure
            log.warning("a conversation begins in memory alone: %s", failure)
        except BaseException:
            self._give_up(conversation)
            raise
        writer.start()
        return conversation

    async def _close(self, conversation: StoredConversation) -> None:
        writer, turns = self._writers[conversation], conversation.turns
        saved = False
        try:
            saved = await writer.finish()
            if saved and not writer.lost:
                await self._note(conversation.key, conversation.num_bytes if turns else 0)
        finally:
            if saved or writer.lost or not conversation.turns:
                self._drop(conversation)
            self._memory.release(conversation)

    def _acquired(self, key: ConversationKey) -> StoredConversation:
        return self._memory.acquire(key.conversation_id, "", owner=key.owner)

    def _watched(self, conversation: StoredConversation) -> ConversationWriter:
        writer = ConversationWriter(conversation, self._commands, self._codec)
        conversation.writer = self._writers[conversation] = writer
        return writer

    def _give_up(self, conversation: StoredConversation) -> None:
        """It was not opened: what was never written stays, a new one goes."""
        if not conversation.turns:
            self._drop(conversation)
        self._memory.release(conversation)

    def _drop(self, conversation: StoredConversation) -> None:
        self._forget_writer(conversation)
        self._memory.forget(conversation)
        conversation.free.set()

    def _forget_writer(self, conversation: StoredConversation) -> None:
        writer = self._writers.pop(conversation, None)
        if writer is not None and writer.lease:
            self._left.add(conversation.key, writer.lease)

    async def _waiting(
        self, wait_s: float, key: ConversationKey, work: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Tries again while another call has the conversation, for so long. Where a call that is
        over has it, its lease is given back first."""
        end = time.monotonic() + wait_s
        while True:
            try:
                return await work()
            except InUse:
                if await self._left.give_back(key):
                    continue
                if time.monotonic() >= end:
                    raise
            await asyncio.sleep(POLL_S)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _unwanted(self, opening: asyncio.Task[StoredConversation]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.close(opening.result())

    async def _watch(self) -> None:
        """Whether the store answers; when it does, what could not be given back or written is."""
        while not self._stopping.is_set():
            try:
                await self._commands.ping()
                if not self._answers:
                    log.info("the store of conversations answers")
                self._answers = True
                await self._left.give_back()
                await self._save_left()
            except StoreFailure as failure:
                if self._answers:
                    log.warning("%s", failure)
                self._answers = False
            except Exception:
                log.exception("the watch of the store of conversations")
            # Not by a cancel, which the client of Redis may swallow.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._stopping.wait()

    async def _save_left(self) -> None:
        """Writes what ended calls have left."""
        await self.sweep()
        for conversation in [c for c in self._writers if c.free.is_set()]:
            # One that a call has taken meanwhile is that call's, and one may have gone for others.
            key = conversation.key
            kept = self._memory.found(key.conversation_id, owner=key.owner) is conversation
            if kept and conversation.free.is_set():
                with contextlib.suppress(errors.ServiceError):
                    taken = self._acquired(key)
                    try:
                        await self._writers[taken].write()
                    finally:
                        await self._close(taken)


def _unavailable(failure: StoreFailure) -> errors.Unavailable:
    return errors.Unavailable(str(failure), retry_after_s=WATCH_S)
