"""What the requests of the tokenizer must look like, before anything is done with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from csm.audio.frames import Codes, unpack
from csm.errors import invalid
from csm.v1 import common_pb2
from services.tokenizer.codec import MimiConfig

MAX_CHUNK_BYTES = 1 << 20
MAX_MESSAGE_FRAMES = 1024


async def first_config(requests: AsyncIterator[Any]) -> Any:
    """The config that the first message must be. Raises `InvalidArgument` about `config`."""
    async for request in requests:
        kind = request.WhichOneof("request")
        if kind != "config":
            came = f"{kind} came" if kind else "an empty one came"
            raise invalid("config", f"is missing; the first message must be the config, {came}")
        return request.config
    raise invalid("config", "is missing; the first message must be the config, none came")


async def after_config(requests: AsyncIterator[Any], kind: str) -> AsyncGenerator[Any, None]:
    """The field `kind` of every further message. Raises `InvalidArgument` for all others."""
    async for request in requests:
        came = request.WhichOneof("request")
        if came == "config":
            raise invalid("config", "came twice; only the first message may be the config")
        if came != kind:
            raise invalid("request", f"is empty; after the config only {kind} is allowed")
        yield getattr(request, kind)


async def audio_chunks(requests: AsyncIterator[Any]) -> AsyncGenerator[bytes, None]:
    """The audio of every message after the config."""
    async for chunk in after_config(requests, "audio"):
        if len(chunk) > MAX_CHUNK_BYTES:
            raise invalid(
                "audio", f"a message has {len(chunk)} bytes; allowed are {MAX_CHUNK_BYTES} each"
            )
        yield chunk


async def frame_blocks(
    requests: AsyncIterator[Any], config: MimiConfig
) -> AsyncGenerator[Codes, None]:
    """The frames of every message after the config."""
    async for message in after_config(requests, "frames"):
        yield codes_of(message, config, MAX_MESSAGE_FRAMES)


def codes_of(message: common_pb2.TokenFrames, config: MimiConfig, max_frames: int) -> Codes:
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
