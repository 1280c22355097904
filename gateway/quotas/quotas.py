"""Who has how much left: asked before anything dear is done, told what was used."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

from csm import errors
from csm.serving.calls.turn_record import TurnRecord
from csm.serving.metrics.tenants import TenantMetrics
from gateway.quotas.admission import Charge, QuotaAdmission
from gateway.quotas.caller import Caller
from gateway.quotas.quota_limits import QuotaLimits
from gateway.quotas.rules import QuotaRules
from gateway.quotas.store import QuotaStore

MINUTE_S, DAY_S = 60, 86_400
STREAM_RETRY_S = 1.0
"""After which one that has too many streams at once may come again."""
STOP_S = 2.0
"""For what is still to be counted when the gateway ends."""
T = TypeVar("T")
_WORDS = {
    "streams": "{most} streams at once are under way",
    "requests_per_minute": "{most} requests a minute are used up",
    "characters_per_day": "{most} characters a day are used up, or this text has more than is left",
    "audio_seconds_per_day": "{most} seconds of audio a day are used up",
    "voices": "{most} created voices are kept; delete one",
    "bytes": "{most} bytes of conversations and voices are kept; delete some",
}


class Quotas:
    """The quotas of one gateway."""

    def __init__(
        self,
        rules: QuotaRules,
        store: QuotaStore | None,
        metrics: TenantMetrics,
        *,
        voices: Callable[[str], int],
        num_bytes: Callable[[str], Awaitable[int]],
        bytes_free_s: float,
    ) -> None:
        """`store` None: nobody has a quota of what is counted there. `voices` and `num_bytes` tell
        what is kept of a tenant; the latter may raise `Unavailable`. `bytes_free_s`: after which
        what nobody uses is forgotten."""
        self.rules = rules
        self._store = store
        self._metrics = metrics
        self._voices = voices
        self._num_bytes = num_bytes
        self._bytes_free_s = bytes_free_s
        self._making: Counter[str] = Counter()
        self._sent_ms: Counter[str] = Counter()
        """Audio that was sent and is not counted in the store yet, by key."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follows the file."""
        self._following = asyncio.create_task(self.rules.follow())

    async def stop(self) -> None:
        """Counts what is left to count."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)
        if self._store is not None:
            await self._store.stop()

    async def admit(
        self,
        caller: Caller,
        num_chars: int | None = None,
        *,
        stream: bool = False,
        keeps: bool = False,
        voice: bool = False,
    ) -> QuotaAdmission:
        """Counts a request, and takes what it needs beside; `end` is to follow.

        `num_chars`: of the text of a turn, as far as it is known; None: it is no turn. `stream`: it
        is one of those at once. `keeps`: bytes may be kept for it. `voice`: it makes one.

        Raises `QuotaExceeded`; what was refused is not counted.
        """
        admission = QuotaAdmission(caller, num_chars or 0)
        tenant = self.rules.of_tenant(caller)
        try:
            self._make_voice(admission, tenant, voice)
            asked = [
                *self._take_streams(admission, tenant, stream),
                *self._charge(admission, tenant, num_chars),
                *self._keep(caller, tenant, keeps),
            ]
            refusals = await asyncio.gather(*map(asyncio.shield, asked)) if asked else ()
        except BaseException:
            # What is counted meanwhile, nobody will use.
            self._spawn(self._give_back(admission))
            raise
        refused = next((one for one in refusals if one is not None), None)
        if refused is not None:
            await asyncio.shield(self._spawn(self._give_back(admission)))
            self._count_refusal(caller, refused.subject)
            raise refused
        self._metrics.requests.labels(self._metrics.label(caller.tenant)).inc()
        return admission

    def end(self, admission: QuotaAdmission, record: TurnRecord | None = None) -> None:
        """It is over; `record` says what its turn has used. Counts once, and never waits."""
        if admission.ended:
            return
        admission.ended = True
        self._release(admission)
        num_chars, audio_s = admission.used(record)
        label = self._metrics.label(admission.caller.tenant)
        self._metrics.characters.labels(label).inc(num_chars)
        self._metrics.audio_seconds.labels(label).inc(audio_s)
        for charge, _ in admission.charges:
            if charge.quota == "characters_per_day" and num_chars != charge.amount:
                self._spawn(self._add(charge, num_chars - charge.amount))
            elif charge.quota == "audio_seconds_per_day" and audio_s:
                self._sent_ms[charge.key] += round(audio_s * 1000)
                self._spawn(self._add_audio(charge, round(audio_s * 1000)))

    @contextlib.contextmanager
    def ending(self, admission: QuotaAdmission, record: TurnRecord | None = None) -> Iterator[None]:
        """`end` behind the block."""
        try:
            yield
        finally:
            self.end(admission, record)

    @contextlib.asynccontextmanager
    async def request(
        self, caller: Caller, *, keeps: bool = False, voice: bool = False
    ) -> AsyncIterator[None]:
        """Around what is a request, and no turn."""
        with self.ending(await self.admit(caller, keeps=keeps, voice=voice)):
            yield

    # --- inside ---

    def _make_voice(self, admission: QuotaAdmission, tenant: QuotaLimits, voice: bool) -> None:
        if not voice:
            return
        owner = admission.caller.tenant
        if tenant.voices and self._voices(owner) + self._making[owner] >= tenant.voices:
            error = _refusal(_of_tenant(owner), "voices", tenant.voices, DAY_S)
            self._count_refusal(admission.caller, error.subject)
            raise error
        self._making[owner] += 1
        admission.voice = True

    def _take_streams(
        self, admission: QuotaAdmission, tenant: QuotaLimits, stream: bool
    ) -> Iterator["asyncio.Task[errors.QuotaExceeded | None]"]:
        for subject, limits in self._subjects(admission.caller, tenant):
            if stream and limits.streams and self._store is not None:
                member = uuid.uuid4().hex
                taking = self._spawn(self._take(self._store, subject, limits.streams, member))
                admission.streams.append((subject, member, taking))
                yield taking

    async def _take(
        self, store: QuotaStore, subject: str, most: int, member: str
    ) -> errors.QuotaExceeded | None:
        if await store.take(subject, most, member) is False:
            return _refusal(subject, "streams", most, STREAM_RETRY_S)
        return None

    def _charge(
        self, admission: QuotaAdmission, tenant: QuotaLimits, num_chars: int | None
    ) -> Iterator["asyncio.Task[errors.QuotaExceeded | None]"]:
        for subject, limits in self._subjects(admission.caller, tenant):
            wanted = [
                Charge("requests_per_minute", subject, limits.requests_per_minute, MINUTE_S, 1)
            ]
            if num_chars is not None:
                chars, audio_s = limits.characters_per_day, limits.audio_seconds_per_day
                wanted += [
                    Charge("characters_per_day", subject, chars, DAY_S, num_chars),
                    Charge("audio_seconds_per_day", subject, audio_s * 1000, DAY_S, 0),
                ]
            for charge in wanted:
                if charge.most and self._store is not None:
                    counted = self._spawn(self._add(charge, charge.amount))
                    admission.charges.append((charge, counted))
                    yield self._spawn(self._check(self._store, charge, counted))

    async def _check(
        self, store: QuotaStore, charge: Charge, counted: "asyncio.Task[int | None]"
    ) -> errors.QuotaExceeded | None:
        count = await counted
        if count is None:
            return None
        left = charge.most - count - self._sent_ms[charge.key]
        if left > 0 or (left == 0 and charge.amount):
            return None
        wait_s = await store.left_s(charge.key)
        most = charge.most // 1000 if charge.quota == "audio_seconds_per_day" else charge.most
        wait_s = charge.window_s if wait_s is None else min(wait_s, charge.window_s)
        return _refusal(charge.subject, charge.quota, most, max(1.0, wait_s))

    def _keep(
        self, caller: Caller, tenant: QuotaLimits, keeps: bool
    ) -> Iterator["asyncio.Task[errors.QuotaExceeded | None]"]:
        if keeps and tenant.bytes:
            yield self._spawn(self._check_bytes(caller.tenant, tenant.bytes))

    async def _check_bytes(self, owner: str, most: int) -> errors.QuotaExceeded | None:
        try:
            kept = await self._num_bytes(owner)
        except errors.ServiceError:
            return None  # the store is away, which is told elsewhere
        if kept < most:
            return None
        return _refusal(_of_tenant(owner), "bytes", most, self._bytes_free_s)

    def _subjects(self, caller: Caller, tenant: QuotaLimits) -> Iterator[tuple[str, QuotaLimits]]:
        if own := self.rules.of_principal(caller):
            name = f"{quote(caller.tenant, safe='')}/{quote(caller.principal, safe='')}"
            yield f"principal:{name}", own
        yield _of_tenant(caller.tenant), tenant

    def _release(self, admission: QuotaAdmission) -> None:
        if admission.voice:
            admission.voice = False
            self._making[admission.caller.tenant] -= 1
            self._making += Counter()
        streams, admission.streams = admission.streams, []
        for key, member, taking in streams:
            if self._store is not None:
                self._spawn(self._leave(self._store, key, member, taking))

    async def _leave(
        self, store: QuotaStore, key: str, member: str, taking: "asyncio.Task[Any]"
    ) -> None:
        await taking  # or it would be counted behind its release
        await store.release(key, member)

    async def _give_back(self, admission: QuotaAdmission) -> None:
        admission.ended = True
        for charge, counted in admission.charges:
            if await counted is not None and charge.amount:
                await self._add(charge, -charge.amount)
        self._release(admission)

    async def _add(self, charge: Charge, amount: int) -> int | None:
        if self._store is None:
            return None
        return await self._store.add(charge.key, charge.window_s, amount)

    async def _add_audio(self, charge: Charge, audio_ms: int) -> None:
        try:
            await self._add(charge, audio_ms)
        finally:
            self._sent_ms[charge.key] -= audio_ms
            if not self._sent_ms[charge.key]:
                del self._sent_ms[charge.key]

    def _count_refusal(self, caller: Caller, subject: str) -> None:
        quota = subject.rpartition("/")[2]
        self._metrics.refusals.labels(self._metrics.label(caller.tenant), quota).inc()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _of_tenant(tenant: str) -> str:
    return f"tenant:{quote(tenant, safe='')}"


def _refusal(subject: str, quota: str, most: int, wait_s: float) -> errors.QuotaExceeded:
    whose = "this principal's" if subject.startswith("principal:") else "the tenant's"
    told = f"quota: {whose} {_WORDS[quota].format(most=most)} ({quota})"
    return errors.QuotaExceeded(f"{subject}/{quota}", told, wait_s)
