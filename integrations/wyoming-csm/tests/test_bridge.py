"""The bridge, asked by Wyoming's own client, in front of a fake server and of a real one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import numpy as np
import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncTcpServer
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from csm import AsyncClient, errors
from integrations.documented import run_example
from integrations.fake_server import FakeServer
from wyoming_csm import Bridge, SpeechHandler
from wyoming_csm.main import main

Connect = Callable[..., "asyncio.Future[AsyncTcpClient]"]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Starts a bridge before a target; gives a client that is connected to it."""
    opened: list[object] = []

    async def start(target: str, **options: object) -> AsyncTcpClient:
        csm_client = AsyncClient(target)
        server = AsyncTcpServer("127.0.0.1", 0)
        bridge = Bridge(csm_client, **options)  # type: ignore[arg-type]
        await server.start(partial(SpeechHandler, bridge))
        assert server._server is not None
        port = server._server.sockets[0].getsockname()[1]
        client = AsyncTcpClient("127.0.0.1", port)
        await client.connect()
        opened.extend([client, server, csm_client])
        return client

    yield start
    for one in opened:
        if isinstance(one, AsyncTcpClient):
            await one.disconnect()
        elif isinstance(one, AsyncTcpServer):
            await one.stop()
        elif isinstance(one, AsyncClient):
            await one.close()


async def send(client: AsyncTcpClient, *events: Eventable) -> None:
    for event in events:
        await client.write_event(event.event())


async def until(client: AsyncTcpClient, *kinds: type[Eventable]) -> list[Event]:
    """Events up to the first of those kinds."""
    events: list[Event] = []
    async with asyncio.timeout(20):
        while not events or not any(kind.is_type(events[-1].type) for kind in kinds):
            event = await client.read_event()
            assert event is not None, events
            events.append(event)
    return events


def sound(events: list[Event]) -> np.ndarray:
    chunks = [AudioChunk.from_event(e) for e in events if AudioChunk.is_type(e.type)]
    assert {(c.width, c.channels) for c in chunks} == {(2, 1)}
    return np.frombuffer(b"".join(c.audio for c in chunks), np.int16)


async def test_it_describes_the_voices_with_the_default_one_first(
    target: str, connect: Connect
) -> None:
    client = await connect(target, voice="michael")
    await send(client, Describe())
    (event,) = await until(client, Info)
    (program,) = Info.from_event(event).tts
    assert [v.name for v in program.voices] == ["michael", "heart"]
    assert program.supports_synthesize_streaming
    assert all(v.languages for v in program.voices)
    await send(client, Ping(text="x"))
    (pong,) = await until(client, Pong)
    assert Pong.from_event(pong).text == "x"


async def test_a_text_is_spoken_by_the_voice_that_was_asked_for(
    fake: FakeServer, target: str, connect: Connect
) -> None:
    client = await connect(target, voice="michael", sample_rate_hz=16_000)
    await send(client, Synthesize("Hello.", voice=SynthesizeVoice(name="heart")))
    events = await until(client, AudioStop)
    assert AudioStart.from_event(events[0]).rate == 16_000
    assert len(sound(events)) == 3 * 1280
    await send(client, Synthesize("Hallo.", voice=SynthesizeVoice(language="de_DE")))
    await until(client, AudioStop)
    assert [c.voice for c in fake.configs] == ["heart", "michael"]
    assert fake.configs[1].text_options.language == "de-DE"


async def test_a_text_in_parts_is_one_turn_and_is_not_spoken_twice(
    fake: FakeServer, target: str, connect: Connect
) -> None:
    client = await connect(target)
    for _ in range(2):
        await send(
            client,
            SynthesizeStart(),
            SynthesizeChunk(" "),
            SynthesizeChunk("Hello "),
            SynthesizeChunk("there."),
            # As Home Assistant sends it, for servers that take no parts.
            Synthesize(" Hello there."),
            SynthesizeStop(),
        )
        events = await until(client, SynthesizeStopped)
        assert len(sound(events)) == 3 * 1920
        assert [e.type for e in events].count("audio-stop") == 1
    assert fake.said == [" Hello there."] * 2


@pytest.mark.parametrize("parts", [[], [" "]])
async def test_a_blank_text_is_answered_with_no_audio(
    fake: FakeServer, target: str, connect: Connect, parts: list[str]
) -> None:
    client = await connect(target)
    await send(client, SynthesizeStart(), *map(SynthesizeChunk, parts), SynthesizeStop())
    events = await until(client, SynthesizeStopped)
    assert [e.type for e in events] == ["audio-start", "audio-stop", "synthesize-stopped"]
    await send(client, Synthesize(""))
    assert [e.type for e in await until(client, AudioStop)] == ["audio-start", "audio-stop"]
    assert fake.calls == 0


async def test_a_failure_is_an_error_event_and_the_connection_stays(
    fake: FakeServer, target: str, connect: Connect
) -> None:
    client = await connect(target)
    fake.refusals = [errors.invalid("voice", "'x' is not known")] * 2
    await send(client, Synthesize("Hello."))
    failed = Error.from_event((await until(client, Error))[-1])
    assert failed.code == "INVALID_ARGUMENT"
    assert failed.text == "voice: 'x' is not known"
    await send(client, SynthesizeStart(), SynthesizeChunk("Hello."), SynthesizeStop())
    events = await until(client, SynthesizeStopped)
    assert "error" in [e.type for e in events]
    await send(client, Synthesize("Hello."))
    assert len(sound(await until(client, AudioStop))) == 3 * 1920


async def test_a_server_that_is_not_there_is_an_error_event(connect: Connect) -> None:
    client = await connect("127.0.0.1:1")
    await send(client, Describe())
    assert Error.from_event((await until(client, Error))[-1]).code == "UNAVAILABLE"


async def test_a_client_that_goes_away_ends_what_is_spoken_for_it(
    fake: FakeServer, target: str, connect: Connect
) -> None:
    fake.chunks, fake.pause_s = 1000, 0.02
    for ask in (
        [SynthesizeStart(), SynthesizeChunk("A story."), SynthesizeStop()],
        [Synthesize("A story.")],
    ):
        client = await connect(target)
        await send(client, *ask)
        await until(client, AudioChunk)
        await client.disconnect()
    for _ in range(200):
        if fake.ended_calls == 2:
            break
        await asyncio.sleep(0.02)
    assert fake.ended_calls == 2


async def test_no_more_texts_are_spoken_at_once_than_is_allowed(
    fake: FakeServer, target: str, connect: Connect
) -> None:
    fake.pause_s = 0.05
    first = await connect(target, max_requests=1)
    host, port = first.host, first.port
    async with AsyncTcpClient(host, port) as second:
        await send(first, Synthesize("One."))
        await until(first, AudioStart)
        await send(second, Synthesize("Two."))
        await until(first, AudioChunk)
        assert fake.calls == 1
        await until(second, AudioStop)
    assert fake.calls == 2


def test_a_wrong_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--sample-rate", "1"])
    assert raised.value.code == 2
    assert "--sample-rate: 1 is not allowed; 8000..192000" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="blanks"):
        main(["--target", "a b", "--uri", "tcp://127.0.0.1:0"])


async def test_a_real_server_speaks_while_the_text_is_still_coming(
    real_target: str, connect: Connect
) -> None:
    client = await connect(real_target)
    await send(client, Describe())
    info = Info.from_event((await until(client, Info))[-1])
    assert "heart" in {v.name for v in info.tts[0].voices}
    await send(client, SynthesizeStart(voice=SynthesizeVoice(name="heart")))
    await send(client, SynthesizeChunk("Hello there. "), SynthesizeChunk("How are "))
    events = await until(client, AudioChunk)
    await send(client, SynthesizeChunk("you?"), SynthesizeStop())
    events += await until(client, SynthesizeStopped)
    heard = sound(events)
    assert 1.0 < len(heard) / 24_000 < 10
    assert np.abs(heard).max() > 1000


async def test_the_documented_example_speaks(real_target: str, connect: Connect) -> None:
    client = await connect(real_target)
    printed = await run_example("Home Assistant", "10200", str(client.port))
    assert 0.4 < float(printed.removesuffix(" s of speech\n")) < 5
