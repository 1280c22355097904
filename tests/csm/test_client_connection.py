"""How the SDK reaches a server, and what it says where that is none of ours."""

import asyncio
import io
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest

import csm
from csm import errors
from csm.audio.wav import WavStream
from csm.client import (
    AsyncClient,
    AsyncTokenizerClient,
    AudioFormat,
    Client,
    ConversationInfo,
    RetryPolicy,
    ServerInfo,
    Voice,
)
from csm.client.connection import check_target
from csm.v1 import speech_pb2, speech_pb2_grpc
from tests.csm.fake_speech import CHUNK, FakeSpeech, serving

ROOT = Path(__file__).resolve().parents[2]
ONCE = RetryPolicy(max_attempts=1)

WRONG_TARGETS = (
    "", "   ", "127.0.0.1", "localhost", "52050", ":50050", "127.0.0.1:", "127.0.0.1:50050/",
    "http://127.0.0.1:50050", "https://speech.example", "grpc://127.0.0.1:50050", "::1:50050",
    "[::1]", "127.0.0.1:port", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1 :50050", "a:5 0",
)  # fmt: skip


@pytest.mark.parametrize("target", WRONG_TARGETS)
@pytest.mark.parametrize("client", [Client, AsyncClient, AsyncTokenizerClient])
async def test_a_target_that_cannot_be_one_is_refused_at_once_with_an_example(
    client: type, target: str
) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        client(target)
    assert caught.value.violations[0].field == "target"
    assert re.search(r"e\.g\. 127\.0\.0\.1:5005[01]", str(caught.value))


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:50050", "localhost:1", "[::1]:50050", "csm-gateway.speech:50050",
     "dns:///gateway:50050", "dns:gateway:50050", "unix:/run/csm.sock", "unix:///run/csm.sock",
     "ipv4:10.0.0.1:50050,10.0.0.2:50050", "xds:///gateway"],
)  # fmt: skip
def test_a_target_of_grpc_is_taken(target: str) -> None:
    assert check_target(target) == target


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_a_proxy_of_the_environment_is_used_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    proxy = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with proxy, serving(FakeSpeech()) as target:
        async with AsyncClient(target, retry=ONCE) as client:
            assert await client.synthesize("Hi.", timeout_s=10).read_pcm() == CHUNK * 2
        async with AsyncClient(target, retry=ONCE, use_proxy=True) as client:
            with pytest.raises(errors.ServiceError):
                await client.synthesize("Hi.", timeout_s=2).read_pcm()


def test_no_proxy_stands_between_the_blocking_client_and_its_server() -> None:
    """In a process of its own, as grpc reads the environment when it likes."""
    code = """
import asyncio, os
os.environ["http_proxy"] = "http://127.0.0.1:9"
for name in ("no_proxy", "NO_PROXY"):
    os.environ.pop(name, None)
from csm import Client
from tests.csm.fake_speech import CHUNK, FakeSpeech, serving

def use(target):
    with Client(target) as client:
        assert client.synthesize("Hi.", timeout_s=10).read_pcm() == CHUNK * 2

async def main():
    async with serving(FakeSpeech()) as target:
        await asyncio.to_thread(use, target)

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


class Seen(speech_pb2_grpc.SpeechServiceServicer):
    """Keeps the metadata of its calls; answers with fields that are set."""

    def __init__(self) -> None:
        self.metadata: dict[str, object] = {}

    async def GetServerInfo(
        self, request: speech_pb2.GetServerInfoRequest, context: grpc.aio.ServicerContext
    ) -> speech_pb2.GetServerInfoResponse:
        self.metadata = dict(context.invocation_metadata() or ())
        answer = speech_pb2.GetServerInfoResponse(model="m", slots=3)
        answer.sampling.temperature = 0.0
        return answer

    async def GetConversation(
        self, request: speech_pb2.GetConversationRequest, context: grpc.aio.ServicerContext
    ) -> speech_pb2.GetConversationResponse:
        turn = speech_pb2.ConversationTurn(turn_id="t1", text="Hi.", heard=True, audio_ms=80)
        return speech_pb2.GetConversationResponse(conversation_id="c", voice="v", turns=[turn])


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def seeing(seen: Seen) -> AsyncIterator[str]:
    server = grpc.aio.server()
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(seen, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def test_metadata_goes_with_every_call(seen: Seen, seeing: str) -> None:
    metadata = [("authorization", "Bearer abc"), ("trace-bin", b"\x00\xff")]
    async with AsyncClient(seeing, metadata=metadata) as client:
        await client.server_info()
    assert seen.metadata["authorization"] == "Bearer abc"
    assert seen.metadata["trace-bin"] == b"\x00\xff"
    seen.metadata = {}

    def use() -> None:
        with Client(seeing, metadata=metadata) as client:
            client.server_info()

    await asyncio.to_thread(use)
    assert seen.metadata["authorization"] == "Bearer abc"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[bytes, Path]:
    """A key and a certificate of its own for localhost."""
    key, pem = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", pem, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key.read_bytes(), pem


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
async def test_root_certificates_turn_tls_on(seen: Seen, certificate: tuple[bytes, Path]) -> None:
    key, pem = certificate
    server = grpc.aio.server()
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(seen, server)
    credentials = grpc.ssl_server_credentials([(key, pem.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    target = f"localhost:{port}"

    def use() -> None:
        with Client(target, root_certificates=pem.read_bytes(), retry=ONCE) as client:
            assert client.server_info().model == "m"
        # Nobody is trusted unasked, and no call goes out in the clear.
        for other in (None, b""):
            with (
                Client(target, root_certificates=other, retry=ONCE) as client,
                pytest.raises((errors.Unavailable, errors.DeadlineExceeded)),
            ):
                client.server_info(timeout_s=2)

    await asyncio.to_thread(use)
    async with AsyncClient(target, root_certificates=pem) as client:
        assert (await client.server_info()).model == "m"
    await server.stop(0)


@pytest.mark.parametrize(
    "pair",
    [("Authorization", "x"), ("grpc-timeout", "1S"), ("", "x"), ("a b", "x"), ("a", "s\u00e9cret"),
     ("a", "sec\nret"), ("a", b"secret"), ("a-bin", "secret")],
)  # fmt: skip
def test_metadata_that_grpc_cannot_carry_is_named_but_its_value_never_shown(
    pair: tuple[str, str | bytes],
) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        Client("127.0.0.1:1", metadata=[pair])
    assert caught.value.violations[0].field == "metadata"
    assert "cret" not in str(caught.value)


async def test_answers_are_plain_values(seeing: str) -> None:
    async with AsyncClient(seeing) as client:
        info = await client.server_info()
        kept = await client.get_conversation("c")
    assert isinstance(info, ServerInfo)
    assert (info.model, info.slots) == ("m", 3)
    # A zero that the server says is not the same as nothing said.
    assert (info.sampling.temperature, info.sampling.top_k) == (0.0, None)
    assert isinstance(kept, ConversationInfo)
    assert (kept.turns[0].text, kept.turns[0].heard, kept.turns[0].audio_ms) == ("Hi.", True, 80)
    async with serving(FakeSpeech()) as target, AsyncClient(target) as client:
        voices = await client.list_voices()
    assert [*voices] == [Voice("pico", 0, 0, "")]
    assert (len(voices), voices.default_voice) == (1, "pico")


async def test_a_server_that_is_no_gateway_is_said_to_be_none() -> None:
    async with serving(FakeSpeech()) as target, AsyncTokenizerClient(target) as tokenizer:
        for call in (
            tokenizer.info(),
            tokenizer.encode(np.zeros(100, np.float32), 24_000),
            anext(tokenizer.decode(np.zeros((1, 8), np.uint16))),
        ):
            with pytest.raises(errors.UpstreamError, match="is no csm tokenizer") as caught:
                await call
            assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
            assert target in str(caught.value)
    bare = grpc.aio.server()
    port = bare.add_insecure_port("127.0.0.1:0")
    await bare.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(errors.UpstreamError, match="is no csm gateway"):
            await client.server_info()
        with pytest.raises(errors.UpstreamError, match="is no csm gateway"):
            await client.synthesize("Hi.").read_pcm()
        with pytest.raises(errors.UpstreamError, match="is no csm gateway"):
            async with client.converse():
                pass
    await bare.stop(0)


@pytest.mark.parametrize("stall_after", [0, 1])
async def test_a_short_timeout_is_always_deadline_exceeded(stall_after: int) -> None:
    fake = FakeSpeech()
    fake.stall_after = stall_after
    async with serving(fake) as target, AsyncClient(target, retry=ONCE) as client:
        for timeout_s in (0.001, 0.02, 0.05, 0.1, 0.2) * 3:
            with pytest.raises(errors.DeadlineExceeded, match="within the call's timeout"):
                await client.synthesize("Hi.", timeout_s=timeout_s).read_pcm()


class Removed(grpc.RpcError):
    """How grpc shows a call that the server reset."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "Stream removed"


def test_a_stream_that_was_removed_is_a_deadline_or_a_server_that_left() -> None:
    from csm.client.retry import Deadline, from_status

    gone = Deadline(0.01)
    time.sleep(0.02)
    assert isinstance(from_status(Removed(), "h:1", gone), errors.DeadlineExceeded)
    for deadline in (Deadline(None), Deadline(60)):
        assert isinstance(from_status(Removed(), "h:1", deadline), errors.Unavailable)


def test_a_port_of_another_protocol_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=lambda: other.accept()[0].sendall(b"HTTP/1.1 400 Bad\r\n\r\n"),
                         daemon=True).start()  # fmt: skip
        target = f"127.0.0.1:{other.getsockname()[1]}"
        with (
            Client(target, retry=ONCE) as client,
            pytest.raises((errors.Unavailable, errors.DeadlineExceeded), match=target),
        ):
            client.synthesize("Hi.", timeout_s=3).read_pcm()


def test_a_wav_takes_the_format_of_the_sdk() -> None:
    file = io.BytesIO()
    with WavStream(file, AudioFormat("s16", 24_000)) as wav:
        wav.write(CHUNK)
    assert file.getvalue()[44:] == CHUNK


def test_all_names_of_the_package_are_there_and_none_is_loaded_before_it_is_asked_for() -> None:
    for name in csm.__all__:
        assert getattr(csm, name) is not None
    assert set(csm.__all__) <= set(dir(csm))
    names: dict[str, object] = {}
    exec("from csm import *", names)
    assert set(csm.__all__) <= set(names)
    assert {*csm.client.__all__, "__version__"} == set(csm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = csm.Nonsense
    code = (
        "import sys, csm, csm.errors; assert 'csm.client' not in sys.modules; "
        "from csm import Client; "
        "print([m for m in sys.modules if m.split('.')[0] in ('soundfile', 'soxr', 'pydantic', "
        "'prometheus_client', 'torch', 'typer') or m.startswith('csm.serving')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
