"""Turns that fail, warn or are cut afterwards, and conversations that are used wrongly."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from csm import errors
from csm.client import (
    AsyncClient,
    Client,
    FinishReason,
    TurnCompleted,
    TurnTruncated,
    Warning,
    WarningKind,
)
from csm.client.outgoing import MAX_WAITING_BYTES, Outgoing
from csm.client.requests import text_request
from csm.v1 import common_pb2, speech_pb2, speech_pb2_grpc
from tests.csm.fake_speech import CHUNK, FORMAT, FakeSpeech, audio, completed, serving, started

FAILED = errors.QueueFull("no slot is free", 2.5)
WARNING = common_pb2.Warning(
    kind=common_pb2.WARNING_KIND_UNSPEAKABLE, field="text", first_char=7, end_char=19,
    description="nothing in it that the model can say",
)  # fmt: skip


class Failing(speech_pb2_grpc.SpeechServiceServicer):
    """A chunk of audio, then a terminal with an error and warnings."""

    error: errors.ServiceError | None = FAILED

    def terminal(self) -> speech_pb2.SpeechTurnCompleted:
        message = completed("t1", common_pb2.FINISH_REASON_ERROR if self.error else 1)
        message.warnings.append(WARNING)
        message.warnings.add(kind=99, description="from the future")  # type: ignore[arg-type]
        if self.error:
            message.error.CopyFrom(errors.status_message(self.error))
        return message

    async def Synthesize(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield speech_pb2.SynthesizeResponse(started=started())
        yield speech_pb2.SynthesizeResponse(audio=audio(0))
        yield speech_pb2.SynthesizeResponse(completed=self.terminal())

    async def Converse(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "config":
                opened = speech_pb2.ConverseStarted(conversation_id="c", output_format=FORMAT)
                yield speech_pb2.ConverseResponse(started=opened)
            elif kind == "end_of_turn":
                yield speech_pb2.ConverseResponse(turn_completed=self.terminal())
            elif kind == "cancel":
                truncated = speech_pb2.SpeechTurnTruncated(
                    turn_id="t1", kept_audio_ms=request.cancel.heard_ms, kept_text="Of course."
                )
                yield speech_pb2.ConverseResponse(turn_truncated=truncated)


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
async def target(failing: Failing) -> AsyncIterator[str]:
    server = grpc.aio.server()
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(failing, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def in_a_thread(target: str, use: Callable[[Client], None]) -> None:
    def run() -> None:
        with Client(target) as client:
            use(client)

    await asyncio.wait_for(asyncio.to_thread(run), 30)


async def test_a_turn_that_failed_raises_its_error_after_its_audio(target: str) -> None:
    async with AsyncClient(target) as client:
        speech = client.synthesize("Hello.")
        assert (await anext(speech)).pcm == CHUNK
        with pytest.raises(errors.QueueFull, match="no slot is free") as caught:
            await anext(speech)
        assert caught.value.retry_after_s == 2.5
        assert speech.completed is not None
        assert speech.completed.finish_reason is FinishReason.ERROR
        assert speech.completed.error is caught.value
        assert [chunk async for chunk in speech] == []

    def use(client: Client) -> None:
        speech = client.synthesize("Hello.")
        assert next(speech).pcm == CHUNK
        with pytest.raises(errors.QueueFull):
            next(speech)
        assert speech.completed is not None
        assert list(speech) == []

    await in_a_thread(target, use)


@pytest.mark.parametrize(
    "given",
    [
        errors.invalid("text", "is empty"),
        errors.NotFound("voice", "v"),
        errors.FailedPrecondition("not now"),
        errors.Unavailable("the generator has gone", 0.5),
        errors.DeadlineExceeded("the generator made nothing for 20 s"),
        errors.Internal("request id 7"),
    ],
)
async def test_each_error_of_a_terminal_comes_as_its_own_class(
    failing: Failing, target: str, given: errors.ServiceError
) -> None:
    failing.error = given
    async with AsyncClient(target) as client:
        with pytest.raises(type(given)) as caught:
            await client.synthesize("Hello.").read_pcm()
        assert type(caught.value) is type(given)
        assert caught.value.message == given.message
        # In a conversation it is told, and the call goes on.
        async with client.converse() as conversation:
            for _ in range(2):
                await conversation.end_turn()
                event = await anext(conversation)
                assert isinstance(event, TurnCompleted)
                assert type(event.error) is type(given)


async def test_warnings_say_which_part_of_the_text_they_are_about(
    failing: Failing, target: str
) -> None:
    failing.error = None
    async with AsyncClient(target) as client:
        speech = client.synthesize("Hello.")
        assert await speech.read_pcm() == CHUNK
    assert speech.completed is not None
    assert speech.completed.error is None
    assert speech.completed.warnings == (
        Warning(WarningKind.UNSPEAKABLE, "text", 7, 19, WARNING.description),
        Warning(WarningKind.UNKNOWN, "", 0, 0, "from the future"),
    )


async def test_a_cancel_of_a_turn_that_was_over_is_answered_with_what_stays(target: str) -> None:
    async with AsyncClient(target) as client, client.converse() as conversation:
        await conversation.cancel(heard_ms=640)
        assert await anext(conversation) == TurnTruncated("t1", 640, "Of course.")


async def test_a_conversation_that_was_not_entered_says_so(target: str) -> None:
    async with AsyncClient(target) as client:
        conversation = client.converse()
        for call in (
            conversation.say("Hi."), conversation.end_turn(), conversation.cancel(),
            conversation.finish(), conversation.send_audio(CHUNK), anext(conversation),
        ):  # fmt: skip
            with pytest.raises(RuntimeError, match="not open"):
                await call
        with pytest.raises(RuntimeError, match="not open"):
            _ = conversation.conversation_id

    def use(client: Client) -> None:
        conversation = client.converse()
        calls: list[Callable[[], object]] = [
            lambda: conversation.say("Hi."), conversation.end_turn, conversation.cancel,
            conversation.finish, lambda: conversation.send_audio(CHUNK), lambda: next(conversation),
            lambda: conversation.started,
        ]  # fmt: skip
        for one in calls:
            with pytest.raises(RuntimeError, match="not open"):
                one()
        with conversation:
            pass
        with pytest.raises(RuntimeError, match="entered before"), conversation:
            pass

    await in_a_thread(target, use)


async def test_a_conversation_tells_whether_its_call_is_over(target: str) -> None:
    async with AsyncClient(target) as client, client.converse() as conversation:
        assert not conversation.ended
        await conversation.finish()
        assert [event async for event in conversation] == []
        assert conversation.ended

    def blocking() -> tuple[bool, bool]:
        with Client(target) as client:
            with client.converse() as conversation:
                within = conversation.ended
            return within, conversation.ended

    assert await asyncio.to_thread(blocking) == (False, True)


async def test_saying_after_finish_is_refused(target: str) -> None:
    async with AsyncClient(target) as client, client.converse() as conversation:
        await conversation.finish()
        with pytest.raises(errors.FailedPrecondition):
            await conversation.say("Too late.")

    def use(client: Client) -> None:
        with client.converse() as conversation:
            conversation.finish()
            for _ in range(2):
                with pytest.raises(errors.FailedPrecondition):
                    conversation.say("Too late.")
            assert list(conversation) == []
        with pytest.raises(errors.FailedPrecondition):
            conversation.say("Too late.")

    await in_a_thread(target, use)


async def test_a_blocking_writer_is_told_why_its_call_ended() -> None:
    def use(client: Client) -> None:
        with client.converse() as conversation:
            conversation.end_turn()
            with pytest.raises(errors.InvalidArgument, match="end_of_turn"):
                next(conversation)
            with pytest.raises(errors.InvalidArgument, match="end_of_turn"):
                conversation.say("Too late.")

    async with serving(FakeSpeech()) as target:
        await in_a_thread(target, use)


async def test_the_timeout_of_a_conversation_is_deadline_exceeded(target: str) -> None:
    async with AsyncClient(target) as client, client.converse(timeout_s=0.2) as conversation:
        with pytest.raises(errors.DeadlineExceeded):
            await anext(conversation)

    def use(client: Client) -> None:
        with client.converse(timeout_s=0.2) as conversation:
            with pytest.raises(errors.DeadlineExceeded):
                next(conversation)
            with pytest.raises(errors.DeadlineExceeded):
                conversation.say("Too late.")

    await in_a_thread(target, use)


def test_what_waits_to_be_sent_has_a_bound() -> None:
    outgoing = Outgoing(text_request("first"))
    part = text_request("x" * (MAX_WAITING_BYTES // 4))
    for _ in range(3):
        outgoing.put(part, 5)
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded, match="took nothing"):
        outgoing.put(part, 0.1)
    assert time.monotonic() - began < 5
    # Room as soon as something is taken; and what the call's end finds waiting is dropped.
    taker = threading.Timer(0.1, lambda: [next(outgoing) for _ in range(2)])
    taker.start()
    assert outgoing.put(part, 5)
    taker.join()
    threading.Timer(0.1, outgoing.end).start()
    while outgoing.put(part, 5):
        pass
    assert list(outgoing) == []


def test_what_was_said_before_finish_is_sent_and_then_the_stream_ends() -> None:
    outgoing = Outgoing(text_request("first"))
    outgoing.put(text_request("last"), 1)
    outgoing.finish()
    assert [one.text.text for one in outgoing] == ["first", "last"]


async def test_a_server_that_reads_nothing_stops_the_writer_not_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Deaf(speech_pb2_grpc.SpeechServiceServicer):
        async def Converse(self, requests: Any, context: Any) -> AsyncIterator[Any]:
            await anext(aiter(requests))
            opened = speech_pb2.ConverseStarted(conversation_id="c", output_format=FORMAT)
            yield speech_pb2.ConverseResponse(started=opened)
            await asyncio.Event().wait()

    monkeypatch.setattr("csm.client.conversation.SEND_TIMEOUT_S", 0.3)
    server = grpc.aio.server()
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(Deaf(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    def use(client: Client) -> None:
        with (
            client.converse() as conversation,
            pytest.raises(errors.DeadlineExceeded, match="took nothing"),
        ):
            conversation.send_audio(bytes(20 << 20))

    await in_a_thread(f"127.0.0.1:{port}", use)
    await server.stop(0)
