"""Telephone audio and Opus through the gateway, over real gRPC, against fake backends."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

from csm.audio import opus
from csm.audio.opus_pages import opus_samples, pages
from csm.v1 import common_pb2, speech_pb2
from tests.gateway.calls import Conversation, Heard, synthesize, turns_of, violations
from tests.gateway.fakes import CANCELLED, EOS, FRAME_SAMPLES, RATE, Stack, stack

MULAW = common_pb2.AUDIO_ENCODING_MULAW
ALAW = common_pb2.AUDIO_ENCODING_ALAW
FILE = common_pb2.AUDIO_ENCODING_FILE
OPUS = common_pb2.AUDIO_ENCODING_OGG_OPUS


def form(encoding: Any, rate_hz: int = 0, channels: int = 0) -> common_pb2.AudioFormat:
    return common_pb2.AudioFormat(encoding=encoding, sample_rate_hz=rate_hz, channels=channels)


def check_stream(turn: Heard, num_samples: int, rate_hz: int = RATE, channels: int = 1) -> None:
    """One whole Ogg stream, each chunk whole pages that begin where the one before ended."""
    samples, rate = soundfile.read(io.BytesIO(turn.pcm), always_2d=True)
    assert (rate, samples.shape) == (rate_hz, (num_samples, channels))
    reached = 0
    for chunk in turn.audio:
        assert chunk.first_sample == reached
        reached += opus_samples(chunk.audio, rate_hz)
    assert reached == num_samples
    last = [page.is_last for page in pages(turn.pcm)]
    assert last == [False] * (len(last) - 1) + [True]


async def test_a_text_comes_back_as_one_ogg_stream(running: Stack) -> None:
    heard = await synthesize(running, "Hello there, you. How are you?", format=form(OPUS))
    (started,) = heard.started
    assert started.format == form(OPUS, RATE, 1)
    (completed,) = heard.completed
    assert completed.finish_reason == EOS
    num_frames = completed.usage.generated_frames
    assert num_frames > 4
    check_stream(heard, num_frames * FRAME_SAMPLES)
    # The first one comes with the first frame, and each says how far the text is.
    assert len(heard.audio) >= num_frames
    assert heard.audio[-1].text_chars == len("Hello there, you. How are you?")
    await running.settled()


@pytest.mark.parametrize("encoding", [OPUS, MULAW])
async def test_a_pause_is_silence_in_any_encoding(running: Stack, encoding: Any) -> None:
    text = 'One of them. <break time="300ms"/> And two.'
    heard = await synthesize(running, text, format=form(encoding))
    num_frames = heard.completed[0].usage.generated_frames
    if encoding == MULAW:
        assert len(heard.pcm) == num_frames * 640 + 300 * 8
        assert b"\xff" * 300 * 8 in heard.pcm
    else:
        check_stream(heard, num_frames * FRAME_SAMPLES + 300 * 24)


async def test_the_pipeline_goes_on_in_pcm_at_the_rate_asked_for(running: Stack) -> None:
    heard = await synthesize(running, "Hello there.", format=form(OPUS, 48_000, 2))
    assert heard.started[0].format == form(OPUS, 48_000, 2)
    (asked,) = running.tokenizer.formats
    assert asked == form(common_pb2.AUDIO_ENCODING_PCM_S16LE, 48_000, 2)


async def test_the_first_pages_leave_after_the_first_frame(running: Stack) -> None:
    running.generator.frame_s = 0.05
    call = running.stub.Synthesize(speech_pb2.SynthesizeRequest(text="x" * 100, format=form(OPUS)))
    async for answer in call:
        if answer.WhichOneof("response") == "audio":
            break
    assert running.generator.streams[0].sent <= 3
    assert answer.audio.audio.startswith(b"OggS")
    assert opus_samples(answer.audio.audio, RATE) > 0
    call.cancel()
    await running.settled()


async def test_pacing_and_credit_count_the_audio_and_not_its_bytes() -> None:
    async with stack() as running:
        began = asyncio.get_running_loop().time()
        heard = await synthesize(running, "x" * 60, format=form(OPUS), max_lead_ms=160)
        took_s = asyncio.get_running_loop().time() - began
        num_frames = heard.completed[0].usage.generated_frames
        assert took_s >= num_frames * 0.08 - 0.16 - 0.08
        check_stream(heard, num_frames * FRAME_SAMPLES)
        assert running.sample("csm_gateway_audio_seconds_total") == pytest.approx(num_frames * 0.08)


async def test_each_turn_of_a_conversation_is_a_stream_of_its_own(running: Stack) -> None:
    async with Conversation(running, conversation_id="two", output_format=form(OPUS)) as call:
        started = await call.until("started")
        assert started.output_format == form(OPUS, RATE, 1)
        await call.hear(2)
        await call.end("Hello?")
        for text in ("The first one.", "And the second one."):
            await call.say(text)
            await call.end()
        await call.until("turn_completed", 3)
        await call.done()
    assert call.error is None
    first, second = call.spoken
    for turn in (first, second):
        assert turn.started[0].format == form(OPUS, RATE, 1)
        check_stream(turn, turn.completed[0].usage.generated_frames * FRAME_SAMPLES)
    await running.settled()


async def test_a_cancelled_turn_ends_its_stream_before_its_terminal(running: Stack) -> None:
    running.generator.frame_s = 0.02
    async with Conversation(running, conversation_id="cut", output_format=form(OPUS)) as call:
        await call.say("x" * 400)
        await call.end()
        await call.until("audio", 3)
        await call.cancel(heard_ms=80)
        completed = await call.until("turn_completed")
        assert completed.finish_reason == CANCELLED
        assert completed.kept_audio_ms == 80
        await call.say("Go on.")
        await call.end()
        await call.until("turn_completed", 2)
        await call.done()
    cut, whole = call.spoken
    length, _ = soundfile.read(io.BytesIO(cut.pcm))
    assert len(length) % FRAME_SAMPLES == 0
    assert 2 * FRAME_SAMPLES <= len(length) < 100 * FRAME_SAMPLES
    check_stream(cut, len(length))
    check_stream(whole, whole.completed[0].usage.generated_frames * FRAME_SAMPLES)
    kept_ms = [turn[3] for turn in await turns_of(running, "cut")]
    assert kept_ms[0] == 80
    await running.settled()


async def test_a_turn_without_audio_has_no_stream(running: Stack) -> None:
    async with Conversation(running, output_format=form(OPUS)) as call:
        await call.say("...")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    (turn,) = call.spoken
    assert turn.audio == []


async def test_a_call_that_is_left_gives_its_encoder_back(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()
    close = opus.OggOpusEncoder.close

    def noted(encoder: opus.OggOpusEncoder) -> None:
        close(encoder)
        closed.set()

    monkeypatch.setattr(opus.OggOpusEncoder, "close", noted)
    running.generator.frame_s = 0.02
    call = running.stub.Synthesize(speech_pb2.SynthesizeRequest(text="x" * 400, format=form(OPUS)))
    async for answer in call:
        if answer.WhichOneof("response") == "audio":
            break
    call.cancel()
    await asyncio.wait_for(closed.wait(), 5)
    await running.settled()


@pytest.mark.parametrize("encoding", [MULAW, ALAW])
async def test_telephone_output_is_asked_for_as_such(running: Stack, encoding: Any) -> None:
    heard = await synthesize(running, "Hello there.", format=form(encoding))
    complete = form(encoding, 8000, 1)
    assert heard.started[0].format == complete
    assert running.tokenizer.formats == [complete]
    # One byte a sample: positions count them, and the audio is as long as its frames.
    num_frames = heard.completed[0].usage.generated_frames
    assert [a.first_sample for a in heard.audio] == [n * 640 for n in range(num_frames)]
    assert len(heard.pcm) == num_frames * 640
    assert running.sample("csm_gateway_audio_seconds_total") == pytest.approx(num_frames * 0.08)


async def test_packets_of_a_telephone_line_are_heard(running: Stack) -> None:
    async with Conversation(
        running, conversation_id="line", input_format=form(MULAW), output_format=form(MULAW)
    ) as call:
        packet = np.full(160, 0xFF, np.uint8).tobytes()
        for _ in range(12):  # 240 ms
            await call.send(heard_audio=speech_pb2.ConverseHeardAudio(audio=packet))
        await call.end("Hello?")
        heard = await call.until("turn_completed")
        assert heard.heard
        await call.done()
    assert call.error is None
    assert running.tokenizer.heard_formats == [form(MULAW, 8000, 1)]
    assert running.tokenizer.heard_bytes == 12 * 160


@pytest.mark.parametrize(
    ("config", "field", "says"),
    [
        ({"output_format": form(FILE)}, "encoding", "AUDIO_ENCODING_FILE is not allowed here; "),
        ({"output_format": form(OPUS, 44_100)}, "sample_rate_hz", "44100 Hz is not allowed"),
        ({"output_format": form(OPUS, 0, 6)}, "channels", "6 channels are not allowed"),
        ({"input_format": form(OPUS)}, "encoding", "AUDIO_ENCODING_OGG_OPUS is not allowed here"),
        ({"input_format": form(FILE)}, "encoding", "AUDIO_ENCODING_FILE is not allowed here"),
        ({"input_format": form(MULAW, 7_000)}, "sample_rate_hz", "7000 Hz is not allowed"),
    ],
)
async def test_what_cannot_be_is_named_with_what_can(
    running: Stack, config: dict[str, Any], field: str, says: str
) -> None:
    async with Conversation(running, **config) as call:
        found = violations(await call.failed())
    ((name, form_asked),) = config.items()
    (path,) = found
    assert path == f"config.{name}.{field}"
    assert found[path].startswith(says)
    assert "allowed are" in found[path]
    if name == "output_format":
        with pytest.raises(grpc.RpcError) as caught:
            await synthesize(running, "Hello there.", format=form_asked)
        assert violations(caught.value) == {f"format.{field}": found[path]}


async def test_a_gateway_without_the_library_says_so(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opus, "problem", lambda: "soundfile is not installed")
    with pytest.raises(grpc.RpcError) as caught:
        await synthesize(running, "Hello there.", format=form(OPUS))
    found = violations(caught.value)
    assert found.keys() == {"format.encoding"}
    assert "is not there on this server (soundfile is not installed)" in found["format.encoding"]
    assert "MULAW and ALAW" in found["format.encoding"]


DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "audio.md"


def example(begins: str) -> str:
    """The Python of the document that begins so."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(begins))
    return found


class Line:
    """A caller who says two packets, asks, hears the answer begin, and asks again."""

    def __init__(self) -> None:
        self.played: list[bytes] = []
        self.cleared = 0
        self._played = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b"\xff" * 160
            yield b"\x10" * 160  # the last of a turn
            await asyncio.wait_for(self._played.wait(), 10)
            self._played.clear()

    async def send(self, packet: bytes) -> None:
        self.played.append(packet)
        self._played.set()

    async def clear(self) -> None:
        self.cleared += 1


async def test_the_bridge_of_the_document_joins_a_line_and_a_conversation(running: Stack) -> None:
    line, names = Line(), {}
    exec(example("import asyncio"), names)
    await names["bridge"](
        line,
        lambda packet: "What is the time?" if packet[0] == 0x10 else None,
        lambda words: "It is noon." if words.endswith("time?") else "What?",
        target=running.host.address,
    )
    assert running.tokenizer.heard_bytes == 2 * 320
    assert {form.encoding for form in running.tokenizer.formats} == {MULAW}
    assert [stream.texts for stream in running.generator.streams] == [["It is noon."]] * 2
    assert line.cleared == 2
    assert {len(packet) for packet in line.played} == {160}
    # The last answer is heard whole: three frames of 80 ms are twelve packets.
    assert len(line.played) >= 12
    await running.settled()


async def test_the_formats_of_the_document_are_those_that_come(
    running: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = example("from pathlib import Path\n\nfrom csm import AudioFormat")
    source = source.replace("127.0.0.1:50050", running.host.address)
    names: dict[str, Any] = {}
    await asyncio.to_thread(exec, source, names)
    found = soundfile.info("hello.opus")
    assert (found.subtype, found.samplerate, found.channels) == ("OPUS", RATE, 1)
    assert len(names["wide"]) == 2 * found.frames * 2 * 3
