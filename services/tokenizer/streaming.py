"""Blocks through the codec: fed from one side while they are read from the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from services.tokenizer.direction import Block
from services.tokenizer.pool import CodecPool
from services.tokenizer.stream import CodecStream, Operation


async def passage(
    pool: CodecPool, operation: Operation, blocks: AsyncIterator[Block]
) -> AsyncGenerator[Block, None]:
    """What the codec makes of `blocks`, as it is made, through one codec state.

    A task of its own reads `blocks`, so a slow reader of the outputs keeps nobody from reading
    the inputs, up to the stream's bounds. An error of `blocks` is raised here. Closing the
    generator frees the state.

    Raises:
        QueueFull: all streams are in use.
    """
    stream = pool.open(operation)
    feeding = asyncio.create_task(_feed(stream, blocks))
    try:
        async for block in stream:
            yield block
    finally:
        stream.close()
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding


async def _feed(stream: CodecStream, blocks: AsyncIterator[Block]) -> None:
    try:
        async for block in blocks:
            await stream.push(block)
        stream.end()
    except Exception as error:
        # The reader of the outputs is who can tell the client.
        stream.fail(error)
