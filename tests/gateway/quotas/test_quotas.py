"""Quotas without a network: windows by a clock of the test's, and counts that come back to zero."""

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator
from typing import Any

import limits.aio.storage.memory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

import gateway.quotas.in_process
from csm import errors
from csm.serving.calls.turn_record import TurnRecord
from csm.serving.metrics.tenants import TenantMetrics
from gateway.quotas.caller import Caller
from gateway.quotas.in_process import InProcessQuotas
from gateway.quotas.quota_limits import QuotaLimits
from gateway.quotas.quotas import Quotas
from gateway.quotas.quotas_file import QuotasFile
from gateway.quotas.rules import QuotaRules

JOE, ANN = Caller("acme", "joe"), Caller("acme", "ann")


class Clock:
    now_s = 1_000_000.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    module = types.SimpleNamespace(time=clock.time)
    monkeypatch.setattr(limits.aio.storage.memory, "time", module)
    monkeypatch.setattr(gateway.quotas.in_process, "time", module)
    return clock


@contextlib.asynccontextmanager
async def quotas(
    of_all: QuotaLimits, principals: dict[str, QuotaLimits] | None = None, **more: Any
) -> AsyncIterator[Quotas]:
    rules = QuotaRules(of_all, None)
    rules._file = QuotasFile(principals=principals or {})

    async def num_bytes(owner: str) -> int:
        return 0

    one = Quotas(
        rules,
        InProcessQuotas(),
        TenantMetrics(CollectorRegistry(), ["acme"]),
        **{"voices": lambda owner: 0, "num_bytes": num_bytes, "bytes_free_s": 5.0, **more},
    )
    await one.start()
    yield one
    await one.stop()


async def all_counted(one: Quotas) -> None:
    while one._tasks:
        await asyncio.gather(*one._tasks, return_exceptions=True)


async def refusal(one: Quotas, *arguments: Any, **more: Any) -> errors.QuotaExceeded:
    with pytest.raises(errors.QuotaExceeded) as caught:
        await one.admit(*arguments, **more)
    return caught.value


def spoken(num_chars: int, audio_s: float) -> TurnRecord:
    return TurnRecord(0.0, text_chars=num_chars, audio_s=audio_s)


async def test_a_window_begins_with_its_first_request_and_ends_after_a_minute(clock: Clock) -> None:
    async with quotas(QuotaLimits(requests_per_minute=2)) as one:
        for _ in range(2):
            one.end(await one.admit(JOE))
        clock.now_s += 45
        error = await refusal(one, JOE)
        assert (error.subject, error.retry_after_s) == ("tenant:acme/requests_per_minute", 15)
        assert error.summary() == (
            "reason QUOTA_EXCEEDED; retry after 15000 ms; quota tenant:acme/requests_per_minute"
        )
        clock.now_s += 15
        one.end(await one.admit(JOE))
        assert (await one.admit(Caller("other", ""))).caller.tenant == "other"


async def test_a_day_ends_a_day_after_its_first_turn(clock: Clock) -> None:
    async with quotas(QuotaLimits(characters_per_day=10, audio_seconds_per_day=2)) as one:
        one.end(await one.admit(JOE, 4), spoken(4, 2.5))
        error = await refusal(one, JOE, 4)
        assert (error.subject, error.retry_after_s) == ("tenant:acme/audio_seconds_per_day", 86_400)
        clock.now_s += 86_399
        assert (await refusal(one, JOE, 7)).retry_after_s == 1
        clock.now_s += 1
        one.end(await one.admit(JOE, 10), spoken(10, 0.5))
        assert (await refusal(one, JOE, 1)).subject == "tenant:acme/characters_per_day"


async def test_a_principal_has_its_own_within_its_tenants() -> None:
    own = {"joe": QuotaLimits(requests_per_minute=1, streams=1)}
    async with quotas(QuotaLimits(requests_per_minute=3), own) as one:
        first = await one.admit(JOE, stream=True)
        error = await refusal(one, JOE, stream=True)
        assert error.subject == "principal:acme/joe/streams"
        one.end(first)
        assert (await refusal(one, JOE)).subject == "principal:acme/joe/requests_per_minute"
        # What was refused took nothing of the tenant's.
        for _ in range(2):
            one.end(await one.admit(ANN))
        assert (await refusal(one, ANN)).subject == "tenant:acme/requests_per_minute"
        # Another's joe is another.
        one.end(await one.admit(Caller("other", "joe"), stream=True))


async def test_names_with_slashes_are_nobody_elses() -> None:
    async with quotas(QuotaLimits(requests_per_minute=1)) as one:
        for tenant in ("a", "a/b", "a%2Fb", "a:requests_per_minute", "", "ü"):
            one.end(await one.admit(Caller(tenant, "")))
            await refusal(one, Caller(tenant, ""))


async def test_refusals_say_what_to_do_and_are_counted() -> None:
    kept = {"acme": 3}

    async def num_bytes(owner: str) -> int:
        return 100

    more = {"voices": lambda owner: kept.get(owner, 0), "num_bytes": num_bytes}
    async with quotas(QuotaLimits(voices=3, bytes=100), **more) as one:
        error = await refusal(one, JOE, voice=True)
        assert error.message == (
            "quota: the tenant's 3 created voices are kept; delete one (voices)"
        )
        assert (await refusal(one, JOE, keeps=True)).retry_after_s == 5.0
        for quota in ("voices", "bytes"):
            assert one._metrics.refusals.labels("acme", quota)._value.get() == 1
        kept.clear()
        async with one.request(JOE, voice=True):
            assert one._making == {"acme": 1}
        assert one._making == {}


async def test_a_store_that_is_away_keeps_no_bytes_from_anybody() -> None:
    async def away(owner: str) -> int:
        raise errors.Unavailable("gone")

    async with quotas(QuotaLimits(bytes=1), num_bytes=away) as one:
        one.end(await one.admit(JOE, keeps=True))


async def test_audio_that_is_not_in_the_store_yet_counts() -> None:
    async with quotas(QuotaLimits(audio_seconds_per_day=2)) as one:
        one.end(await one.admit(JOE, 1), spoken(1, 2.0))
        assert one._tasks
        assert (await refusal(one, JOE, 1)).subject == "tenant:acme/audio_seconds_per_day"


async def test_without_any_quota_nothing_is_counted_but_the_metrics() -> None:
    rules = QuotaRules(QuotaLimits(), None)
    metrics = TenantMetrics(CollectorRegistry(), ["acme"])
    one = Quotas(rules, None, metrics, voices=len, num_bytes=None, bytes_free_s=1)  # type: ignore[arg-type]
    one.end(await one.admit(JOE, 5, stream=True, keeps=True, voice=True), spoken(5, 1.5))
    one.end(await one.admit(Caller("b", ""), 1), None)
    found = [
        c.labels(t)._value.get()
        for c in (metrics.requests, metrics.audio_seconds)
        for t in ("acme", "other")
    ]
    assert found == [1, 1, 1.5, 0]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "end", "cancel", "quiet"]),
        st.integers(0, 3),
        st.integers(0, 40),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_counts_are_those_of_what_was_spoken_and_streams_return_to_zero(
    steps: list[tuple[str, int, int]],
) -> None:
    async def run() -> None:
        own = {"joe": QuotaLimits(streams=2, characters_per_day=90)}
        of_all = QuotaLimits(streams=3, requests_per_minute=20, characters_per_day=100)
        async with quotas(of_all, own) as one:
            store, under_way, chars, requests = one._store, [], 0, 0
            assert isinstance(store, InProcessQuotas)
            for step, who, amount in steps:
                if step == "begin":
                    caller = JOE if who % 2 else ANN
                    with contextlib.suppress(errors.QuotaExceeded):
                        under_way.append((await one.admit(caller, amount, stream=True), amount))
                        requests += 1
                elif step == "cancel":
                    task = asyncio.create_task(one.admit(JOE, amount, stream=True))
                    for _ in range(who):
                        await asyncio.sleep(0)
                    if task.cancel():
                        with contextlib.suppress(asyncio.CancelledError, errors.QuotaExceeded):
                            under_way.append((await task, amount))
                            requests += 1
                elif under_way:
                    admission, amount = under_way.pop(who % len(under_way))
                    audio_s = 1.0 if step == "end" else 0.0
                    chars += amount if audio_s else 0
                    one.end(admission, spoken(amount, audio_s))
                    one.end(admission, spoken(amount, audio_s))
                await all_counted(one)
                assert sum(store.streams().values()) <= 5
            for admission, _ in under_way:
                one.end(admission)
            await all_counted(one)
            assert store.streams() == {}
            assert await store.add("tenant:acme:characters_per_day", 86_400, 0) == chars
            assert await store.add("tenant:acme:requests_per_minute", 60, 0) == requests

    asyncio.run(run())
