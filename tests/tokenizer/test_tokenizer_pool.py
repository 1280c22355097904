"""The pool: many streams, one worker; rows, order, fairness, bounds, failures."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from csm.errors import DeadlineExceeded, Internal, QueueFull, Unavailable
from csm.serving.metrics import Metrics, TokenizerMetrics
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.plan import CPU, MAX_STEP_FRAMES
from services.tokenizer.pool import CodecPool
from services.tokenizer.stream import MAX_UNREAD_FRAMES, MAX_WAITING_FRAMES, CodecStream
from services.tokenizer.streaming import run_codec
from services.tokenizer.waiting import PoolLimits

ROWS = 6


class SumDirection(CodecDirection):
    """A codec that one can check by eye: what comes out is the running sum of what went in."""

    operation = "decode"

    def __init__(self) -> None:
        self.rows, self.costs = ROWS, CPU
        self.sums = np.zeros(ROWS)
        self.steps: list[tuple[int, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.step_s = 0.0
        self.fail_on = -1.0

    def silence(self, frames: int) -> Block:
        return np.zeros((frames, 1))

    def reset(self, row: int) -> None:
        self.sums[row] = 0

    def step(self, first: int, blocks: list[Block | None]) -> list[Block | None]:
        self.gate.wait(10)
        time.sleep(self.step_s)
        outputs: list[Block | None] = []
        for row, block in enumerate(blocks, first):
            if block is None:
                outputs.append(None)
                continue
            if (block == self.fail_on).any():
                raise RuntimeError("out of memory")
            sums = self.sums[row] + block.cumsum(axis=0)
            self.sums[row] = sums[-1, 0]
            outputs.append(sums)
        self.steps.append(tuple(i for i, b in enumerate(blocks, first) if b is not None))
        return outputs

    def _new_state(self, rows: int) -> None:
        raise NotImplementedError

    def _step(self, batch: Block, state: object, mask: object) -> Block:
        raise NotImplementedError


class Pool(CodecPool):
    def __init__(self, limits: PoolLimits | None = None) -> None:
        self.direction = SumDirection()
        self.metrics = Metrics()
        super().__init__([self.direction], 12.5, TokenizerMetrics(self.metrics.registry), limits)

    def value(self, name: str) -> float:
        found = self.metrics.registry.get_sample_value(name, {"operation": "decode"})
        assert found is not None
        return found


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    running = Pool()
    await running.start()
    running.direction.steps.clear()
    yield running
    running.direction.gate.set()
    await running.stop()
    assert not running.alive(60)


def ones(frames: int) -> Block:
    return np.ones((frames, 1))


async def collect(stream: CodecStream) -> list[float]:
    return [float(v) for block in [b async for b in stream] for v in block[:, 0]]


async def in_step(stream: CodecStream) -> None:
    """Returns when the worker has begun the stream's step."""
    async with asyncio.timeout(5):
        while not stream.in_step:
            await asyncio.sleep(0.001)


async def test_frames_come_out_in_order_and_all_of_them(pool: Pool) -> None:
    stream = await pool.acquire("decode")
    for frames in (1, 5, 0, 20, 3):
        await stream.push(ones(frames))
    stream.end()
    assert await collect(stream) == [float(n) for n in range(1, 30)]
    stream.close()
    assert pool.open_streams == 0


async def test_the_first_step_is_one_frame_and_later_ones_are_longer(pool: Pool) -> None:
    stream = await pool.acquire("decode")
    await stream.push(ones(20))
    stream.end()
    lengths = [len(block) async for block in stream]
    assert lengths == [1, MAX_STEP_FRAMES, MAX_STEP_FRAMES, 3]
    stream.close()


async def test_streams_do_not_share_state_and_rows_are_fresh_when_reused(pool: Pool) -> None:
    async def one(frames: int) -> None:
        for _ in range(5):
            stream = await pool.acquire("decode")
            try:
                for _ in range(frames):
                    await stream.push(ones(1))
                    await asyncio.sleep(0)
                stream.end()
                assert await collect(stream) == [float(n) for n in range(1, frames + 1)]
            finally:
                stream.close()

    await asyncio.gather(*(one(frames) for frames in (3, 7, 11, 2, 20, 5)))
    assert pool.open_streams == 0


async def test_streams_that_are_ready_together_advance_in_one_step(pool: Pool) -> None:
    pool.direction.gate.clear()
    first = await pool.acquire("decode")
    await first.push(ones(1))
    await in_step(first)
    streams = [await pool.acquire("decode") for _ in range(ROWS - 1)]
    for stream in streams:
        await stream.push(ones(1))
    pool.direction.gate.set()
    for stream in (first, *streams):
        stream.end()
        assert await collect(stream) == [1.0]
        stream.close()
    assert pool.direction.steps == [(0,), tuple(range(1, ROWS))]
    assert pool.value("csm_tokenizer_batch_size_sum") == ROWS
    assert pool.value("csm_tokenizer_batch_size_count") == 2
    assert pool.value("csm_tokenizer_audio_seconds_total") == pytest.approx(ROWS * 0.08)
    assert pool.value("csm_tokenizer_first_chunk_seconds_count") == ROWS


@pytest.fixture
async def start_pool() -> AsyncIterator[Callable[..., Any]]:
    """Starts pools with limits of one's own; stops them after the test."""
    running: list[Pool] = []

    async def start(**limits: float) -> Pool:
        running.append(Pool(PoolLimits(**limits)))  # type: ignore[arg-type]
        await running[-1].start()
        return running[-1]

    yield start
    for one in running:
        one.direction.gate.set()
        await one.stop()


def refused(pool: Pool) -> float | None:
    return pool.metrics.registry.get_sample_value(
        "csm_tokenizer_rejected_total", {"reason": "streams_full"}
    )


async def test_a_stream_beyond_the_last_row_waits_for_one_in_the_order_of_coming(
    pool: Pool,
) -> None:
    streams = [await pool.acquire("decode") for _ in range(ROWS)]
    order: list[int] = []

    async def late(number: int) -> CodecStream:
        stream = await pool.acquire("decode")
        order.append(number)
        return stream

    waiting = [asyncio.create_task(late(number)) for number in range(3)]
    await asyncio.sleep(0.05)
    assert order == []
    streams[2].close()
    streams[2].close()
    assert (await waiting[0]).row == 2
    streams[4].close()
    streams[0].close()
    assert {(await task).row for task in waiting[1:]} == {0, 4}
    assert order == [0, 1, 2]
    assert pool.open_streams == ROWS
    assert refused(pool) == 0


async def test_nobody_overtakes_those_that_wait(pool: Pool) -> None:
    streams = [await pool.acquire("decode") for _ in range(ROWS)]
    first = asyncio.create_task(pool.acquire("decode"))
    await asyncio.sleep(0)
    streams[0].close()
    second = asyncio.create_task(pool.acquire("decode"))
    await asyncio.sleep(0.01)
    assert first.done()
    assert not second.done()
    streams[1].close()
    await second


async def test_a_stream_that_waits_in_vain_is_refused_and_leaves_its_place(
    start_pool: Callable[..., Any],
) -> None:
    pool: Pool = await start_pool(wait_s=0.1, max_waiting=2)
    streams = [await pool.acquire("decode") for _ in range(ROWS)]
    waiting = [asyncio.create_task(pool.acquire("decode")) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(QueueFull, match="all 6 decode streams are in use, 2 wait"):
        await pool.acquire("decode")
    for task in waiting:
        with pytest.raises(QueueFull, match=r"none was free within 0.1 s \(stream_wait_s\)"):
            await task
    assert refused(pool) == 3
    streams[0].close()
    (await pool.acquire("decode")).close()


async def test_a_stream_to_decode_waits_no_longer_than_is_said_of_these(
    start_pool: Callable[..., Any],
) -> None:
    pool: Pool = await start_pool(wait_s=5, decode_wait_s=0.1)
    held = [await pool.acquire("decode") for _ in range(ROWS)]
    with pytest.raises(QueueFull, match=r"none was free within 0.1 s \(decode_wait_s\)"):
        await pool.acquire("decode")
    for stream in held:
        stream.close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_call_that_is_cancelled_as_its_row_comes_gives_it_back(
    pool: Pool, turns: int
) -> None:
    streams = [await pool.acquire("decode") for _ in range(ROWS)]
    waiting = asyncio.create_task(pool.acquire("decode"))
    await asyncio.sleep(0.01)
    streams[3].close()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]
    if isinstance(outcome, CodecStream):
        outcome.close()
    assert pool.open_streams == ROWS - 1
    assert (await pool.acquire("decode")).row == 3


async def test_a_row_in_a_step_is_free_only_after_it(pool: Pool) -> None:
    pool.direction.gate.clear()
    stream = await pool.acquire("decode")
    await stream.push(ones(1))
    await in_step(stream)
    stream.close()
    others = [await pool.acquire("decode") for _ in range(ROWS - 1)]
    assert stream.row not in [other.row for other in others]
    waiting = asyncio.create_task(pool.acquire("decode"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    pool.direction.gate.set()
    assert (await asyncio.wait_for(waiting, 5)).row == stream.row


async def test_a_row_is_free_when_its_last_frame_is_made_though_not_read(pool: Pool) -> None:
    stream = await pool.acquire("decode")
    await stream.push(ones(20))
    stream.end()
    await stream.finish()
    assert pool.value("csm_tokenizer_sessions_active") == 0
    others = [await pool.acquire("decode") for _ in range(ROWS)]
    assert await collect(stream) == [float(n) for n in range(1, 21)]
    stream.close()
    assert len({other.row for other in others}) == ROWS


async def test_a_reader_that_takes_nothing_loses_its_row_after_a_while(
    start_pool: Callable[..., Any],
) -> None:
    pool: Pool = await start_pool(max_idle_s=0.2)

    async def endless() -> AsyncIterator[Block]:
        while True:
            yield ones(8)

    async def at_its_end() -> AsyncIterator[Block]:
        yield ones(MAX_UNREAD_FRAMES + 60)

    for blocks in (endless(), at_its_end()):
        outputs = run_codec(pool, "decode", blocks)
        assert len(await anext(outputs)) == 1
        async with asyncio.timeout(5):
            while pool.value("csm_tokenizer_sessions_active"):
                await asyncio.sleep(0.01)
        with pytest.raises(DeadlineExceeded, match=r"was read for 0.2 s \(max_idle_s\)"):
            async for _ in outputs:
                pass
    assert pool.open_streams == 0


async def test_a_call_without_a_whole_frame_holds_no_row(pool: Pool) -> None:
    go_on = asyncio.Event()

    async def blocks() -> AsyncIterator[Block]:
        yield ones(0)
        await go_on.wait()
        yield ones(0)
        yield ones(2)

    outputs = run_codec(pool, "decode", blocks())
    first = asyncio.create_task(anext(outputs))
    await asyncio.sleep(0.05)
    assert pool.open_streams == 0
    go_on.set()
    assert len(await first) == 1
    await outputs.aclose()


async def test_a_backlog_does_not_hold_up_a_live_stream(pool: Pool) -> None:
    """The live stream waits for the step under way and then for its own, never for the backlog."""
    pool.direction.step_s = 0.01
    backlogs = [await pool.acquire("decode") for _ in range(2)]

    async def fill(stream: CodecStream) -> None:
        while not stream.row_freed:
            await stream.push(ones(30))

    async def drain(stream: CodecStream) -> None:
        async for _ in stream:
            pass

    tasks = [asyncio.create_task(work(s)) for s in backlogs for work in (fill, drain)]
    await asyncio.sleep(0.1)
    live = await pool.acquire("decode")
    for _ in range(5):
        before = len(pool.direction.steps)
        await live.push(ones(1))
        await anext(live)
        # One under way, one for each of the backlogs that are served first, its own.
        assert len(pool.direction.steps) - before <= 2 + len(backlogs)
        await asyncio.sleep(0.03)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_reader_pauses_its_own_stream_only(pool: Pool) -> None:
    slow, quick = await pool.acquire("decode"), await pool.acquire("decode")
    await slow.push(ones(1000))
    for _ in range(20):
        await quick.push(ones(1))
        await anext(quick)
    async with asyncio.timeout(5):
        while slow.unread_frames < MAX_UNREAD_FRAMES:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert slow.unread_frames < MAX_UNREAD_FRAMES + MAX_STEP_FRAMES
    slow.end()
    assert len(await collect(slow)) == 1000


async def test_a_writer_waits_where_too_much_waits(pool: Pool) -> None:
    pool.direction.gate.clear()
    stream = await pool.acquire("decode")
    await stream.push(ones(MAX_WAITING_FRAMES + 20))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.push(ones(1)), 0.1)
    pool.direction.gate.set()
    reading = asyncio.create_task(collect(stream))
    await asyncio.wait_for(stream.push(ones(1)), 5)
    stream.end()
    assert len(await reading) == MAX_WAITING_FRAMES + 21


async def test_a_failed_step_fails_its_streams_and_no_others(pool: Pool) -> None:
    pool.direction.fail_on = 7.0
    good = await pool.acquire("decode")
    await good.push(ones(1))
    assert await anext(good) is not None
    bad = await pool.acquire("decode")
    await bad.push(np.full((1, 1), 7.0))
    with pytest.raises(Internal, match="the server's log says why") as caught:
        await anext(bad)
    assert "memory" not in str(caught.value)
    with pytest.raises(Internal):
        await bad.push(ones(1))
    bad.close()
    await good.push(ones(1))
    assert (await anext(good))[0, 0] == 2.0
    again = await pool.acquire("decode")
    await again.push(ones(1))
    assert (await anext(again))[0, 0] == 1.0
    assert pool.alive(60)


async def test_a_stuck_step_fails_liveness_and_idleness_does_not(pool: Pool) -> None:
    await asyncio.sleep(0.05)
    assert pool.alive(0.01)
    pool.direction.gate.clear()
    stream = await pool.acquire("decode")
    await stream.push(ones(1))
    await asyncio.sleep(0.1)
    assert not pool.alive(0.05)
    assert pool.alive(60)
    pool.direction.gate.set()
    await anext(stream)
    assert pool.alive(0.05)


async def test_a_drain_lets_streams_finish_and_fails_the_rest(pool: Pool) -> None:
    quick, slow = await pool.acquire("decode"), await pool.acquire("decode")

    async def finish(stream: CodecStream) -> None:
        try:
            await collect(stream)
        finally:
            stream.close()

    reading = [asyncio.create_task(finish(s)) for s in (quick, slow)]
    draining = asyncio.create_task(pool.drain(0.2, Unavailable("going away")))
    await asyncio.sleep(0.05)
    quick.end()
    await reading[0]
    with pytest.raises(Unavailable, match="going away"):
        await reading[1]
    await draining
    assert pool.open_streams == 0


async def test_a_drain_ends_those_that_wait_for_a_row_and_those_that_wait_for_a_frame(
    pool: Pool,
) -> None:
    streams = [await pool.acquire("decode") for _ in range(ROWS)]

    async def blocks(first: Block) -> AsyncIterator[Block]:
        yield first
        await asyncio.sleep(60)

    waiting = [
        asyncio.ensure_future(anext(run_codec(pool, "decode", blocks(ones(n))))) for n in (0, 1)
    ]
    await asyncio.sleep(0.02)
    await pool.drain(0.1, Unavailable("going away"))
    for task in waiting:
        with pytest.raises(Unavailable, match="going away"):
            await task
    with pytest.raises(Unavailable):
        await anext(streams[0])


async def test_a_drain_lets_what_is_made_be_read(pool: Pool) -> None:
    outputs = run_codec(pool, "decode", once(ones(12)))
    assert len(await anext(outputs)) == 1
    draining = asyncio.create_task(pool.drain(5, Unavailable("going away")))
    await asyncio.sleep(0.1)
    assert not draining.done()
    assert sum([len(block) async for block in outputs]) == 11
    await asyncio.wait_for(draining, 1)


async def once(block: Block) -> AsyncIterator[Block]:
    yield block


async def test_a_warm_up_that_fails_is_told_to_whoever_starts() -> None:
    pool = Pool()
    pool.direction.fail_on = 0.0
    with pytest.raises(RuntimeError, match="out of memory"):
        await pool.start()
    await pool.stop()
    assert not pool.alive(60)


async def test_a_start_that_is_cancelled_leaves_no_worker_to_wait_for() -> None:
    pool = Pool()
    pool.direction.gate.clear()
    start = asyncio.create_task(pool.start())
    await asyncio.sleep(0.05)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    pool.direction.gate.set()
    async with asyncio.timeout(5):
        while pool.alive(60):
            await asyncio.sleep(0.01)
