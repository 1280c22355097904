"""The pool: many streams, one worker; rows, order, fairness, bounds, failures."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from csm.errors import Internal, QueueFull, Unavailable
from csm.serving.metrics import Metrics, TokenizerMetrics
from services.tokenizer.direction import Block, CodecDirection
from services.tokenizer.plan import CPU, MAX_STEP_FRAMES
from services.tokenizer.pool import CodecPool
from services.tokenizer.stream import MAX_UNREAD_FRAMES, MAX_WAITING_FRAMES, CodecStream

ROWS = 6


class SumHalf(CodecDirection):
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
    def __init__(self) -> None:
        self.half = SumHalf()
        self.metrics = Metrics()
        super().__init__([self.half], 12.5, TokenizerMetrics(self.metrics.registry))

    def value(self, name: str) -> float:
        found = self.metrics.registry.get_sample_value(name, {"operation": "decode"})
        assert found is not None
        return found


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    running = Pool()
    await running.start()
    running.half.steps.clear()
    yield running
    running.half.gate.set()
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
    stream = pool.open("decode")
    for frames in (1, 5, 0, 20, 3):
        await stream.push(ones(frames))
    stream.end()
    assert await collect(stream) == [float(n) for n in range(1, 30)]
    stream.close()
    assert pool.open_streams == 0


async def test_the_first_step_is_one_frame_and_later_ones_are_longer(pool: Pool) -> None:
    stream = pool.open("decode")
    await stream.push(ones(20))
    stream.end()
    lengths = [len(block) async for block in stream]
    assert lengths == [1, MAX_STEP_FRAMES, MAX_STEP_FRAMES, 3]
    stream.close()


async def test_streams_do_not_share_state_and_rows_are_fresh_when_reused(pool: Pool) -> None:
    async def one(frames: int) -> None:
        for _ in range(5):
            stream = pool.open("decode")
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
    pool.half.gate.clear()
    first = pool.open("decode")
    await first.push(ones(1))
    await in_step(first)
    streams = [pool.open("decode") for _ in range(ROWS - 1)]
    for stream in streams:
        await stream.push(ones(1))
    pool.half.gate.set()
    for stream in (first, *streams):
        stream.end()
        assert await collect(stream) == [1.0]
        stream.close()
    assert pool.half.steps == [(0,), tuple(range(1, ROWS))]
    assert pool.value("csm_tokenizer_batch_size_sum") == ROWS
    assert pool.value("csm_tokenizer_batch_size_count") == 2
    assert pool.value("csm_tokenizer_audio_seconds_total") == pytest.approx(ROWS * 0.08)
    assert pool.value("csm_tokenizer_first_chunk_seconds_count") == ROWS


async def test_a_stream_beyond_the_last_row_is_refused_until_one_is_closed(pool: Pool) -> None:
    streams = [pool.open("decode") for _ in range(ROWS)]
    with pytest.raises(QueueFull, match="all 6 decode streams are in use"):
        pool.open("decode")
    streams[2].close()
    streams[2].close()
    assert pool.open("decode").row == 2
    with pytest.raises(QueueFull):
        pool.open("decode")
    rejected = pool.metrics.registry.get_sample_value(
        "csm_tokenizer_rejected_total", {"reason": "streams_full"}
    )
    assert rejected == 2


async def test_a_row_in_a_step_is_free_only_after_it(pool: Pool) -> None:
    pool.half.gate.clear()
    stream = pool.open("decode")
    await stream.push(ones(1))
    await in_step(stream)
    stream.close()
    others = [pool.open("decode") for _ in range(ROWS - 1)]
    assert stream.row not in [other.row for other in others]
    with pytest.raises(QueueFull):
        pool.open("decode")
    pool.half.gate.set()
    async with asyncio.timeout(5):
        while stream.in_step:
            await asyncio.sleep(0.001)
    assert pool.open("decode").row == stream.row


async def test_a_backlog_does_not_hold_up_a_live_stream(pool: Pool) -> None:
    """The live stream waits for the step under way and then for its own, never for the backlog."""
    pool.half.step_s = 0.01
    backlogs = [pool.open("decode") for _ in range(2)]

    async def fill(stream: CodecStream) -> None:
        while not stream.closed:
            await stream.push(ones(30))

    async def drain(stream: CodecStream) -> None:
        async for _ in stream:
            pass

    tasks = [asyncio.create_task(work(s)) for s in backlogs for work in (fill, drain)]
    await asyncio.sleep(0.1)
    live = pool.open("decode")
    for _ in range(5):
        before = len(pool.half.steps)
        await live.push(ones(1))
        await anext(live)
        # One under way, one for each of the backlogs that are served first, its own.
        assert len(pool.half.steps) - before <= 2 + len(backlogs)
        await asyncio.sleep(0.03)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_reader_pauses_its_own_stream_only(pool: Pool) -> None:
    slow, quick = pool.open("decode"), pool.open("decode")
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
    pool.half.gate.clear()
    stream = pool.open("decode")
    await stream.push(ones(MAX_WAITING_FRAMES + 20))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.push(ones(1)), 0.1)
    pool.half.gate.set()
    reading = asyncio.create_task(collect(stream))
    await asyncio.wait_for(stream.push(ones(1)), 5)
    stream.end()
    assert len(await reading) == MAX_WAITING_FRAMES + 21


async def test_a_failed_step_fails_its_streams_and_no_others(pool: Pool) -> None:
    pool.half.fail_on = 7.0
    good = pool.open("decode")
    await good.push(ones(1))
    assert await anext(good) is not None
    bad = pool.open("decode")
    await bad.push(np.full((1, 1), 7.0))
    with pytest.raises(Internal, match="the server's log says why") as caught:
        await anext(bad)
    assert "memory" not in str(caught.value)
    with pytest.raises(Internal):
        await bad.push(ones(1))
    bad.close()
    await good.push(ones(1))
    assert (await anext(good))[0, 0] == 2.0
    again = pool.open("decode")
    await again.push(ones(1))
    assert (await anext(again))[0, 0] == 1.0
    assert pool.alive(60)


async def test_a_stuck_step_fails_liveness_and_idleness_does_not(pool: Pool) -> None:
    await asyncio.sleep(0.05)
    assert pool.alive(0.01)
    pool.half.gate.clear()
    stream = pool.open("decode")
    await stream.push(ones(1))
    await asyncio.sleep(0.1)
    assert not pool.alive(0.05)
    assert pool.alive(60)
    pool.half.gate.set()
    await anext(stream)
    assert pool.alive(0.05)


async def test_a_drain_lets_streams_finish_and_fails_the_rest(pool: Pool) -> None:
    quick, slow = pool.open("decode"), pool.open("decode")

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


async def test_a_warm_up_that_fails_is_told_to_whoever_starts() -> None:
    pool = Pool()
    pool.half.fail_on = 0.0
    with pytest.raises(RuntimeError, match="out of memory"):
        await pool.start()
    await pool.stop()
    assert not pool.alive(60)


async def test_a_start_that_is_cancelled_leaves_no_worker_to_wait_for() -> None:
    pool = Pool()
    pool.half.gate.clear()
    start = asyncio.create_task(pool.start())
    await asyncio.sleep(0.05)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    pool.half.gate.set()
    async with asyncio.timeout(5):
        while pool.alive(60):
            await asyncio.sleep(0.01)
