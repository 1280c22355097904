"""What one caller sends never holds up the event loop, and with it everybody's audio."""

import asyncio
import threading

import grpc
import pytest

from csm.v1 import speech_pb2
from gateway.text.front_end import FrontEnd
from gateway.text.sentence import Sentence
from tests.gateway.calls import Conversation
from tests.gateway.fakes import SHUTDOWN, Stack
from tests.loop_gap import check_gap

pytestmark = pytest.mark.alone

DIGITS = "0123456789" * 400


async def test_callers_with_60_kb_of_digits_do_not_stop_the_loop(running: Stack) -> None:
    context = [speech_pb2.ContextTurn(speaker=0, text=DIGITS) for _ in range(15)]
    running.generator.frames_per_char = 0.001

    async def send() -> None:
        for text in ("And now?", DIGITS, "1,234.56 " * 450):
            request = speech_pb2.SynthesizeRequest(text=text, context=context)
            call = running.stub.Synthesize(request, timeout=60)
            try:
                async for _ in call:
                    pass
            except grpc.aio.AioRpcError as error:
                # Whether such a text is spoken is another matter.
                if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise

    await check_gap(send, 4)


async def test_a_turn_is_ended_while_its_text_is_worked_on(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, go_on = threading.Event(), threading.Event()
    usual = FrontEnd.feed

    def feed(self: FrontEnd, part: str, voice: str = "") -> list[Sentence]:
        working.set()
        assert go_on.wait(10)
        return usual(self, part)

    monkeypatch.setattr(FrontEnd, "feed", feed)
    async with Conversation(running) as call:
        await call.say("One sentence of many. " * 40)
        await asyncio.to_thread(working.wait, 10)
        stopping = asyncio.create_task(running.service.drain(0.1))
        assert (await call.until("turn_completed")).finish_reason == SHUTDOWN
        # What comes of the text now belongs to a turn that is over.
        go_on.set()
        await call.done()
    await stopping
    await running.settled()
