"""What a StreamingDecode call is fed with."""

from types import SimpleNamespace
from typing import Any

import pytest

from csm.v1 import common_pb2
from gateway.backends.calls import MAX_JOINED_FRAMES, Decoding
from gateway.commands import StreamFormat

FORM = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, 24_000, 1)


@pytest.fixture
def decoding() -> Decoding:
    info = SimpleNamespace(tokenizer=SimpleNamespace(num_codebooks=2))
    stub = SimpleNamespace(StreamingDecode=lambda *_, **__: None)
    backends: Any = SimpleNamespace(info=info, tokenizer=stub)
    return Decoding(backends, FORM, None)


async def taken(decoding: Decoding) -> list[Any]:
    decoding.close()
    return [request async for request in decoding.requests]


async def test_frames_that_wait_leave_in_one_message(decoding: Decoding) -> None:
    for number in range(3):
        decoding.feed(bytes([number] * 4), 1)
    config, frames = await taken(decoding)
    assert config.WhichOneof("request") == "config"
    assert frames.frames.num_frames == 3
    assert frames.frames.codes == bytes([0] * 4 + [1] * 4 + [2] * 4)
    assert frames.frames.first_frame == 0


async def test_no_more_wait_in_one_message_than_are_decoded_in_a_step(decoding: Decoding) -> None:
    for _ in range(MAX_JOINED_FRAMES + 2):
        decoding.feed(bytes(4), 1)
    _, first, second = await taken(decoding)
    assert first.frames.num_frames == MAX_JOINED_FRAMES
    assert (second.frames.first_frame, second.frames.num_frames) == (MAX_JOINED_FRAMES, 2)


async def test_what_has_left_is_not_added_to(decoding: Decoding) -> None:
    decoding.feed(bytes(4), 1)
    requests = aiter(decoding.requests)
    await anext(requests)
    left = await anext(requests)
    decoding.feed(bytes(4), 1)
    assert left.frames.num_frames == 1
    assert (await anext(requests)).frames.first_frame == 1
