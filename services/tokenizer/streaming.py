"""Blocks through the codec: fed from one side while they are read from the other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator

from csm.serving.calls.record import current_call
from services.tokenizer.direction import Block
from services.tokenizer.pool import CodecPool
from services.tokenizer.stream import CodecStream, Operation


async def run_codec(
    pool: CodecPool, operation: Operation, blocks: AsyncIterator[Block]
) -> AsyncGenerator[Block, None]:
    """What the codec makes of `blocks`, as it is made, through one codec state.

    The state is taken when the first whole frame is there: a call that only stands open takes none
    from others. A task of its own reads `blocks`, so a slow reader of the outputs keeps nobody from
    reading the inputs, up to the stream's bounds. An error of `blocks` is raised here. Closing the
    generator frees the state.

    Raises:
        QueueFull: all states are in use, and none was free in time.
        DeadlineExceeded: the outputs were not read for too long.
    """
    with pool.call():
        first = await pool.before_shutdown(_first(blocks))
        if first is None:
            return
        began_s = time.monotonic()
        stream = await pool.acquire(operation)
        waited_s, first_s, frames = time.monotonic() - began_s, 0.0, 0
        feeding = asyncio.create_task(_feed(stream, first, blocks))
        try:
            async for block in stream:
                first_s = first_s or time.monotonic() - began_s
                frames += len(block)
                yield block
        finally:
            current_call().stage(
                None,
                operation,
                began_s,
                time.monotonic(),
                frames=frames,
                wait_ms=round(1000 * waited_s, 1),
                first_ms=round(1000 * first_s, 1),
            )
            stream.close()
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding


async def _first(blocks: AsyncIterator[Block]) -> Block | None:
    """The first block that has a frame in it; None where there is none."""
    async for block in blocks:
        if len(block):
            return block
    return None


async def _feed(stream: CodecStream, first: Block, rest: AsyncIterator[Block]) -> None:
    try:
        await stream.push(first)
        async for block in rest:
            await stream.push(block)
        stream.end()
        await stream.finish()
    except Exception as error:
        # The reader of the outputs is who can tell the client.
        stream.fail(error)
