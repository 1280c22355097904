"""A client that reads nothing of an answer loses its codec state, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from csm.audio import frames
from csm.v1 import tokenizer_pb2
from tests.csm.serving.rpc.raw_http2 import RawConnection, message, rpc_headers
from tests.tokenizer.running_tokenizer import F32, Tokenizer, chirp, random_codes

DECODING = [
    tokenizer_pb2.StreamingDecodeRequest(config=tokenizer_pb2.StreamingDecodeConfig()),
    tokenizer_pb2.StreamingDecodeRequest(frames=frames.pack(random_codes(3))),
]
ENCODING = [
    tokenizer_pb2.StreamingEncodeRequest(config=tokenizer_pb2.EncodeConfig(format=F32)),
    tokenizer_pb2.StreamingEncodeRequest(audio=chirp(1920 * 3).tobytes()),
]


@pytest.mark.parametrize(
    ("method", "requests"), [("StreamingDecode", DECODING), ("StreamingEncode", ENCODING)]
)
async def test_an_answer_that_nobody_reads_frees_its_codec_state(
    start_tokenizer: Callable[..., Any], method: str, requests: list[Any]
) -> None:
    tokenizer: Tokenizer = await start_tokenizer(max_streams=1, max_unread_s=0.4)

    def talk() -> RawConnection:
        raw = RawConnection(tokenizer.host.address, window_bytes=0)
        raw.headers(1, rpc_headers(f"/csm.v1.TokenizerService/{method}".encode()))
        for request in requests:
            raw.data(1, message(request.SerializeToString()))
        return raw

    raw = await asyncio.to_thread(talk)
    async with asyncio.timeout(5):
        while not tokenizer.active():
            await asyncio.sleep(0.01)
    await tokenizer.until_idle()
    raw.close()
