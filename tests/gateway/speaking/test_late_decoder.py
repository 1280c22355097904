"""Frames are decoded no further than the listener has room for."""

import asyncio
import time
from typing import Any

import pytest

from csm.v1 import common_pb2, speech_pb2
from gateway.backends.failure import BackendFailure
from gateway.backends.requests import Requests
from gateway.speaking.late_decoder import MIN_DECODED_FRAMES, LateDecoder
from tests.gateway.fakes import stack

FRAME_BYTES = 4


class Decoding:
    """Answers each frame with PCM of its number."""

    def __init__(self) -> None:
        self.fed: list[tuple[bytes, int]] = []
        self.requests = Requests()
        self._sounds: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue()

    def feed(self, codes: bytes, num_frames: int) -> None:
        assert len(codes) == num_frames * FRAME_BYTES
        self.fed.append((codes, num_frames))

    def answer(self, sound: tuple[bytes, int] | None) -> None:
        self._sounds.put_nowait(sound)

    async def sound(self) -> tuple[bytes, int] | None:
        return await self._sounds.get()

    def cancel(self) -> None:
        self.requests.close()


def codes(first: int, num_frames: int) -> bytes:
    return b"".join(n.to_bytes(FRAME_BYTES, "little") for n in range(first, first + num_frames))


def decoder(ahead_frames: int) -> tuple[LateDecoder, Any]:
    decoding = Decoding()
    return LateDecoder(decoding, FRAME_BYTES, ahead_frames), decoding  # type: ignore[arg-type]


async def test_what_is_not_read_stays_codes_and_comes_in_order_when_it_is() -> None:
    late, decoding = decoder(ahead_frames=5)
    late.feed(codes(0, 3), 3)
    late.feed(codes(3, 4), 4)
    late.feed(codes(7, 1), 1)
    assert [n for _, n in decoding.fed] == [3, 2]
    late.written(1)
    late.written(1)
    assert [n for _, n in decoding.fed] == [3, 2, 1]
    late.close()
    assert not decoding.requests.closed
    late.written(8)
    assert b"".join(c for c, _ in decoding.fed) == codes(0, 8)
    assert decoding.requests.closed


async def test_a_format_of_any_size_has_room_for_two_frames() -> None:
    late, decoding = decoder(ahead_frames=0)
    late.feed(codes(0, 9), 9)
    assert sum(n for _, n in decoding.fed) == MIN_DECODED_FRAMES


async def test_the_tokenizer_owes_sound_only_for_what_it_was_fed() -> None:
    late, decoding = decoder(ahead_frames=2)
    assert late.owed_s == 0
    late.feed(codes(0, 9), 9)
    heard: list[int] = []
    running = asyncio.create_task(late.run(lambda pcm, num_frames: heard.append(num_frames)))
    await asyncio.sleep(0.02)
    assert late.owed_s > 0
    decoding.answer((b"12", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert heard == [2]
    assert late.owed_s == 0
    decoding.answer(None)
    with pytest.raises(BackendFailure):
        await running  # it ended before its frames did


async def test_a_listener_in_the_largest_format_who_does_not_read_costs_little() -> None:
    form = common_pb2.AudioFormat(
        encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=192_000, channels=6
    )
    frame_bytes = 192_000 * 80 // 1000 * 6 * 4
    async with stack(max_pcm_bytes=2 << 20) as running:
        running.generator.frames_per_char = 2
        request = speech_pb2.SynthesizeRequest(text="x" * 50 + ".", format=form)
        call = running.stub.Synthesize(request)
        await call.read()
        await call.read()
        decoded, since = -1, time.monotonic()
        while time.monotonic() - since < 10:
            await asyncio.sleep(0.3)
            if len(running.tokenizer.decoded_frames) == decoded:
                break
            decoded = len(running.tokenizer.decoded_frames)
        # Beyond what gRPC has taken for the client's window, which is the client's to choose.
        (live,) = running.service._speech._live
        waiting = decoded - live.turn._delivery.sent_frames  # type: ignore[attr-defined]
        assert 0 < waiting * frame_bytes <= 2 << 20
        assert decoded < 102
        while True:
            answer = await call.read()
            if answer.WhichOneof("response") == "completed":
                break
        assert len(running.tokenizer.decoded_frames) == 102
