"""One stream's logic without a wire: what a reader that lags sees, and what a cancel takes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from csm import errors
from csm.serving.metrics import GeneratorMetrics
from services.generator.context import ContextLimits
from services.generator.engine.events import FinishReason
from services.generator.generate_stream import GenerateStream
from services.generator.model.sampling import GREEDY
from services.generator.model.text import TextTokenizer
from services.generator.turns import (
    MAX_FRAMES_A_MESSAGE,
    FlushRequest,
    GenerationCompleted,
    GenerationStarted,
    Output,
    StreamConfig,
    TurnFrames,
)
from services.model_directory import default_model_directory
from tests.generator.fake_model import FakeModel, fake_config
from tests.generator.harness import Turns, running

TOKENIZER = TextTokenizer.from_directory(default_model_directory())


def stream(turns: Turns, *, max_frames: int = 300, credit: int | None = None) -> GenerateStream:
    limits = ContextLimits(turns.engine.max_positions, 4, max_text_chars=100)
    return GenerateStream(
        turns.engine,
        TOKENIZER,
        limits,
        GeneratorMetrics(CollectorRegistry()),
        StreamConfig("", 0, GREEDY, 1, max_frames, credit),
    )


@asynccontextmanager
async def engine() -> AsyncIterator[Turns]:
    model = FakeModel(fake_config(max_positions=1024))
    async with running(model, max_positions=1024) as turns:
        yield turns


async def take(outputs: AsyncIterator[Output]) -> Output:
    return await asyncio.wait_for(anext(outputs), 10)


async def flush(held: GenerateStream, text: str, turn_id: str) -> None:
    held.append_text(text)
    await held.flush(FlushRequest(turn_id), None, time.monotonic())


async def over(turns: Turns) -> None:
    """All frames are made and on the event loop's side."""
    await turns.idle()
    await asyncio.sleep(0.02)


async def test_frames_that_pile_up_leave_in_few_messages_and_none_is_lost() -> None:
    async with engine() as turns:
        held = stream(turns)
        await flush(held, "hello.", "t")
        await over(turns)
        held.end_input()
        outputs = [output async for output in held.outputs()]
    kinds = [type(output) for output in outputs]
    assert kinds == [GenerationStarted, TurnFrames, TurnFrames, GenerationCompleted]
    frames = [output for output in outputs if isinstance(output, TurnFrames)]
    assert [(f.first_frame, len(f.codes)) for f in frames] == [
        (0, MAX_FRAMES_A_MESSAGE),
        (MAX_FRAMES_A_MESSAGE, 300 - MAX_FRAMES_A_MESSAGE),
    ]


@pytest.mark.parametrize("ended", [False, True])
async def test_a_cancel_takes_back_what_was_not_sent_though_the_reader_lags(ended: bool) -> None:
    async with engine() as turns:
        held = stream(turns, max_frames=500 if not ended else 300)
        outputs = held.outputs()
        await flush(held, "hello.", "t")
        assert isinstance(await take(outputs), GenerationStarted)
        first = await take(outputs)
        assert isinstance(first, TurnFrames)
        if ended:
            await over(turns)
        began = time.monotonic()
        await held.cancel("t", None)
        assert time.monotonic() - began < 1
        last = await take(outputs)
        assert isinstance(last, GenerationCompleted)
        assert last.reason is FinishReason.CANCELLED
        # Exactly the frames that were sent are context of the next turn.
        await flush(held, "again.", "u")
        again = await take(outputs)
        assert isinstance(again, GenerationStarted)
        assert again.prompt_frames == 11 + len(first.codes) + 1 + 11
        held.close(deadline_passed=False)


async def test_a_cancel_before_the_first_frame_leaves_no_trace_in_the_context() -> None:
    async with engine() as turns:
        held = stream(turns)
        outputs = held.outputs()
        turns.model.gates["prefill"].close()
        await flush(held, "hello.", "t")
        await turns.reached("prefill")
        cancelling = asyncio.create_task(held.cancel("", None))
        await asyncio.sleep(0.01)
        turns.model.gates["prefill"].open()
        await cancelling
        while not isinstance(last := await take(outputs), GenerationCompleted):
            assert isinstance(last, GenerationStarted)
        # The step that was under way may have made one; it was not sent.
        assert last.finished.generated_frames <= 1
        await flush(held, "again.", "u")
        again = await take(outputs)
        assert isinstance(again, GenerationStarted)
        assert again.prompt_frames == 11
        held.close(deadline_passed=False)


async def test_frames_taken_back_give_their_credit_back() -> None:
    async with engine() as turns:
        held = stream(turns, credit=20)
        outputs = held.outputs()
        await flush(held, "hello.", "t")
        assert isinstance(await take(outputs), GenerationStarted)
        await turns.settled(lambda: not turns.engine._scheduler.runnable)
        await asyncio.sleep(0.02)
        await held.cancel("t", None)
        assert isinstance(await take(outputs), GenerationCompleted)
        await flush(held, "again.", "u")
        frames = 0
        while frames < 20:
            output = await take(outputs)
            frames += len(output.codes) if isinstance(output, TurnFrames) else 0
        assert frames == 20
        held.close(deadline_passed=False)


async def test_a_turn_whose_deadline_has_passed_is_refused_before_it_is_queued() -> None:
    async with engine() as turns:
        held = stream(turns)
        held.append_text("hello")
        with pytest.raises(errors.DeadlineExceeded):
            await held.flush(FlushRequest("t"), 5.0, 5.0)
        assert turns.engine.in_flight == 0


async def test_a_failure_overtakes_what_was_queued_and_stops_the_turn() -> None:
    async with engine() as turns:
        held = stream(turns, max_frames=900)
        await flush(held, "hello.", "t")
        outputs = held.outputs()
        assert isinstance(await take(outputs), GenerationStarted)
        held.fail(errors.invalid("config", "wrong"))
        with pytest.raises(errors.InvalidArgument):
            await take(outputs)
        await turns.idle()
        held.close(deadline_passed=False)
        held.close(deadline_passed=False)
        await turns.idle(cached=0)


async def test_a_stream_without_a_name_gives_its_slot_back_when_it_closes() -> None:
    async with engine() as turns:
        held = stream(turns, max_frames=5)
        await flush(held, "hello.", "t")
        held.end_input()
        outputs = [output async for output in held.outputs()]
        completed = outputs[-1]
        assert isinstance(completed, GenerationCompleted)
        np.testing.assert_equal(completed.finished.generated_frames, 5)
        await turns.idle(cached=1)
        held.close(deadline_passed=False)
        await turns.idle(cached=0)
