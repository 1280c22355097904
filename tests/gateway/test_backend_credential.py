"""The gateway's own token: on every call to its backends, read again, and nobody else's fault."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm.serving.auth.identity import Scope
from csm.serving.auth.token_file import new_token
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from csm.v1 import speech_pb2
from gateway.backends.credential import BackendCredential, parse_token
from tests.csm.serving.auth.cases import Tokens
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.fakes import EOS, ERROR, FakeGenerator, FakeTokenizer, Stack


class Place:
    """A stack whose backends ask for tokens; `token` is the gateway's file."""

    def __init__(self, folder: Path) -> None:
        self.tokens = Tokens(folder / "tokens")
        self.token = folder / "token"
        self.stack = Stack()

    async def look(self) -> None:
        """Everybody has read the files as they are."""
        for backend in (self.stack.generator, self.stack.tokenizer):
            assert backend.host is not None
            assert backend.host._authenticator is not None
            assert backend.host._authenticator._tokens is not None
            await backend.host._authenticator._tokens.look()
        file = self.stack.service.backends._credential._file
        assert file is not None
        await file.look()


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    place = Place(tmp_path)

    async def up(self: Any) -> None:
        settings = ServiceSettings(port=self.port, auth_tokens_file=place.tokens.path)
        self.host = Host(self, settings, Metrics())
        await self.host.start()
        self.port = self.host.port

    for fake in (FakeGenerator, FakeTokenizer):
        monkeypatch.setattr(fake, "up", up)
    place.token.write_text(place.tokens.of([Scope.ADMIN], name="gateway") + "\n")
    yield place
    await place.stack.down()


async def test_every_call_to_a_backend_brings_the_token(place: Place) -> None:
    await place.stack.up(backend_token_file=place.token)
    heard = await synthesize(place.stack, "Hello there.")
    assert heard.frames
    # Heard audio, files of context and prepared texts are calls of other kinds.
    async with Conversation(place.stack) as talk:
        await talk.hear(3)
        await talk.end("What was heard.")
        await talk.say("An answer.")
        await talk.end()
        await talk.until("turn_completed", 2)
    prepared = await place.stack.stub.PrepareText(speech_pb2.PrepareTextRequest(text="A text."))
    assert prepared.sentences[0].positions
    await place.stack.stub.DeleteConversation(
        speech_pb2.DeleteConversationRequest(conversation_id=talk.all("started")[0].conversation_id)
    )
    for backend in (place.stack.generator, place.stack.tokenizer):
        assert backend.host is not None
        registry = backend.host.metrics.registry
        assert not sum(
            registry.get_sample_value("csm_auth_refusals_total", {"reason": reason}) or 0
            for reason in ("missing", "malformed", "unknown", "scope")
        )


async def test_another_token_in_the_file_is_shown_from_then_on(place: Place) -> None:
    await place.stack.up(backend_token_file=place.token)
    old = place.token.read_text().strip()
    place.token.write_text(place.tokens.of([Scope.ADMIN], name="another"))
    place.tokens.revoke(old)
    await place.look()
    assert (await synthesize(place.stack, "Hello there.")).frames


async def test_a_token_that_backends_refuse_is_the_operators_to_mend_and_no_clients(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await place.stack.up(backend_token_file=place.token, backend_refresh_s=60)
    good = place.token.read_text()
    bad = new_token()
    place.token.write_text(bad)
    await place.look()
    with caplog.at_level(logging.WARNING), pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(place.stack, "Hello there.")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "cannot be used" in str(caught.value.details())
    told = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert any("does not take the credential of this gateway" in line for line in told)
    assert not any(bad in r.getMessage() for r in caplog.records)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await place.stack.stub.PrepareText(speech_pb2.PrepareTextRequest(text="A text."))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    place.token.write_text(good)
    await place.look()
    assert (await synthesize(place.stack, "Hello there.")).frames


async def test_a_gateway_with_a_wrong_token_is_not_ready_until_it_is_mended(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    good = place.token.read_text()
    place.token.write_text(new_token())
    with caplog.at_level(logging.WARNING):
        starting = asyncio.create_task(place.stack.up(backend_token_file=place.token))
        for _ in range(200):
            await asyncio.sleep(0.02)
            if "UNAUTHENTICATED" in caplog.text:
                break
    assert "does not answer: UNAUTHENTICATED" in caplog.text
    assert not starting.done()
    async with grpc.aio.insecure_channel(place.stack.host.address) as channel:
        asked = health_pb2.HealthCheckRequest(service="csm.v1.SpeechService")
        answer = await health_pb2_grpc.HealthStub(channel).Check(asked)
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    place.token.write_text(good)
    await asyncio.wait_for(starting, 15)
    assert (await synthesize(place.stack, "Hello there.")).frames


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"\xff", b"a\nb", b"a" * 9000])
def test_a_file_without_a_token_is_named_and_not_shown(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ValueError, match="backend_token_file: ") as caught:
        BackendCredential(tmp_path / "token")
    assert "two" not in str(caught.value)


def test_blanks_around_a_token_are_none_of_it() -> None:
    assert parse_token(b" csm_abc\r\n") == "csm_abc"


def test_without_a_file_the_stub_stays_as_it_is() -> None:
    stub = object()
    assert BackendCredential(None).on(stub) is stub


async def test_a_token_that_goes_wrong_in_mid_run_hurts_nobody_who_speaks_and_heals(
    place: Place,
) -> None:
    stack = place.stack
    await stack.up(backend_token_file=place.token, backend_refresh_s=0.1)
    good = place.token.read_text()
    line = place.tokens.lines[good.strip()]
    codes: list[grpc.StatusCode] = []

    async def until_ready(ready: bool) -> None:
        async with asyncio.timeout(10):
            while stack.host.state().ready is not ready:
                await asyncio.sleep(0.02)

    stack.generator.frame_s = 0.05
    async with Conversation(stack) as call:
        await call.say("One two three four five six seven eight nine ten.")
        await call.end()
        await call.until("audio", 2)
        # The operator of the services behind takes the token away, and hands out another later.
        place.tokens.revoke(good.strip())
        await place.look()
        await until_ready(False)
        # What was begun is ended.
        assert (await call.until("turn_completed")).finish_reason == EOS
        stack.generator.frame_s = 0.0
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await synthesize(stack, "Hello there.")
            codes.append(caught.value.code())
        await call.say("Is anybody there?")
        await call.end()
        completed = await call.until("turn_completed", 2)
        assert completed.finish_reason == ERROR
        assert completed.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert "credential" not in str(completed.error)
        place.tokens.lines[good.strip()] = line
        place.tokens.write()
        await place.look()
        await until_ready(True)
        await call.say("And now?")
        await call.end()
        assert (await call.until("turn_completed", 3)).finish_reason == EOS
    assert set(codes) == {grpc.StatusCode.UNAVAILABLE}
    assert (await synthesize(stack, "Hello there.")).frames
