"""The queue between those who make events and the one who writes them."""

import asyncio

import pytest

from csm import errors
from csm.v1 import common_pb2
from gateway.speaking.events import Audio, SpeechTurnStarted
from gateway.speaking.outbox import MAX_WAITING_EVENTS, Outbox


class Source:
    turn_id = "t"

    def __init__(self) -> None:
        self.delay = 0.0
        self.notes: list[str] = []

    def delay_s(self, audio: Audio) -> float:
        return self.delay

    def taken(self, audio: Audio) -> None:
        self.notes.append(f"taken {audio.num_frames}")

    def written(self, audio: Audio) -> None:
        self.notes.append(f"written {audio.num_frames}")


def chunk(source: Source, number: int) -> Audio:
    return Audio(source, b"", 0, number, 0, 0.08)


STARTED = SpeechTurnStarted("t", common_pb2.AudioFormat(), 1)


async def test_a_chunk_is_taken_when_it_leaves_and_written_when_the_next_is_asked_for() -> None:
    outbox, source = Outbox(), Source()
    outbox.put(chunk(source, 1))
    outbox.put(STARTED)
    await anext(outbox)
    assert source.notes == ["taken 1"]
    await anext(outbox)
    assert source.notes == ["taken 1", "written 1"]


async def test_a_close_lets_out_what_is_there_and_an_error_at_once_does_not() -> None:
    closed, failed, late = Outbox(), Outbox(), Outbox()
    for outbox in (closed, failed, late):
        outbox.put(STARTED)
    closed.close()
    closed.put(STARTED)
    assert [e async for e in closed] == [STARTED]
    failed.fail(errors.Unavailable("x"), at_once=True)
    with pytest.raises(errors.Unavailable):
        await anext(failed)
    late.fail(errors.Unavailable("x"))
    assert await anext(late) is STARTED
    with pytest.raises(errors.Unavailable):
        await anext(late)


async def test_a_chunk_that_waits_for_its_time_can_still_be_dropped() -> None:
    outbox, source, other = Outbox(), Source(), Source()
    source.delay = 60.0
    outbox.put(chunk(source, 1))
    outbox.put(chunk(other, 2))
    reading = asyncio.ensure_future(anext(outbox))
    await asyncio.sleep(0.02)
    assert not reading.done()
    outbox.discard_audio(source)
    event = await asyncio.wait_for(reading, 1)
    assert isinstance(event, Audio)
    assert event.source is other
    assert source.notes == []


async def test_a_call_whose_answers_pile_up_unread_is_ended() -> None:
    outbox = Outbox()
    for number in range(MAX_WAITING_EVENTS + 2):
        outbox.put(SpeechTurnStarted(str(number), common_pb2.AudioFormat(), 0))
    assert outbox.failed
    with pytest.raises(errors.QueueFull, match="4096 answers"):
        await anext(aiter(outbox))
