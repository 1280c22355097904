"""What the requests of the tokenizer must look like, before anything is done with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from csm.audio.frames import Codes, unpack
from csm.errors import DeadlineExceeded, invalid
from csm.v1 import common_pb2
from services.tokenizer.codec import MimiConfig

MAX_CHUNK_BYTES = 1 << 20
MAX_MESSAGE_FRAMES = 1024


async def first_config(requests: AsyncIterator[Any]) -> Any:
    """The config that the first message must be. Raises `InvalidArgument` about `config`.

    How long it may take to come is the interceptor's to say.
    """
    request = await anext(requests, None)
    kind = None if request is None else request.WhichOneof("request")
    if request is None or kind != "config":
        came = "none" if request is None else kind or "an empty one"
        raise invalid("config", f"is missing; the first message must be the config, {came} came")
    return request.config


async def after_config(
    requests: AsyncIterator[Any], kind: str, max_idle_s: float
) -> AsyncGenerator[Any, None]:
    """The field `kind` of every further message.

    Raises `InvalidArgument` for all others, `DeadlineExceeded` where none comes for `max_idle_s`.
    """
    while True:
        try:
            async with asyncio.timeout(max_idle_s):
                request = await anext(requests, None)
        except TimeoutError:
            raise DeadlineExceeded(f"no message came for {max_idle_s:g} s (max_idle_s)") from None
        if request is None:
            return
        came = request.WhichOneof("request")
        if came == "config":
            raise invalid("config", "came twice; only the first message may be the config")
        if came != kind:
            raise invalid("request", f"is empty; after the config only {kind} is allowed")
        yield getattr(request, kind)


async def audio_chunks(
    requests: AsyncIterator[Any], max_idle_s: float
) -> AsyncGenerator[bytes, None]:
    """The audio of every message after the config; see `after_config`."""
    async for chunk in after_config(requests, "audio", max_idle_s):
        if len(chunk) > MAX_CHUNK_BYTES:
            raise invalid(
                "audio", f"a message has {len(chunk)} bytes; allowed are {MAX_CHUNK_BYTES} each"
            )
        yield chunk


def recording_warnings(warnings: Sequence[str]) -> list[common_pb2.Warning]:
    """What was odd about a recording, as the wire says it."""
    return [
        common_pb2.Warning(
            kind=common_pb2.WARNING_KIND_RECORDING, field="audio", description=description
        )
        for description in warnings
    ]


async def frame_blocks(
    requests: AsyncIterator[Any], config: MimiConfig, max_idle_s: float
) -> AsyncGenerator[Codes, None]:
    """The frames of every message after the config; see `after_config`."""
    async for message in after_config(requests, "frames", max_idle_s):
        yield codes_of(message, config, MAX_MESSAGE_FRAMES)


def codes_of(
    message: common_pb2.TokenFrames, config: MimiConfig, max_frames: int | None = None
) -> Codes:
    """The codes [n, num_codebooks] of a message. Raises `InvalidArgument` about `frames`."""
    return unpack(
        message,
        num_codebooks=config.num_codebooks,
        codebook_size=config.codebook_size,
        max_frames=max_frames,
    )


async def one_by_one(codes: Codes, block_frames: int) -> AsyncGenerator[Codes, None]:
    """Codes that are all there, in blocks."""
    for first in range(0, len(codes), block_frames):
        yield codes[first : first + block_frames]
