"""Frames are decoded no further than the listener has room for."""

import asyncio
import random
import time
from typing import Any

import pytest

from csm.v1 import common_pb2, speech_pb2
from gateway.backends.failure import BackendFailure
from gateway.backends.requests import Requests
from gateway.speaking.late_decoder import (
    MAX_FED_FRAMES,
    MIN_DECODED_FRAMES,
    PRIMER_FRAMES,
    DecoderFormat,
    LateDecoder,
)
from tests.gateway.fakes import stack

FRAME_BYTES = 4
FRAME_SAMPLES = 10
FRAME_S = 0.08


class Decoding:
    """Answers each frame with PCM of its number."""

    def __init__(self) -> None:
        self.fed: list[tuple[bytes, int]] = []
        self.requests = Requests()
        self._sounds: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue()

    def feed(self, codes: bytes, num_frames: int) -> None:
        assert len(codes) == num_frames * FRAME_BYTES
        self.fed.append((codes, num_frames))

    @property
    def closed(self) -> bool:
        return self.requests.closed

    def close(self) -> None:
        self.requests.close()

    def answer(self, sound: tuple[bytes, int] | None) -> None:
        self._sounds.put_nowait(sound)

    async def sound(self) -> tuple[bytes, int] | None:
        return await self._sounds.get()

    def cancel(self) -> None:
        self.requests.close()


def codes(first: int, num_frames: int) -> bytes:
    return b"".join(n.to_bytes(FRAME_BYTES, "little") for n in range(first, first + num_frames))


def decoder(ahead_frames: int, *others: Decoding, lead_s: float = 0.0) -> tuple[LateDecoder, Any]:
    """One whose calls are the one returned and then `others`, as long as there are any, for a
    listener with so many seconds in hand."""
    decoding = Decoding()
    calls: Any = [decoding, *others]

    async def go_on(failure: BackendFailure) -> bool:
        return bool(calls)

    form = DecoderFormat(FRAME_BYTES, FRAME_SAMPLES, sample_bytes=1, frame_s=FRAME_S)
    late = LateDecoder(
        lambda: calls.pop(0), form, ahead_frames, go_on, lambda source: None, lambda: lead_s
    )
    return late, decoding


@pytest.mark.parametrize(
    ("lead_s", "fed"),
    [(0.0, [1] * 8), (0.4, [1] * 8), (0.5, [2] * 4), (0.75, [3, 3]), (1.0, [4, 4]), (9.0, [4, 4])],
)
async def test_frames_are_gathered_for_at_most_a_third_of_what_the_listener_has(
    lead_s: float, fed: list[int]
) -> None:
    late, decoding = decoder(100, lead_s=lead_s)
    for number in range(8):
        late.feed(codes(number, 1), 1)
    assert [n for _, n in decoding.fed] == fed
    late.close()
    assert b"".join(c for c, _ in decoding.fed) == codes(0, 8)
    assert decoding.requests.closed


async def test_what_was_gathered_goes_on_when_no_more_comes() -> None:
    late, decoding = decoder(100, lead_s=0.6)
    late.feed(codes(0, 1), 1)
    late.written(0)
    assert not decoding.fed
    await asyncio.sleep(0.1)
    assert not decoding.fed
    await asyncio.sleep(0.2)
    assert [n for _, n in decoding.fed] == [1]


async def test_what_was_gathered_can_be_taken_back_and_a_stop_keeps_it() -> None:
    late, decoding = decoder(100, lead_s=0.6)
    late.feed(codes(0, 1), 1)
    assert late.withdraw(0)
    late.feed(codes(0, 1), 1)
    late.stop()
    await asyncio.sleep(0.3)
    assert not decoding.fed


async def test_no_message_has_more_frames_than_a_tokenizer_takes() -> None:
    late, decoding = decoder(1000)
    late.feed(codes(0, 150), 150)
    assert [n for _, n in decoding.fed] == [64, 64, 22]


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
    assert late.owed.for_s == 0
    late.feed(codes(0, 9), 9)
    heard: list[int] = []
    running = asyncio.create_task(late.run(lambda pcm, num_frames: heard.append(num_frames)))
    await asyncio.sleep(0.02)
    assert late.owed.for_s > 0
    decoding.answer((b"12", 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert heard == [2]
    assert late.owed.for_s == 0
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


async def test_the_tokenizer_owes_the_end_of_a_call_that_is_closed() -> None:
    late, decoding = decoder(ahead_frames=9)
    late.feed(codes(0, 2), 2)
    running = asyncio.create_task(late.run(lambda pcm, num_frames: None))
    decoding.answer((b"12", 2))
    await asyncio.sleep(0.01)
    assert late.owed.for_s == 0
    late.close()
    await asyncio.sleep(0.01)
    assert late.owed.for_s > 0
    assert late.owed.flowing
    decoding.answer(None)
    await running
    assert late.owed.for_s == 0


def sound_of(first: int, num_frames: int) -> bytes:
    return b"".join(bytes([n % 256]) * FRAME_SAMPLES for n in range(first, first + num_frames))


async def test_a_decoder_that_is_lost_is_built_anew_from_the_last_frames() -> None:
    second = Decoding()
    late, first = decoder(1000, second)
    heard: list[tuple[bytes, int]] = []
    running = asyncio.create_task(late.run(lambda pcm, n: heard.append((pcm, n))))
    for frame in range(100):
        late.feed(codes(frame, 1), 1)
    for frame in range(0, 90, 3):
        first.answer((sound_of(frame, 3), frame + 3))
    await asyncio.sleep(0.01)
    assert heard[-1][1] == 90
    first.answer(None)
    await asyncio.sleep(0.01)
    assert first.requests.closed
    ((fed, num_frames),) = second.fed
    assert num_frames == PRIMER_FRAMES + 10
    assert fed == codes(90 - PRIMER_FRAMES, num_frames)
    late.feed(codes(100, 2), 2)
    late.close()
    assert second.requests.closed
    # Its answers lie across the place where the first one ended.
    begins = 90 - PRIMER_FRAMES
    for frame in range(begins, 102, 4):
        num_frames = min(4, 102 - frame)
        second.answer((sound_of(frame, num_frames), frame + num_frames - begins))
    second.answer(None)
    await running
    assert b"".join(pcm for pcm, _ in heard) == sound_of(0, 102)
    assert heard[-1][1] == 102
    assert late.owed.for_s == 0


async def test_a_decoder_that_is_built_anew_gets_no_message_that_is_too_long() -> None:
    second = Decoding()
    late, first = decoder(1000, second)
    running = asyncio.create_task(late.run(lambda pcm, n: None))
    for frame in range(0, 900, 90):
        late.feed(codes(frame, 90), 90)
    first.answer(None)
    await asyncio.sleep(0.01)
    assert max(n for _, n in second.fed) <= MAX_FED_FRAMES
    assert b"".join(c for c, _ in second.fed) == codes(0, 900)
    late.stop()
    second.answer(None)
    await running


async def test_what_was_fed_while_no_decoder_was_there_is_not_lost() -> None:
    second = Decoding()
    late, first = decoder(1000, second)
    heard: list[bytes] = []
    running = asyncio.create_task(late.run(lambda pcm, n: heard.append(pcm)))
    late.feed(codes(0, 3), 3)
    first.answer(None)
    late.feed(codes(3, 2), 2)
    await asyncio.sleep(0.01)
    assert b"".join(c for c, _ in second.fed) == codes(0, 5)
    second.answer((sound_of(0, 5), 5))
    late.close()
    second.answer(None)
    await running
    assert b"".join(heard) == sound_of(0, 5)


async def test_little_is_kept_of_a_long_turn_for_a_decoder_to_come() -> None:
    late, first = decoder(10_000)
    running = asyncio.create_task(late.run(lambda pcm, n: None))
    for frame in range(2000):
        late.feed(codes(frame, 1), 1)
        first.answer((sound_of(frame, 1), frame + 1))
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert sum(n for _, n in late._recent) <= PRIMER_FRAMES + 1
    late.close()
    first.answer(None)
    await running


class Dying(Decoding):
    """Answers what it is fed in pieces of any size, and dies behind so many frames."""

    def __init__(self, dies_behind: int, chance: random.Random) -> None:
        super().__init__()
        self._left, self._chance = dies_behind, chance
        self._waiting, self._made = b"", 0

    def feed(self, codes: bytes, num_frames: int) -> None:
        super().feed(codes, num_frames)
        self._waiting += codes
        while self._waiting and self._left:
            most = min(len(self._waiting) // FRAME_BYTES, self._left)
            count = self._chance.randint(1, most)
            self._left, self._made = self._left - count, self._made + count
            first = int.from_bytes(self._waiting[:FRAME_BYTES], "little")
            self._waiting = self._waiting[count * FRAME_BYTES :]
            self.answer((sound_of(first, count), self._made))
        if not self._left:
            self.answer(None)

    def close(self) -> None:
        if not self.requests.closed and not self._waiting:
            self.answer(None)
        super().close()


@pytest.mark.parametrize("seed", range(25))
async def test_frames_that_were_gathered_are_heard_once_whenever_decoders_die(seed: int) -> None:
    chance = random.Random(seed)
    total = 90
    dying = [Dying(chance.randint(1, 60), chance) for _ in range(3)]
    calls: Any = [*dying, Dying(10_000, chance)]
    leads = chance.choice([[0.0], [0.1, 0.6], [0.6], [0.6, 1.2], [9.0]])

    async def go_on(failure: BackendFailure) -> bool:
        await asyncio.sleep(chance.choice([0, 0.001, 0.01]))
        return bool(calls)

    form = DecoderFormat(FRAME_BYTES, FRAME_SAMPLES, sample_bytes=1, frame_s=FRAME_S)
    late = LateDecoder(
        lambda: calls.pop(0), form, 12, go_on, lambda source: None, lambda: chance.choice(leads)
    )
    heard: list[tuple[bytes, int]] = []

    def hear(pcm: bytes, num_frames: int) -> None:
        heard.append((pcm, num_frames))
        late.written(num_frames)

    running = asyncio.create_task(late.run(hear))
    made = 0
    while made < total:
        count = min(total - made, chance.randint(1, 3))
        late.feed(codes(made, count), count)
        made += count
        await asyncio.sleep(chance.choice([0, 0, 0.001]))
    late.close()
    async with asyncio.timeout(10):
        await running
    assert b"".join(pcm for pcm, _ in heard) == sound_of(0, total)
    numbers = [num_frames for _, num_frames in heard]
    assert numbers == sorted(numbers)
    assert numbers[-1] == late.decoded_frames == total
    assert late.owed.for_s == 0
    assert not late._undecoded
