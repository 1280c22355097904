"""Three services in one process: they start, speak, drain in order and leave nothing behind."""

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import generate_latest

from csm import errors
from csm.client import AsyncClient, AsyncConversation, FinishReason, TurnCompleted
from csm.client.tokenizer import AsyncTokenizerClient
from csm.serving.process import memory
from csm.serving.process.memory import MemoryLimit
from services.all_in_one import AllInOne, make_settings, tokenizer_alone
from services.generator.service import GeneratorService
from services.generator.settings import GeneratorSettings
from services.tokenizer.service import TokenizerService
from tests.csm.cli.conftest import PICO, chirp


@pytest.fixture
async def stack() -> AsyncIterator[AllInOne]:
    async with AllInOne(model=PICO, slots=2, threads=1) as running:
        yield running


async def terminal_of(conversation: AsyncConversation) -> TurnCompleted:
    """The next terminal, whatever comes before it."""
    async for event in conversation:
        if isinstance(event, TurnCompleted):
            return event
    raise AssertionError("the conversation ended without a terminal")


async def test_an_utterance_goes_through_all_three(stack: AllInOne) -> None:
    async with AsyncClient(stack.address) as client:
        info = await client.server_info()
        speech = client.synthesize("Hello there.", seed=1, max_audio_ms=2000)
        samples = await speech.read_all()
    assert speech.completed is not None
    assert len(samples) == speech.completed.usage.generated_frames * 1920
    assert speech.completed.usage.audio_ms == len(samples) * 1000 // info.sample_rate_hz
    assert np.abs(samples).max() > 0.01
    text = generate_latest(stack.metrics.registry).decode()
    for service in ("SpeechService", "GeneratorService", "TokenizerService"):
        assert f'csm_ready{{grpc_service="csm.v1.{service}"}} 1.0' in text


async def test_the_same_seed_says_the_same(stack: AllInOne) -> None:
    async with AsyncClient(stack.address) as client:
        said = [
            await client.synthesize("Hello.", seed=seed, max_audio_ms=800).read_pcm()
            for seed in (5, 5, 6)
        ]
    assert said[0] == said[1]
    assert said[0] != said[2]


async def test_the_same_seed_says_the_same_in_company(stack: AllInOne) -> None:
    async with AsyncClient(stack.address) as client:

        async def say(seed: int) -> bytes:
            return await client.synthesize("Hello there.", seed=seed, max_audio_ms=1200).read_pcm()

        alone = [await say(seed) for seed in (5, 6)]
        for _ in range(3):
            assert await asyncio.gather(say(5), say(6)) == alone


async def test_a_conversation_hears_speaks_and_is_interrupted(stack: AllInOne) -> None:
    async with AsyncClient(stack.address) as client, client.converse(max_lead_ms=80) as conv:
        await conv.send_audio(chirp(24_000, 0.5))
        await conv.say("Once upon a time there was a little house.")
        await conv.end_turn(heard_text="tell me")
        heard = await anext(conv)
        assert isinstance(heard, TurnCompleted)
        assert heard.heard
        started = await anext(conv)
        await anext(conv)
        await conv.cancel(heard_ms=80)
        terminal = await terminal_of(conv)
        assert terminal.finish_reason is FinishReason.CANCELLED
        assert terminal.turn_id == started.turn_id
        turns = (await client.get_conversation(conv.conversation_id)).turns
    assert [turn.heard for turn in turns] == [True, False]
    assert turns[1].audio_ms == 80


async def test_a_wrong_request_leaves_the_stack_unharmed(stack: AllInOne) -> None:
    async with AsyncClient(stack.address) as client:
        with pytest.raises(errors.InvalidArgument) as caught:
            await client.synthesize("Hi.", temperature=float("nan")).read_pcm()
        assert "temperature" in caught.value.violations[0].field
        with pytest.raises(errors.InvalidArgument):
            await client.synthesize("").read_pcm()
        assert await client.synthesize("Hi.", max_audio_ms=160).read_pcm()


async def test_draining_lets_what_runs_finish_and_refuses_what_is_new() -> None:
    running = AllInOne(model=PICO, slots=2, threads=1)
    async with running as stack, AsyncClient(stack.address) as client:
        # Paced, so that it is still under way when the drain begins.
        speech = client.synthesize("A longer text.", max_audio_ms=2000, max_lead_ms=200, seed=2)
        await anext(speech)
        async with grpc.aio.insecure_channel(stack.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            ask = health_pb2.HealthCheckRequest(service="csm.v1.SpeechService")
            assert (await stub.Check(ask)).status == health_pb2.HealthCheckResponse.SERVING
            stopping = asyncio.create_task(stack.stop())
            await asyncio.sleep(0.1)
            # Closed, not merely refusing: whoever comes now is to connect elsewhere.
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Check(ask)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        rest = await speech.read_pcm()
        assert rest
        assert speech.completed is not None
        assert speech.completed.finish_reason in (FinishReason.EOS, FinishReason.MAX_DURATION)
        await asyncio.wait_for(stopping, 20)


async def test_stopping_leaves_no_task_and_no_thread_of_ours() -> None:
    before = {thread.name for thread in threading.enumerate()}
    running = AllInOne(model=PICO, slots=1, threads=1)
    async with running as stack, AsyncClient(stack.address) as client:
        await client.synthesize("Hi.", max_audio_ms=160).read_pcm()
    await asyncio.sleep(0.1)
    ours = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task.get_coro().__qualname__ for task in ours if not task.done()] == []  # type: ignore[union-attr]
    left = {thread.name for thread in threading.enumerate()} - before
    assert [name for name in left if "csm" in name or "engine" in name] == []


async def test_a_model_that_cannot_be_loaded_is_said_and_nothing_keeps_running(
    tmp_path: Path,
) -> None:
    with pytest.raises((errors.ServiceError, ValueError), match=str(tmp_path)):
        async with AllInOne(model=tmp_path):
            pass
    ours = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in ours if not task.done()] == []


@pytest.mark.parametrize("setting", ["port", "http_port", "voices", "created", "aliases"])
async def test_what_is_wrong_with_the_gateway_is_told_before_the_model_loads(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(service: GeneratorService) -> None:
        pytest.fail("the model is loaded")

    monkeypatch.setattr(GeneratorService, "start", start)
    monkeypatch.setattr(TokenizerService, "start", start)
    (tmp_path / "file").touch()
    (tmp_path / "voices" / "ann").mkdir(parents=True)
    (tmp_path / "voices" / "ann" / "voice.json").write_text("{")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wrong: dict[str, tuple[dict[str, object], str]] = {
            "port": ({"port": port}, str(port)),
            "http_port": ({"http_port": port}, "http_port"),
            "voices": ({"voices_directory": tmp_path / "voices"}, "voice.json"),
            "created": (
                {"created_voices_directory": tmp_path / "file" / "voices"},
                "created_voices_directory",
            ),
            "aliases": ({"voice_aliases": "x="}, "voice_aliases"),
        }
        settings, named = wrong[setting]
        with pytest.raises((errors.ServiceError, OSError, ValueError), match=named):
            async with AllInOne(model=PICO, gateway=settings):
                pass
    ours = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in ours if not task.done()] == []


async def test_the_tokenizer_runs_alone() -> None:
    async with (
        tokenizer_alone(model=PICO, threads=1) as address,
        AsyncTokenizerClient(address) as client,
    ):
        info = await client.info()
        samples = chirp(16_000, 1.0)
        encoded = await client.encode(samples, 16_000)
        assert encoded.codes.shape == (13, info.num_codebooks)
        assert encoded.num_samples == 24_000
        pcm = b"".join(
            [part async for part in client.decode(encoded.codes, num_samples=encoded.num_samples)]
        )
        assert len(pcm) == 2 * 24_000


def test_settings_that_are_wrong_are_named_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="is not allowed") as caught:
        make_settings(GeneratorSettings, {"slots": 0}, {"dtype": "int3"})
    assert "slots: 0 is not allowed" in str(caught.value)
    assert "dtype: 'int3' is not allowed" in str(caught.value)


def test_the_environment_speaks_where_no_flag_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSM_GENERATOR_SLOTS", "3")
    monkeypatch.setenv("CSM_GENERATOR_THREADS", "2")
    settings = make_settings(GeneratorSettings, {"slots": None, "threads": 1})
    assert (settings.slots, settings.threads) == (3, 1)


async def test_whoever_is_accepted_is_spoken_to_the_last_sentence() -> None:
    """The generator's queue, the tokenizer's streams and the gateway's places agree."""
    text = "One. Two. Three."

    async def speak(client: AsyncClient, seed: int) -> bool:
        """Whether the text was accepted; all of it was spoken then."""
        speech = client.synthesize(text, seed=seed, timeout_s=60)
        last = 0
        try:
            async for chunk in speech:
                last = chunk.text_chars
        except errors.QueueFull:
            assert not last, "refused after it had begun"
            return False
        assert speech.completed is not None
        assert speech.completed.finish_reason is FinishReason.EOS
        assert not speech.completed.warnings
        assert last == len(text)
        return True

    async with (
        AllInOne(
            model=PICO, slots=2, threads=1, tokenizer={"max_streams": 2}, generator={"max_queue": 3}
        ) as running,
        AsyncClient(running.address) as client,
    ):
        accepted = await asyncio.gather(*(speak(client, seed) for seed in range(8)))
        assert sum(accepted) >= 5
        assert await speak(client, 8)


async def test_a_caller_whose_text_still_comes_is_not_put_out_by_the_next() -> None:
    async def insist(client: AsyncClient) -> None:
        """Asks until there is a place, and keeps it longer than anybody waits for one."""
        while True:
            try:
                await client.synthesize("This one is a long one. " * 20, timeout_s=60).read_pcm()
                return
            except errors.QueueFull:
                await asyncio.sleep(0.05)

    async with (
        AllInOne(model=PICO, slots=1, threads=1, generator={"max_queue": 0}) as running,
        AsyncClient(running.address) as client,
        client.converse(timeout_s=60) as first,
    ):
        await first.say("Hello there. ")
        while not getattr(await anext(first), "pcm", b""):
            pass
        second = asyncio.create_task(insist(client))
        # Until the first sentence is over, and its turn waits for more text.
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(1.0):
                    await anext(first)
        await first.say("And this is the rest.")
        await first.end_turn()
        completed = await terminal_of(first)
        second.cancel()
        assert completed.finish_reason is FinishReason.EOS
        assert completed.error is None


async def test_a_sentence_that_the_model_cannot_say_costs_itself_alone(stack: AllInOne) -> None:
    text = "Hello. Привет, мир. Bye."
    async with (
        AsyncClient(stack.address) as client,
        client.converse(conversation_id="mixed", timeout_s=60) as conversation,
    ):
        for said in (text, "👍", "A good turn."):
            await conversation.say(said)
            await conversation.end_turn()
        first, second, third = [await terminal_of(conversation) for _ in range(3)]
        for completed in (first, second, third):
            assert completed.finish_reason is FinishReason.EOS
            assert completed.error is None
        (warning,) = first.warnings
        assert text[warning.first_char : warning.end_char] == "Привет, мир."
        assert second.kept_audio_ms == 0
        assert third.kept_audio_ms > 0


async def test_what_cannot_fit_is_refused_before_anything_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = []
    monkeypatch.setattr(memory, "find_limit", lambda: MemoryLimit(128 << 20, "the limit"))
    monkeypatch.setattr(memory, "resident_bytes", lambda: 1 << 20)
    monkeypatch.setattr(TokenizerService, "_load", lambda self: loaded.append(self))
    running = AllInOne(model=PICO, slots=64, tokenizer={"max_streams": 1})
    with pytest.raises(
        errors.FailedPrecondition, match=r"the limit is 128 MiB .*generator KV cache"
    ):
        await running.start()
    assert loaded == []


@pytest.mark.parametrize("service", ["tokenizer", "generator", "gateway"])
async def test_tracing_without_its_extra_is_refused_before_anything_loads(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    loaded = []
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    for one in (TokenizerService, GeneratorService):
        monkeypatch.setattr(one, "start", lambda self: loaded.append(self))
    settings: Any = {service: {"tracing_endpoint": "http://127.0.0.1:9"}}
    running = AllInOne(model=PICO, **settings)
    with pytest.raises(errors.FailedPrecondition, match=r"tracing_endpoint.*csm-server\[tracing\]"):
        await running.start()
    assert loaded == []


async def test_what_this_process_alone_uses_asks_nobody_who_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `csm speak` does it in a shell that is set up for `csm serve`."""
    (tmp_path / "tokens").write_text("")
    (tmp_path / "token").write_text("csm_nobody")
    for service in ("TOKENIZER", "GENERATOR", "GATEWAY"):
        monkeypatch.setenv(f"CSM_{service}_AUTH_TOKENS_FILE", str(tmp_path / "tokens"))
    monkeypatch.setenv("CSM_GATEWAY_BACKEND_TOKEN_FILE", str(tmp_path / "token"))
    running = AllInOne(model=PICO, slots=1, threads=1)
    async with running, AsyncClient(running.address) as client:
        assert (await client.server_info()).model
    alone = tokenizer_alone(model=PICO, threads=1)
    async with alone as address, AsyncTokenizerClient(address) as tokenizer:
        assert (await tokenizer.info()).num_codebooks
    served = AllInOne(model=PICO, private=False)
    for settings in (
        served.gateway_settings,
        served.generator_settings,
        served.tokenizer_settings,
    ):
        assert settings.auth_tokens_file == tmp_path / "tokens"
