"""The token of a client: sent with every call, and never where others could read it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from csm import errors
from csm.client import AsyncClient, AsyncTokenizerClient, Client, TokenizerClient
from csm.client.bearer import is_local
from csm.serving.auth.identity import Scope, current
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from csm.v1 import speech_pb2_grpc
from gateway.access import RPCS
from tests.csm.fake_speech import FakeSpeech
from tests.csm.serving.auth.cases import Tokens

CLIENTS = (Client, AsyncClient, TokenizerClient, AsyncTokenizerClient)


class Guarded:
    """A fake gateway that asks for tokens."""

    name = "csm.v1.SpeechService"
    access = RPCS

    def __init__(self, tokens: Tokens) -> None:
        self.fake = FakeSpeech()
        self.tokens = tokens
        self.callers: list[str] = []
        settings = ServiceSettings(auth_tokens_file=tokens.path)
        self.host = Host(self, settings, Metrics())

    async def start(self) -> None: ...

    def register(self, server: Any) -> None:
        speech_pb2_grpc.add_SpeechServiceServicer_to_server(self, server)

    def alive(self) -> bool:
        return True

    async def drain(self, finish_s: float) -> None: ...

    async def stop(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fake, name)

    async def Synthesize(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.callers.append(current.get().name)
        async for answer in self.fake.Synthesize(request, context):
            yield answer


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    one = Guarded(Tokens(tmp_path / "tokens"))
    one.tokens.of([Scope.SPEAK], name="alice")
    one.tokens.of([Scope.VOICES_WRITE], name="bob")
    one.host = Host(one, one.host.settings, Metrics())
    await one.host.start()
    yield one
    await one.host.stop(finish_s=0)


async def test_every_call_brings_the_token(guarded: Guarded) -> None:
    alice = next(iter(guarded.tokens.lines))
    async with AsyncClient(guarded.host.address, token=alice) as client:
        await client.server_info()
        assert [chunk async for chunk in client.synthesize("Hello.")]
        # In a conversation she has no business.
        with pytest.raises(errors.PermissionDenied, match="the scope converse"):
            async with client.converse():
                pass
        with pytest.raises(errors.PermissionDenied, match="the scope voices:write"):
            await client.delete_voice("x")
    assert guarded.callers == ["alice"]


async def test_what_gives_the_token_is_asked_for_each_call(guarded: Guarded) -> None:
    given = iter(guarded.tokens.lines)
    async with AsyncClient(guarded.host.address, token=lambda: next(given)) as client:
        await client.server_info()
        with pytest.raises(errors.PermissionDenied):
            async for _ in client.synthesize("Hello."):
                pass


@pytest.mark.parametrize("token", [None, "csm_wrong"])
async def test_a_call_without_a_token_that_holds_is_an_error_of_its_own(
    guarded: Guarded, token: str | None
) -> None:
    async with AsyncClient(guarded.host.address, token=token) as client:
        with pytest.raises(errors.Unauthenticated):
            await client.server_info()
        with pytest.raises(errors.Unauthenticated):
            async for _ in client.synthesize("Hello."):
                pass
        with pytest.raises(errors.Unauthenticated):
            async with client.converse():
                pass


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_token_is_not_sent_where_others_read_it(client: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="token: would go to speech") as told:
        client("speech.example:1", token="csm_secret")
    assert "csm_secret" not in str(told.value)
    with pytest.raises(errors.InvalidArgument):
        client("speech.example:1", token=lambda: "csm_secret")
    client("speech.example:1", token="csm_secret", allow_plaintext_token=True)
    client("speech.example:1", token="csm_secret", root_certificates=b"")
    client("localhost:1", token="csm_secret")


@pytest.mark.parametrize("token", ["", "a b", "a\n", "\u00e9", "a" * 9000, b"bytes", 7.25])
async def test_what_cannot_be_a_token_is_refused_and_not_shown(token: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="token: ") as caught:
        Client("127.0.0.1:1", token=token)
    assert repr(token) not in str(caught.value)


async def test_a_token_beside_an_authorization_is_one_too_many() -> None:
    with pytest.raises(errors.InvalidArgument, match="not allowed beside authorization"):
        Client("127.0.0.1:1", token="a", metadata=[("authorization", "Bearer b")])


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("127.0.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), ("127.8.9.1:1", True),
        ("unix:/run/a", True), ("unix:///run/a", True), ("dns:///localhost:1", True),
        ("dns:localhost:1", True), ("ipv4:127.0.0.1:1", True), ("ipv6:[::1]:1", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:1", True), ("ipv4:127.0.0.1:1,10.0.0.1:1", False),
        ("dns://8.8.8.8/localhost:1", False), ("dns:///gateway:1", False), ("gateway:1", False),
        ("localhost.example.org:1", False), ("10.0.0.1:1", False), ("0.0.0.0:1", False),
        ("xds:///localhost:1", False),
    ],
)  # fmt: skip
def test_what_stays_on_this_machine_is_known(target: str, local: bool) -> None:
    assert is_local(target) == local
