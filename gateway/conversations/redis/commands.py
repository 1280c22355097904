"""What the gateway asks of Redis: every operation with a timeout, counted, its failures named."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, unquote

from redis import exceptions

from csm import errors
from csm.serving.metrics import GatewayMetrics
from gateway.conversations.key import ConversationKey
from gateway.conversations.redis.connection import Client
from gateway.conversations.redis.records import ForeignRecord, RecordKey, unpack
from gateway.conversations.redis.scripts import (
    CLOSE,
    DELETE,
    FORMAT,
    OPEN,
    RENEW,
    WRITE,
    Script,
)
from gateway.conversations.redis.splice import Splice
from gateway.conversations.redis.usage import COUNT
from gateway.conversations.store import LISTED, InUse, Kept
from gateway.conversations.turn import Turn

log = logging.getLogger(__name__)

PREFIX = f"csm:{FORMAT}:"
FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError, TimeoutError)
_CLUSTER_GONE = (exceptions.RedisClusterException, exceptions.ClusterDownError)


class StoreFailure(Exception):
    """The store did not do it, or nobody knows whether it did; says why, as a clause."""

    def __init__(self, why: str, *, answered: bool = False) -> None:
        """`answered`: it said no."""
        super().__init__(why)
        self.answered = answered


class LeaseLost(Exception):
    """The conversation is no longer this writer's; says why, as a clause."""


class HeadGone(Exception):
    """The store has no such conversation any more: it was restarted empty, or dropped it."""


@dataclass(frozen=True, slots=True)
class Differs(Exception):
    """The store has another revision than the writer thinks."""

    revision: str


@dataclass(frozen=True, slots=True)
class OpenedHead:
    """A lease, and what the conversation is."""

    fence: str
    revision: str
    """Of the last write; empty: there was none."""
    voice: str
    num_records: int


class RedisCommands:
    """The operations on one store. All raise `StoreFailure`."""

    def __init__(
        self,
        client: Client,
        metrics: GatewayMetrics,
        *,
        timeout_s: float,
        lease_s: float,
        ttl_s: float,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self.timeout_s = timeout_s
        self.lease_s = lease_s
        self._lease_ms = int(lease_s * 1000)
        self._ttl_ms = int(max(ttl_s, 2 * lease_s) * 1000)

    async def open(
        self, key: ConversationKey, nonce: str, voice: str, codec: str, *, again: bool
    ) -> OpenedHead:
        """Takes the lease; `again`: by a writer that had it. Asking twice with a nonce is asking
        once. Raises `FailedPrecondition` (`InUse` where another has it), and `LeaseLost`."""
        lived = (self._lease_ms, self._ttl_ms, FORMAT, voice, codec, "again" if again else "")
        answer = await self._run("open", OPEN, key, nonce, *lived)
        status = answer[0]
        if status == b"held":
            raise InUse(key.conversation_id, int(answer[1]) / 1000)
        if status == b"foreign":
            raise _foreign(key, answer[1].decode(errors="replace"))
        if status == b"codec":
            raise errors.FailedPrecondition(
                f"conversation {key.conversation_id!r} holds frames of another codec than the one "
                "that speaks; delete it or use another conversation_id"
            )
        if status == b"deleted":
            raise LeaseLost("the conversation was deleted")
        fence, revision, voice = (one.decode() for one in answer[1:4])
        return OpenedHead(fence, revision, voice, int(answer[4]))

    async def turns(self, key: ConversationKey) -> tuple[list[Turn], list[RecordKey]]:
        """All turns, and the keys of their records; raises `FailedPrecondition`."""
        async with self._counted("read"):
            records = await _answer(self._client.lrange(_turns(key), 0, -1))
        try:
            return unpack(records)
        except ForeignRecord as error:
            raise _foreign(key, str(error)) from None

    async def voice(self, key: ConversationKey) -> str | None:
        """The voice of a conversation; None: there is none. Raises `FailedPrecondition`."""
        async with self._counted("read"):
            try:
                voice, deleted, form = await _answer(
                    self._client.hmget(_head(key), ["voice", "deleted", "format"])
                )
            except exceptions.ResponseError as error:
                if not str(error).startswith("WRONGTYPE"):
                    raise
                raise _foreign(key, "no hash") from None
        if form is not None and form != b"%d" % FORMAT:
            raise _foreign(key, "another format")
        return None if voice is None or deleted else str(voice.decode())

    async def write(
        self,
        key: ConversationKey,
        fence: str,
        voice: str,
        revision: str,
        next_revision: str,
        num_records: int,
        change: Splice,
        *,
        whole: bool,
    ) -> None:
        """One write, whole or not at all, which renews the lease.

        `revision` and `num_records` are what the store should have; `whole` replaces whatever it
        has. Raises `LeaseLost`, `HeadGone` and `Differs`.
        """
        answer = await self._run(
            "write",
            WRITE,
            key,
            fence,
            self._lease_ms,
            self._ttl_ms,
            voice,
            revision,
            int(whole),
            num_records,
            change.drop,
            change.keep,
            next_revision,
            *change.records,
        )
        if answer[0] == b"differs":
            raise Differs(answer[1].decode())
        _check_lease(answer[0])

    async def renew(self, key: ConversationKey, fence: str) -> None:
        """Renews the lease; raises `LeaseLost` and `HeadGone`."""
        answer = await self._run("renew", RENEW, key, fence, self._lease_ms, self._ttl_ms)
        _check_lease(answer[0])

    async def close(self, key: ConversationKey, fence_or_nonce: str) -> bool:
        """Gives the lease back; one without turns is forgotten. False: it is another's, or
        nobody's, and nothing is done."""
        answer = await self._run("close", CLOSE, key, fence_or_nonce, self._ttl_ms)
        return bool(answer[0] == b"ok")

    async def delete(self, key: ConversationKey) -> bool:
        """Forgets a conversation; False: there is none. Raises `InUse`."""
        answer = await self._run("delete", DELETE, key, self._ttl_ms, FORMAT)
        if answer[0] == b"held":
            raise InUse(key.conversation_id, int(answer[1]) / 1000)
        return bool(answer[0] == b"ok")

    async def ids(self, owner: str) -> list[str]:
        """Of an owner's conversations, `LISTED` at the most."""
        begin, end = f"{PREFIX}{{{_quoted(owner)}/", "}:turns"
        found: list[str] = []
        async with self._counted("list"):
            async for name in self._client.scan_iter(match=f"{begin}*{end}", count=1000):
                found.append(unquote(name.decode()[len(begin) : -len(end)], errors="surrogatepass"))
                if len(found) == LISTED:
                    break
        return found

    async def note(self, key: ConversationKey, num_bytes: int) -> None:
        """Counts a conversation as having so many bytes, 0: as gone. See `usage`."""
        await self._usage(key.owner, _quoted(key.conversation_id), num_bytes)

    async def kept(self, owner: str) -> Kept:
        """How much an owner has."""
        return await self._usage(owner, "", 0)

    async def ping(self) -> None:
        """Whether it answers."""
        async with self._counted("ping"):
            await _answer(self._client.ping())

    async def disconnect(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _usage(self, owner: str, member: str, num_bytes: int) -> Kept:
        keys = (f"{PREFIX}{{{_quoted(owner)}/}}:kept", f"{PREFIX}{{{_quoted(owner)}/}}:bytes")
        answer = await self._evaluate("usage", COUNT, keys, member, num_bytes, self._ttl_ms)
        return Kept(int(answer[0]), int(answer[1]))

    async def _run(
        self, operation: str, script: Script, key: ConversationKey, *arguments: Any
    ) -> list[Any]:
        return await self._evaluate(operation, script, (_head(key), _turns(key)), *arguments)

    async def _evaluate(
        self, operation: str, script: Script, keys: tuple[str, str], *arguments: Any
    ) -> list[Any]:
        async with self._counted(operation):
            what = (2, *keys, *arguments)
            try:
                answer = await _answer(self._client.evalsha(script.digest, *what))
            except exceptions.NoScriptError:
                answer = await _answer(self._client.eval(script.source, *what))
            return cast(list[Any], answer)

    @asynccontextmanager
    async def _counted(self, operation: str) -> AsyncIterator[None]:
        began, outcome = time.monotonic(), "cancelled"
        try:
            # Not wait_for: in Python 3.11 it may swallow a cancel.
            async with asyncio.timeout(self.timeout_s):
                yield
            outcome = "ok"
        except errors.ServiceError:
            outcome = "ok"
            raise
        except FAILURES as error:
            outcome, told = told_failure(error)
            raise StoreFailure(told, answered=outcome in ("full", "refused")) from error
        finally:
            self._metrics.store_operations.labels(operation, outcome).inc()
            self._metrics.store_seconds.labels(operation).observe(time.monotonic() - began)


async def _answer(command: Awaitable[Any] | Any) -> Any:
    """The commands are typed for both kinds of client."""
    return await command


def told_failure(error: Exception, what: str = "conversations") -> tuple[str, str]:
    """(outcome of the metric, why as a clause), of the store of `what`."""
    store = f"the store of {what}"
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return "timeout", f"{store} does not answer in time"
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return "refused", f"{store} refuses the gateway's user or password"
    if isinstance(error, (exceptions.ConnectionError, OSError, *_CLUSTER_GONE)):
        return "unreachable", f"{store} cannot be reached"
    if isinstance(error, exceptions.OutOfMemoryError) or str(error).startswith("OOM"):
        return "full", f"{store} is full"
    log.warning("%s refuses: %s", store, errors.shortened(str(error), 200))
    return "refused", f"{store} refuses"


def _foreign(key: ConversationKey, what: str) -> errors.FailedPrecondition:
    return errors.FailedPrecondition(
        f"conversation {key.conversation_id!r}: what the store has under its key is not of format "
        f"{FORMAT}, which this gateway reads ({what}); delete it or use another conversation_id"
    )


def _check_lease(status: bytes) -> None:
    if status == b"gone":
        raise HeadGone
    if status == b"deleted":
        raise LeaseLost("the conversation was deleted")
    if status == b"fenced":
        raise LeaseLost("another call has taken the conversation over")


def _quoted(name: str) -> str:
    """Without braces, which mark what a cluster hashes, nor a slash, nor signs of a pattern."""
    return quote(name, safe="", errors="surrogatepass")


def _head(key: ConversationKey) -> str:
    return f"{_prefix(key)}:head"


def _turns(key: ConversationKey) -> str:
    return f"{_prefix(key)}:turns"


def _prefix(key: ConversationKey) -> str:
    return f"{PREFIX}{{{_quoted(key.owner)}/{_quoted(key.conversation_id)}}}"
