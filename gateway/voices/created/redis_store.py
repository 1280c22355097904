"""Created voices in Redis, shared by gateways.

Keys, all of one hash tag, `csm:FORMAT:{/}:` before each:

    voices:last     revision of the last write: who sees it unchanged has nothing to read
    voices:index    a hash: each voice's member to its revision
    voice:MEMBER    the voice, as `record` packs it; its codes too, so nothing is encoded anew

A member is OWNER/NAME, or NAME alone where there is no owner: the owner quoted, so that it has no
slash, and the name in lower case. All owners share one tag, as a write is one script, whole or not
at all, that also sees how many voices there are of all, and one key tells what has changed.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha1
from typing import Any
from urllib.parse import quote, unquote

from redis import exceptions

from csm import errors
from csm.serving.metrics import GatewayMetrics
from gateway.conversations.redis.commands import FAILURES, PREFIX, told_failure
from gateway.conversations.redis.connection import Client
from gateway.voices.created.record import ForeignVoice, VoiceRecord, pack, unpack
from gateway.voices.created.store import Change, Changes, exists, full, missing
from gateway.voices.names import is_name, key_of
from gateway.voices.voice import VoiceId

READ_AT_ONCE = 32
RETRY_AFTER_S = 1.0
CHANGE_TRIES = 20
"""Of one voice, against others that change it."""
_TAG = f"{PREFIX}{{/}}:"
LAST, INDEX = f"{_TAG}voices:last", f"{_TAG}voices:index"

_PUT = """
-- expected revision ('': none may be there), new revision, record, name, most -> status
-- In a store that is full the first write is refused, before anything has changed.
local there = redis.call('HGET', KEYS[2], ARGV[4])
if ARGV[1] == '' then
  if there then return 'exists' end
  if redis.call('EXISTS', KEYS[3]) == 1 then return 'foreign' end
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[5]) then return 'full' end
elseif not there then
  return 'gone'
elseif there ~= ARGV[1] then
  return 'differs'
end
redis.call('SET', KEYS[3], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[4], ARGV[2])
redis.call('SET', KEYS[1], ARGV[2])
return 'ok'
"""
_DELETE = """
-- name, new revision -> whether there was one
local found = redis.call('HDEL', KEYS[2], ARGV[1]) + redis.call('DEL', KEYS[3])
if found > 0 then redis.call('SET', KEYS[1], ARGV[2]) end
return found
"""


def member_of(voice_id: VoiceId) -> str:
    """What a voice is called in the index."""
    if not voice_id.owner:
        return voice_id.key
    return f"{quote(voice_id.owner, safe='', errors='surrogatepass')}/{voice_id.key}"


def id_of(member: str) -> VoiceId:
    """The voice that a member of the index is."""
    owner, _, key = member.rpartition("/")
    return VoiceId(unquote(owner, errors="surrogatepass"), key)


def voice_key(name: str, owner: str = "") -> str:
    """The key of a voice's record."""
    return f"{_TAG}voice:{member_of(VoiceId(owner, key_of(name)))}"


class RedisVoices:
    """A `VoiceStore` in Redis."""

    lasting = True

    def __init__(
        self, client: Client, metrics: GatewayMetrics, timeout_s: float, max_voices: int
    ) -> None:
        self._client: Any = client
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._max_voices = max_voices
        self._last: bytes | None = b""
        self._seen: dict[VoiceId, str] = {}
        """To the revision that was read, or written here."""
        self._written: dict[VoiceId, str] = {}
        """Of these what was written here since the last look began."""

    async def start(self) -> None:
        """See `VoiceStore`: the store need not answer yet."""

    async def stop(self) -> None:
        """See `VoiceStore`."""
        await self._client.aclose()

    async def changes(self) -> Changes:
        """See `VoiceStore`."""
        async with self._counted("voices_read"):
            last = await self._client.get(LAST)
        if last == self._last:
            return Changes()
        self._written = {}
        async with self._counted("voices_read"):
            index = await self._client.hgetall(INDEX)
        told = [(name.decode(errors="replace"), rev.decode()) for name, rev in index.items()]
        now = {id_of(member): revision for member, revision in told}
        new = [one for one, revision in now.items() if self._seen.get(one) != revision]
        put: list[VoiceRecord] = []
        foreign: dict[VoiceId, str] = {}
        for at in range(0, len(new), READ_AT_ONCE):
            some = new[at : at + READ_AT_ONCE]
            async with self._counted("voices_read"):
                found = await self._client.mget([voice_key(one.key, one.owner) for one in some])
            for one, data in zip(some, found, strict=True):
                try:
                    put.append(_unpacked(one, data))
                except ForeignVoice as error:
                    foreign[one] = f"what the store has of it cannot be used: {error}"
        gone = [one for one in self._seen if one not in now]
        # What was written meanwhile has changed the last revision, and is read the next time.
        self._last, self._seen = last, now | self._written
        return Changes(put, gone, foreign)

    async def create(self, record: VoiceRecord, recordings: Sequence[bytes]) -> None:
        """See `VoiceStore`. The recordings are not kept."""
        status = await self._put(record, "")
        if status == b"ok":
            self._note(record)
        if status == b"exists":
            raise exists(record.name)
        if status == b"full":
            raise full(self._max_voices)
        if status == b"foreign":
            raise errors.FailedPrecondition(
                f"voice {record.name!r}: the store has something else under its key; delete it"
            )

    async def update(self, name: str, change: Change, *, owner: str = "") -> VoiceRecord:
        """See `VoiceStore`."""
        voice_id = VoiceId(owner, key_of(name))
        for _ in range(CHANGE_TRIES):
            async with self._counted("voices_read"):
                expected = await self._client.hget(INDEX, member_of(voice_id))
                data = await self._client.get(voice_key(name, owner))
            if expected is None:
                raise missing(name)
            try:
                record = replace(change(_unpacked(voice_id, data)), revision=_revision())
            except ForeignVoice as error:
                raise errors.FailedPrecondition(f"voice {name!r}: {error}; delete it") from None
            status = await self._put(record, expected.decode())
            if status == b"gone":
                raise missing(name)
            if status == b"ok":
                self._note(record)
                return record
        raise errors.Unavailable(f"voice {name!r} is changed by others all the time", RETRY_AFTER_S)

    async def delete(self, name: str, *, owner: str = "") -> None:
        """See `VoiceStore`."""
        keys = (LAST, INDEX, voice_key(name, owner))
        member = member_of(VoiceId(owner, key_of(name)))
        async with self._counted("voices_write"):
            found = await _evaluated(self._client, _DELETE, keys, (member, _revision()))
        if not found:
            raise missing(name)

    async def recordings(self, name: str, *, owner: str = "") -> list[bytes]:
        """See `VoiceStore`: they are not kept."""
        return []

    # --- inside ---

    def _note(self, record: VoiceRecord) -> None:
        # Who made it has it already, and is told when it goes.
        self._written[record.id] = self._seen[record.id] = record.revision

    async def _put(self, record: VoiceRecord, expected: str) -> bytes:
        keys = (LAST, INDEX, voice_key(record.name, record.owner))
        member = member_of(record.id)
        arguments = (
            expected, record.revision, pack(record), member, self._max_voices,
        )  # fmt: skip
        async with self._counted("voices_write"):
            status = await _evaluated(self._client, _PUT, keys, arguments)
        # Asked again for an answer that was lost: it is there, and it is this very write.
        if status == b"exists" or status == b"differs":
            async with self._counted("voices_read"):
                there = await self._client.hget(INDEX, member)
            if there is not None and there.decode() == record.revision:
                return b"ok"
        return bytes(status)

    @asynccontextmanager
    async def _counted(self, operation: str) -> AsyncIterator[None]:
        began, outcome = time.monotonic(), "cancelled"
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
            outcome = "ok"
        except FAILURES as error:
            if "WRONGTYPE" in str(error):
                outcome = "refused"
                raise errors.FailedPrecondition(
                    f"what the store has under {_TAG}voices is not of this gateway's format; "
                    "remove it there, or name another store_url"
                ) from error
            outcome, told = told_failure(error, "voices")
            if outcome == "full":
                raise errors.LimitReached(f"{told}; delete a voice") from error
            raise errors.Unavailable(told, RETRY_AFTER_S) from error
        finally:
            self._metrics.store_operations.labels(operation, outcome).inc()
            self._metrics.store_seconds.labels(operation).observe(time.monotonic() - began)


def _revision() -> str:
    return uuid.uuid4().hex


def _unpacked(voice_id: VoiceId, data: bytes | None) -> VoiceRecord:
    if data is None:
        raise ForeignVoice("its record is gone")
    record = unpack(data, voice_id.owner)
    if record.id != voice_id or not is_name(voice_id.key):
        raise ForeignVoice("its name is another")
    return record


async def _evaluated(
    client: Any, source: str, keys: Sequence[str], arguments: Sequence[Any]
) -> Any:
    digest = sha1(source.encode(), usedforsecurity=False).hexdigest()
    try:
        return await client.evalsha(digest, len(keys), *keys, *arguments)
    except exceptions.NoScriptError:
        return await client.eval(source, len(keys), *keys, *arguments)
