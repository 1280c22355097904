"""What one caller sends never holds up the event loop, and with it everybody's frames."""

from __future__ import annotations

from csm.v1 import generator_pb2
from tests.generator.fake_model import FakeModel, fake_config
from tests.generator.grpc_harness import segment, serving
from tests.loop_gap import check_gap


async def test_callers_with_60_kb_of_digits_as_context_do_not_stop_the_loop() -> None:
    async with serving(FakeModel(fake_config(max_positions=2048)), slots=4) as server:

        async def send() -> None:
            stream = await server.open()
            for _ in range(3):
                texts = [segment("0123456789" * 400) for _ in range(15)]
                await stream.context(*texts, replace=True)
            await stream.send(text=generator_pb2.GenerateText(text="0123456789" * 400))
            await stream.say("", "long")
            assert (await stream.turn()).completed
            await stream.end()

        await check_gap(send, 4)
