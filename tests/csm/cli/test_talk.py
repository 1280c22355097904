"""The turns of `csm chat`, interrupted while they are spoken, asked for and not spoken yet."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from csm.cli.talk import Lines, Talk
from csm.client import AsyncClient
from csm.language_model import LanguageModelError
from tests.csm.cli.test_serve import FREE, serving

LONG = "The river is wide here. Nobody knows why. " * 6


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with serving(*FREE, "--metrics-port", "0") as server:
        yield server.address("gateway")


class Ear:
    """A loudspeaker that calls somebody as soon as it has played so much."""

    latency_s = 0.0

    def __init__(self, after_s: float) -> None:
        self.after_s, self.played_s, self.hushed = after_s, 0.0, 0
        self.played_since_s = 0.0
        self.then: Any = None

    async def play_async(self, samples: np.ndarray, rate_hz: int) -> None:
        if self.played_s >= self.after_s:
            self.played_since_s += len(samples) / rate_hz
        self.played_s += len(samples) / rate_hz
        if self.played_s >= self.after_s and self.then:
            self.then()
        await asyncio.sleep(0.01)

    def hush(self) -> None:
        self.hushed += 1


@pytest.mark.parametrize("max_lead_ms", [200, 0], ids=["under way", "made already"])
async def test_what_was_heard_before_ctrl_c_stays_and_the_talk_goes_on(
    gateway: str, max_lead_ms: int
) -> None:
    ear = Ear(0.5)
    # Without pacing it is all made and sent long before it is played.
    text = LONG if max_lead_ms else "The river is wide here, and nobody knows why."
    async with AsyncClient(gateway) as client:
        async with client.converse(max_lead_ms=max_lead_ms) as conversation:
            talk = Talk(conversation, ear, None, None)  # type: ignore[arg-type]
            ear.then = talk.interrupt
            await asyncio.wait_for(talk.turn(text), 20)
            assert ear.hushed == 1
            assert ear.played_since_s == 0
            heard_ms = ear.played_s * 1000
            ear.then = None
            await asyncio.wait_for(talk.turn("As you like."), 20)
            assert ear.played_since_s > 0.5
            name = conversation.conversation_id
        turns = (await client.get_conversation(name)).turns
    # Whole frames of 80 ms.
    assert heard_ms - 80 < turns[0].audio_ms < heard_ms + 80
    assert turns[1].text == "As you like."
    assert not talk.stopped.is_set()
    talk.interrupt()
    assert talk.stopped.is_set()


async def test_an_answer_is_interrupted_while_it_is_written(gateway: str) -> None:
    written = threading.Event()

    def answers(line: str) -> Iterator[str]:
        yield "Good morning. "
        for _ in range(100):
            written.wait(0.05)
            yield "And good evening. "

    ear = Ear(0.3)
    async with AsyncClient(gateway) as client, client.converse(max_lead_ms=200) as conversation:
        talk = Talk(conversation, ear, None, answers)  # type: ignore[arg-type]
        ear.then = talk.interrupt
        began = time.monotonic()
        await asyncio.wait_for(talk.turn("Hello."), 20)
        assert time.monotonic() - began < 4.0
        turns = (await client.get_conversation(conversation.conversation_id)).turns
    assert [(turn.heard, turn.text) for turn in turns[:1]] == [(True, "Hello.")]
    assert len(turns) == 2
    # Of its words, those that were heard.
    assert turns[1].text.startswith("Good")
    assert len(turns[1].text) < 40


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "says nothing"])
async def test_where_no_answer_comes_it_is_said_and_the_next_one_may(
    gateway: str, fails: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = [True]

    def answers(line: str) -> Iterator[str]:
        if empty.pop() if empty else False:
            if fails:
                raise LanguageModelError("llm: gone")
            return
        yield "Good morning."

    async with AsyncClient(gateway) as client, client.converse() as conversation:
        talk = Talk(conversation, None, None, answers)
        await asyncio.wait_for(talk.turn("Hello."), 20)
        assert (talk.num_failed, talk.num_spoken) == (1, 0)
        assert ("llm: gone" if fails else "answered nothing") in capsys.readouterr().err
        await asyncio.wait_for(talk.turn("Hello?"), 20)
        assert (talk.num_failed, talk.num_spoken) == (1, 1)


@pytest.mark.parametrize("how", ["fails", "says nothing", "is interrupted"])
async def test_where_no_answer_comes_the_one_before_stays(gateway: str, how: str) -> None:
    lines: list[str] = []
    thinking = threading.Event()

    def answers(line: str) -> Iterator[str]:
        lines.append(line)
        if len(lines) != 2:
            yield "Good morning."
        elif how == "fails":
            raise LanguageModelError("llm: gone")
        elif how == "is interrupted":
            thinking.set()
            time.sleep(0.3)
            yield "Too late."

    async with AsyncClient(gateway) as client, client.converse() as conversation:
        talk = Talk(conversation, None, None, answers)
        await asyncio.wait_for(talk.turn("One."), 20)
        second = asyncio.create_task(talk.turn("Two."))
        if how == "is interrupted":
            await asyncio.to_thread(thinking.wait, 10)
            talk.interrupt()
        await asyncio.wait_for(second, 20)
        await asyncio.wait_for(talk.turn("Three."), 20)
        turns = (await client.get_conversation(conversation.conversation_id)).turns
    said = [(turn.heard, turn.text) for turn in turns]
    answer = (False, "Good morning.")
    assert said == [(True, "One."), answer, (True, "Two."), (True, "Three."), answer]
    assert talk.num_spoken == 2


async def test_an_answer_that_is_too_long_for_a_turn_is_cut(
    gateway: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def answers(line: str) -> Iterator[str]:
        yield from ["Yes. ", "No. ", "Never before. "]

    async with AsyncClient(gateway) as client, client.converse() as conversation:
        talk = Talk(conversation, None, None, answers, 12)
        await asyncio.wait_for(talk.turn("Hello."), 20)
        await asyncio.wait_for(talk.turn("Hello, you there."), 20)
        turns = (await client.get_conversation(conversation.conversation_id)).turns
    assert [turn.text for turn in turns] == ["Hello.", "Yes. No. Nev"]
    told = capsys.readouterr().err
    assert "the answer is cut at 12 characters" in told
    assert "17 characters in one line; allowed are 12" in told
    assert (talk.num_spoken, talk.num_failed) == (1, 1)


async def test_what_makes_saying_fail_ends_the_talk_instead_of_waiting(gateway: str) -> None:
    def answers(line: str) -> Iterator[str]:
        raise ZeroDivisionError
        yield ""

    async with AsyncClient(gateway) as client, client.converse() as conversation:
        talk = Talk(conversation, None, None, answers)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(talk.turn("Hello."), 10)


async def test_a_line_that_is_not_unicode_is_spoken_without_what_is_none() -> None:
    source = io.TextIOWrapper(io.BytesIO(b"caf\xe9 time\n"), "utf-8", "surrogateescape")
    assert [line async for line in Lines(source, asyncio.Event())] == ["caf\ufffd time"]


async def test_lines_end_with_their_source_or_when_they_are_stopped() -> None:
    stopped = asyncio.Event()
    assert [line async for line in Lines(io.StringIO("a\n\n b \nc"), stopped)] == ["a", "b", "c"]
    lines = aiter(Lines(io.StringIO("a\nb\n"), stopped))
    assert await anext(lines) == "a"
    stopped.set()
    rest = [line async for line in lines]
    assert rest in ([], ["b"])
