"""Backends that fail at chosen points: retry where nothing was delivered, honesty where nobody can
go on (`test_going_on` has the turns that do)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import errors
from csm.serving.metrics import Metrics
from csm.v1 import speech_pb2
from gateway import speech
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from gateway.speaking.fate import Source
from tests.gateway.calls import Conversation, synthesize, turns_of, violations
from tests.gateway.fakes import EOS, ERROR, SHUTDOWN, FakeGenerator, FakeTokenizer, Stack, stack

RETRIES = "csm_gateway_upstream_retries_total"
FAILOVERS = "csm_gateway_failovers_total"
REQUESTS = "csm_gateway_requests_total"
GONE = errors.Unavailable("going away")


async def test_a_generator_that_fails_before_the_first_audio_is_tried_again(
    running: Stack,
) -> None:
    running.generator.refuse = [GONE]
    heard = await synthesize(running, "Hello there. And again.")
    assert heard.frames == [0, 1, 2, 3, 4]
    assert len(heard.started) == 1
    assert [s.texts for s in running.generator.streams] == [
        ["Hello there."],
        ["Hello there.", "And again."],
    ]
    assert running.sample(RETRIES, service="generator", code="UNAVAILABLE") == 1


async def test_the_second_try_keeps_the_seed_that_was_told(running: Stack) -> None:
    running.generator.fail_before_frame = {0: GONE}
    heard = await synthesize(running, "Hello there.")
    assert len(heard.started) == 1
    first, second = running.generator.streams
    assert not first.config.sampling.HasField("seed")
    assert second.config.sampling.seed == heard.started[0].seed


async def test_a_decoder_that_fails_before_the_first_audio_is_tried_again(running: Stack) -> None:
    running.tokenizer.fail_decode_at = {0: GONE}
    heard = await synthesize(running, "Hello there.")
    assert heard.frames == [0, 1, 2]
    assert heard.completed[0].usage.generated_frames == 3
    assert len(running.generator.streams) == 1
    assert running.sample(FAILOVERS, service="tokenizer", code="UNAVAILABLE") == 1
    await running.settled()


async def test_a_turn_is_tried_again_three_times_and_no_more(running: Stack) -> None:
    running.generator.refuse = [GONE] * 6
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello there.")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(running.generator.streams) == 4
    assert running.sample(REQUESTS, rpc="Synthesize", outcome="failed") == 1
    await running.settled()


@pytest.mark.parametrize("place", ["generator", "tokenizer", "finish"])
async def test_a_failure_for_good_after_audio_was_delivered_is_told_by_the_terminal(
    running: Stack, place: str
) -> None:
    running.generator.frame_s = 0.02
    if place == "generator":
        running.generator.fail_before_frame = {6: GONE}
        running.generator.refuse_later = [GONE] * 6
    elif place == "tokenizer":
        running.tokenizer.fail_decode_at = {6: GONE}
        running.tokenizer.refuse_later = [GONE] * 6
    else:
        running.generator.finish = {0: ERROR}
    heard = await synthesize(running, "x" * 39 + ".", conversation_id="half")
    (completed,) = heard.completed
    assert completed.finish_reason == ERROR
    expected = grpc.StatusCode.INTERNAL if place == "finish" else grpc.StatusCode.UNAVAILABLE
    assert completed.error.code == expected.value[0]
    assert len(heard.frames) == (8 if place == "finish" else 6)
    assert completed.kept_audio_ms == 80 * len(heard.frames)
    assert len(running.generator.streams) == (1 if place == "tokenizer" else 4)
    ((_, _, text, audio_ms),) = await turns_of(running, "half")
    assert audio_ms == completed.kept_audio_ms
    assert text
    await running.settled()


async def test_in_a_conversation_a_failure_is_a_terminal_and_the_call_goes_on(
    running: Stack,
) -> None:
    running.generator.frame_s = 0.02
    running.generator.fail_before_frame = {5: GONE}
    running.generator.refuse_later = [GONE] * 3
    async with Conversation(running, conversation_id="on") as call:
        await call.say("A sentence that breaks off in the middle. ")
        completed = await call.until("turn_completed")
        assert completed.finish_reason == ERROR
        assert completed.kept_audio_ms == 400
        # What was still being written of that turn goes nowhere.
        await call.say("More of the same turn.")
        await call.end()
        await call.say("Once more.")
        await call.end()
        assert (await call.until("turn_completed", 2)).finish_reason == EOS
        await call.done()
    assert call.error is None
    assert len(call.spoken) == 2
    turns = await turns_of(running, "on")
    assert [t[3] for t in turns] == [400, 160]
    assert running.sample(REQUESTS, rpc="Converse", outcome="failed") == 1


async def test_a_generator_that_shuts_down_says_so_in_the_terminal(running: Stack) -> None:
    running.generator.frame_s = 0.01
    running.generator.ends_with = SHUTDOWN
    async with Conversation(running) as call:
        await call.say("Last words.")
        await call.end()
        assert (await call.until("turn_completed")).finish_reason == SHUTDOWN


async def test_a_text_of_which_nothing_can_be_said_is_refused_before_any_audio(
    running: Stack,
) -> None:
    running.generator.unspeakable = {"你好": errors.invalid("text", "no character is known")}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "你好")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == {
        "text": "not spoken: no character is known (characters 0..2)"
    }
    async with Conversation(running) as call:
        await call.say("你好")
        await call.end()
        completed = await call.until("turn_completed")
        await call.done()
    assert completed.finish_reason == EOS
    assert completed.kept_audio_ms == 0
    assert [w.description for w in completed.warnings] == ["not spoken: no character is known"]


async def test_a_sentence_that_cannot_be_said_leaves_the_rest_of_a_text_spoken(
    running: Stack,
) -> None:
    running.generator.unspeakable = {"Привет": errors.invalid("text", "no character is known")}
    heard = await synthesize(running, "Hello. Привет, мир. Bye.")
    (completed,) = heard.completed
    assert completed.finish_reason == EOS
    assert [(w.first_char, w.end_char) for w in completed.warnings] == [(7, 19)]
    assert len(heard.frames) == 2 + 1  # "Hello." and "Bye."


async def test_a_generator_that_answers_health_and_makes_no_frame_is_left() -> None:
    async with stack(frame_timeout_s=0.3, failover_s=0.5) as running:
        running.generator.silent_streams = {0}
        began = time.monotonic()
        heard = await synthesize(running, "Hello there.", conversation_id="hung")
        assert time.monotonic() - began < 2.0
        assert heard.completed[0].finish_reason == EOS
        assert len(running.generator.streams) == 2
        keys = [m["x-csm-conversation"] for m in running.generator.metadata]
        assert keys[0] != keys[1], "the second try goes elsewhere"


async def test_a_generator_whose_engine_hangs_is_left_long_before_the_timeout() -> None:
    async with stack(frame_timeout_s=30.0, failover_s=0.5) as running:
        running.generator.silent_streams = {0}
        running.generator.load.heartbeat_age_ms = 60_000
        began = time.monotonic()
        heard = await synthesize(running, "Hello there.")
        assert time.monotonic() - began < 3.0
        assert heard.completed[0].finish_reason == EOS


async def test_a_turn_waits_its_time_in_a_full_generator() -> None:
    async with stack(frame_timeout_s=0.2) as running:
        running.generator.load.running = running.generator.load.slots
        running.generator.mute.clear()
        spoken = asyncio.create_task(synthesize(running, "Hello there."))
        await asyncio.sleep(2.0)
        assert not spoken.done()
        running.generator.mute.set()
        assert (await spoken).completed[0].finish_reason == EOS
        assert len(running.generator.streams) == 1


async def test_a_try_that_finds_nobody_takes_no_longer_than_the_failover(running: Stack) -> None:
    backends = running.service.backends
    await running.generator.down()
    began = time.monotonic()
    backends._failover_s = 0.5
    await backends.recovered(Source.GENERATOR, "anybody")
    assert time.monotonic() - began < 2.5


async def test_places_on_the_ring_are_asked_until_one_is_another_generators(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two generators each place is either's by chance: eight in a row may be the lost one's."""
    backends, asked = running.service.backends, []

    async def answers(source: Source, key: str, route: int, timeout_s: float) -> bool:
        asked.append(route)
        return route == 40

    monkeypatch.setattr(backends, "_answers", answers)
    assert await backends.recovered(Source.GENERATOR, "unlucky", 3) == 40
    assert 3 not in asked, "the one that failed"
    assert backends.route_of("unlucky") == 40


async def test_a_full_queue_is_told_at_once_and_not_tried_again(running: Stack) -> None:
    running.generator.refuse = [errors.QueueFull("16 turns wait", retry_after_s=3)]
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello.")
    assert time.monotonic() - began < 2
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = [d for d in errors.rpc_error_details(caught.value) if hasattr(d, "retry_delay")]
    assert retry[0].retry_delay.seconds == 3  # type: ignore[attr-defined]
    assert len(running.generator.streams) == 1
    assert running.sample(REQUESTS, rpc="Synthesize", outcome="rejected") == 1


async def test_a_slot_that_is_not_yet_free_is_tried_again(running: Stack) -> None:
    running.generator.refuse = [errors.FailedPrecondition("has a turn under way")]
    assert (await synthesize(running, "Hello.", conversation_id="quick")).completed


async def test_heard_audio_that_is_wrong_is_told_about_the_callers_field(running: Stack) -> None:
    running.tokenizer.fail_encode = [errors.invalid("audio", "sample 3 is nan")]
    async with Conversation(running) as call:
        await call.hear(2)
        await call.end()
        assert violations(await call.failed()) == {"heard_audio.audio": "sample 3 is nan"}


async def test_a_file_that_is_refused_while_it_is_sent_is_told_about_its_field(
    running: Stack,
) -> None:
    turn = speech_pb2.ContextTurn(text="x", audio_file=bytes(3 << 20))
    for _ in range(5):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await synthesize(running, "Hello.", context=[turn])
        assert violations(caught.value) == {"context[0].audio_file": "is no audio"}


async def test_a_tokenizer_that_fails_while_it_hears_costs_that_turn_only(running: Stack) -> None:
    running.tokenizer.fail_encode = [GONE]
    async with Conversation(running, conversation_id="deaf") as call:
        await call.hear(2)
        await call.hear(2)
        await call.end("What was it?")
        heard = await call.until("turn_completed")
        assert heard.heard
        assert heard.finish_reason == ERROR
        await call.say("Pardon?")
        await call.end()
        assert (await call.until("turn_completed", 2)).finish_reason == EOS
        await call.done()
    assert await turns_of(running, "deaf") == [
        (True, 1, "What was it?", 0),
        (False, 0, "Pardon?", 160),
    ]


async def test_readiness_falls_with_a_backend_and_comes_back_with_it(running: Stack) -> None:
    health = health_pb2_grpc.HealthStub(running.channel)

    async def until_ready(wanted: bool) -> None:
        request = health_pb2.HealthCheckRequest(service="csm.v1.SpeechService")
        for _ in range(200):
            answer = await health.Check(request)
            if (answer.status == health_pb2.HealthCheckResponse.SERVING) is wanted:
                gauge = running.sample("csm_ready", grpc_service="csm.v1.SpeechService")
                assert gauge == float(wanted)
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never became {wanted}")

    await until_ready(True)
    for backend in (running.generator, running.tokenizer):
        await backend.down()
        await until_ready(False)
        alive = await health.Check(health_pb2.HealthCheckRequest())
        assert alive.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await synthesize(running, "Anyone?")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await backend.up()
        await until_ready(True)
        assert (await synthesize(running, "Back again.")).completed


async def test_a_backend_that_dies_in_mid_turn_is_told_and_found_again(running: Stack) -> None:
    running.generator.frame_s = 0.02
    async with Conversation(running) as call:
        await call.say("x" * 150 + ". ")
        await call.until("audio", 3)
        await running.generator.down()
        assert (await call.until("turn_completed")).finish_reason == ERROR
        await call.end()
        await running.generator.up()
        # The connection is tried less and less often while nobody is there.
        async with asyncio.timeout(20):
            while not running.sample("csm_ready", grpc_service="csm.v1.SpeechService"):
                await asyncio.sleep(0.05)
        await call.say("Are you there?")
        await call.end()
        assert (await call.until("turn_completed", 2)).finish_reason == EOS
        await call.done()
    await running.settled()


async def test_a_turn_that_begins_while_nobody_is_there_waits_for_a_generator() -> None:
    async with stack(failover_s=5.0) as running:
        await running.generator.down()
        speaking = asyncio.create_task(synthesize(running, "Are you there?"))
        await asyncio.sleep(0.2)
        await running.generator.up()
        assert (await speaking).completed[0].finish_reason == EOS


async def test_backends_that_do_not_fit_each_other_are_named_at_start() -> None:
    generator, tokenizer = FakeGenerator(), FakeTokenizer()
    generator.num_codebooks = 32
    await generator.up()
    await tokenizer.up()
    settings = GatewaySettings(
        tokenizer_target=f"127.0.0.1:{tokenizer.port}",
        generator_target=f"127.0.0.1:{generator.port}",
    )
    service = GatewayService(settings, Metrics())
    with pytest.raises(ValueError, match="makes 32 codes of 512, the tokenizer takes 8 of 512"):
        await service.start()
    await service.stop()
    await generator.down()
    await tokenizer.down()


async def test_a_codec_that_changes_under_the_gateway_makes_it_not_ready(running: Stack) -> None:
    assert running.service.ready()
    running.tokenizer.digest = "another"
    for _ in range(100):
        if not running.service.ready():
            break
        await asyncio.sleep(0.02)
    assert not running.service.ready()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello.")
    assert "restart the gateway" in (caught.value.details() or "")


async def test_the_gateway_waits_for_backends_that_come_later() -> None:
    generator, tokenizer = FakeGenerator(), FakeTokenizer()
    for backend in (generator, tokenizer):
        await backend.up()
        await backend.down()
    settings = GatewaySettings(
        tokenizer_target=f"127.0.0.1:{tokenizer.port}",
        generator_target=f"127.0.0.1:{generator.port}",
        backend_retry_s=0.05,
    )
    service = GatewayService(settings, Metrics())
    start = asyncio.create_task(service.start())
    await asyncio.sleep(0.3)
    assert not start.done()
    assert not service.ready()
    await generator.up()
    await tokenizer.up()
    await asyncio.wait_for(start, 10)
    assert service.ready()
    await service.stop()
    await generator.down()
    await tokenizer.down()


# --- drain ---


async def test_a_drain_lets_turns_finish_and_ends_idle_conversations(running: Stack) -> None:
    running.generator.frame_s = 0.03
    async with Conversation(running) as idle, Conversation(running) as busy:
        await idle.until("started")
        await busy.say("x" * 40 + ".")
        await busy.end()
        speaking = asyncio.create_task(synthesize(running, "y" * 40 + "."))
        await busy.until("audio")
        stopping = asyncio.create_task(running.host.stop(finish_s=10))
        assert (await idle.failed()).code() is grpc.StatusCode.UNAVAILABLE
        assert (await busy.until("turn_completed")).finish_reason == EOS
        assert (await busy.failed()).code() is grpc.StatusCode.UNAVAILABLE
        assert (await speaking).completed[0].finish_reason == EOS
        await stopping


async def test_a_drain_that_takes_too_long_ends_turns_with_the_terminal_shutdown(
    running: Stack,
) -> None:
    running.generator.mute.clear()
    async with Conversation(running) as call:
        await call.say("Never finished.")
        await call.end()
        await call.until("turn_started")
        speaking = asyncio.create_task(synthesize(running, "Nor this."))
        await asyncio.sleep(0.1)
        await running.host.stop(finish_s=0.2)
        assert (await call.until("turn_completed")).finish_reason == SHUTDOWN
        assert (await call.failed()).code() is grpc.StatusCode.UNAVAILABLE
        assert (await speaking).completed[0].finish_reason == SHUTDOWN


@contextlib.asynccontextmanager
async def before_two_generators(running: Stack) -> AsyncIterator[tuple[Stack, FakeGenerator]]:
    """Another gateway, over the stack's generator and a second one; and that one."""
    second = FakeGenerator()
    await second.up()
    other = Stack()
    other.generator, other.tokenizer = running.generator, running.tokenizer
    settings = GatewaySettings(
        port=0,
        metrics_port=None,
        tokenizer_target=f"127.0.0.1:{running.tokenizer.port}",
        generator_target=f"ipv4:127.0.0.1:{running.generator.port},127.0.0.1:{second.port}",
        generator_load_balancing="ring_hash",
    )
    await other.serve(settings)
    try:
        yield other, second
    finally:
        await other.close()
        await second.down()


async def test_ring_hash_keeps_a_conversation_on_one_of_several_generators() -> None:
    async with stack() as running, before_two_generators(running) as (other, second):
        for number in range(12):
            for _ in range(2):
                await synthesize(other, "Hi.", conversation_id=f"c{number}")
        counts = []
        for generator in (running.generator, second):
            names = [s.config.conversation_id for s in generator.streams]
            assert all(names.count(n) == 2 for n in names)
            counts.append(len(names))
        assert sum(counts) == 24


async def test_a_slot_that_is_soon_free_is_waited_for() -> None:
    busy = errors.FailedPrecondition("a turn is under way in another call")
    # The fourth try comes after 0.35 s, later on a busy machine.
    async with stack(failover_s=5.0) as running:
        running.generator.refuse = [busy] * 4
        heard = await synthesize(running, "Hello there.", conversation_id="again")
        assert heard.frames == [0, 1, 2]
        assert running.sample(RETRIES, service="generator", code="FAILED_PRECONDITION") == 4


async def test_a_slot_that_is_never_free_is_an_error_in_the_end(running: Stack) -> None:
    running.generator.refuse = [errors.FailedPrecondition("a turn is under way")] * 100
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(running, "Hello there.", conversation_id="again")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert 0.5 <= time.monotonic() - began < 3


async def test_a_cancelled_call_gives_its_conversation_to_the_next(running: Stack) -> None:
    running.generator.mute.clear()
    request = speech_pb2.SynthesizeRequest(text="Never spoken.", conversation_id="mine")
    first = running.stub.Synthesize(request)
    await first.read()
    first.cancel()
    running.generator.mute.set()
    heard = await synthesize(running, "Hello there.", conversation_id="mine")
    assert heard.completed[0].finish_reason == EOS


async def test_a_drain_waits_for_a_call_whose_context_is_still_encoded(running: Stack) -> None:
    running.tokenizer.encode_s = 0.5
    context = [speech_pb2.ContextTurn(text="x", audio_file=b"RIFF" + bytes(300))]
    speaking = asyncio.create_task(synthesize(running, "Hello there.", context=context))
    async with asyncio.timeout(5):
        while not running.tokenizer.encodes:
            await asyncio.sleep(0.01)
    await running.host.stop(finish_s=10)
    assert (await speaking).completed[0].finish_reason == EOS


async def test_a_conversation_leaves_a_generator_that_drains(running: Stack) -> None:
    async with before_two_generators(running) as (other, second):
        await synthesize(other, "Hi.", conversation_id="moves")
        first = next(g for g in (running.generator, second) if g.streams)
        stays = second if first is running.generator else running.generator
        first.frame_s = 0.05
        async with Conversation(other, conversation_id="moves") as call:
            await call.say("x" * 100 + ".")
            await call.end()
            await call.until("audio")
            assert first.host is not None
            first.drains_s = 2.0
            stopping = asyncio.create_task(first.host.stop(finish_s=5))
            await asyncio.sleep(0.2)
            # What it says goes on; whoever is new is not even refused.
            heard = [await synthesize(other, "Hi.", conversation_id=f"n{n}") for n in range(8)]
            assert all(h.completed[0].finish_reason == EOS for h in heard)
            assert not stopping.done()
            assert (await call.until("turn_completed")).finish_reason == EOS
            await call.say("Still here.")
            await call.end()
            assert (await call.until("turn_completed", 2)).finish_reason == EOS
            await call.done()
        assert len(first.streams) == 2
        assert len(stays.streams) == 9
        assert not other.sample(RETRIES, service="generator", code="UNAVAILABLE")
        await stopping
        first.host = None


async def test_a_conversation_that_opens_during_a_drain_is_ended_at_once(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "GIVE_BACK_S", 5.0)
    running.generator.frame_s = 0.02
    async with Conversation(running, conversation_id="shared") as speaks:
        await speaks.say("x" * 60 + ".")
        await speaks.end()
        await speaks.until("audio")
        async with Conversation(running, conversation_id="shared") as waits:
            await asyncio.sleep(0.1)
            stopping = asyncio.create_task(running.host.stop(finish_s=10))
            assert (await waits.failed()).code() is grpc.StatusCode.UNAVAILABLE
        assert (await speaks.until("turn_completed")).finish_reason == EOS
    await asyncio.wait_for(stopping, 5)


async def test_a_call_that_encodes_beyond_the_drain_gets_its_terminal(running: Stack) -> None:
    running.tokenizer.encode_s = 0.6
    context = [speech_pb2.ContextTurn(text="x", audio_file=b"RIFF" + bytes(300))]
    speaking = asyncio.create_task(synthesize(running, "x" * 200 + ".", context=context))
    async with asyncio.timeout(5):
        while not running.tokenizer.encodes:
            await asyncio.sleep(0.01)
    await running.host.stop(finish_s=0.2)
    heard = await speaking
    assert heard.completed[0].finish_reason == SHUTDOWN
    assert not heard.audio


async def test_a_backend_with_as_much_to_do_as_it_takes_is_still_there(running: Stack) -> None:
    before = running.service.backends.info
    assert running.generator.host is not None
    running.generator.host._refusal = errors.QueueFull("busy")
    await asyncio.sleep(0.6)
    assert running.service.ready()
    assert running.service.backends.info.generator == before.generator
    running.generator.host._refusal = errors.Unavailable("gone")
    async with asyncio.timeout(5):
        while running.service.ready():
            await asyncio.sleep(0.02)
