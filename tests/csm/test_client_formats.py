"""Formats by name in the SDK: what is asked for, and what comes back as floats."""

import io
from collections.abc import AsyncIterator

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from csm.audio.opus import OggOpusEncoder
from csm.client import AsyncClient, AudioChunk, AudioFormat, requests
from csm.client.formats import from_float, to_float
from csm.errors import InvalidArgument
from csm.v1 import common_pb2
from tests.csm import fake_speech
from tests.csm.fake_speech import FakeSpeech, serving

NAMES = {
    "u8": "PCM_U8", "s16": "PCM_S16LE", "s24": "PCM_S24LE", "s32": "PCM_S32LE", "f32": "PCM_F32LE",
    "mulaw": "MULAW", "alaw": "ALAW", "ogg_opus": "OGG_OPUS",
    "s16le": "PCM_S16LE", "s24le": "PCM_S24LE", "s32le": "PCM_S32LE", "f32le": "PCM_F32LE",
    "ulaw": "MULAW", "opus": "OGG_OPUS",
}  # fmt: skip


@pytest.fixture
def fake() -> FakeSpeech:
    return FakeSpeech()


@pytest.fixture
async def client(fake: FakeSpeech) -> AsyncIterator[AsyncClient]:
    async with serving(fake) as address, AsyncClient(address) as one:
        yield one


def number(name: str) -> int:
    return common_pb2.AudioEncoding.Value(f"AUDIO_ENCODING_{NAMES[name]}")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_an_encoding_of_the_wire_and_comes_back(name: str) -> None:
    form = AudioFormat.of(name)
    assert form is not None
    assert form.to_proto().encoding == number(name)
    again = AudioFormat.from_proto(AudioFormat(form.encoding, 48_000, 2).to_proto())
    assert again == AudioFormat(form.encoding, 48_000, 2)
    assert AudioFormat.of(form) is form


def test_every_encoding_of_the_wire_but_files_has_a_name() -> None:
    wire = set(common_pb2.AudioEncoding.values())
    wire -= {common_pb2.AUDIO_ENCODING_UNSPECIFIED, common_pb2.AUDIO_ENCODING_FILE}
    assert {number(name) for name in NAMES} == wire


def test_a_name_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(
        ValueError, match=r"'mp3' is not allowed; one of u8, .*mulaw, alaw, ogg_opus"
    ):
        AudioFormat.of("mp3")
    with pytest.raises(ValueError, match="encoding 6 of the server is none of u8"):
        AudioFormat.from_proto(common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE))


def test_what_is_left_out_stays_so() -> None:
    assert AudioFormat.of(None) is None


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_telephone_audio_is_floats_and_back(law: str) -> None:
    form = AudioFormat(law, 8000)  # type: ignore[arg-type]
    samples = (0.9 * np.sin(np.arange(800) / 9)).astype(np.float32)
    data = from_float(samples, form)
    assert len(data) == len(samples)
    np.testing.assert_allclose(to_float(data, form), samples, atol=0.02)
    chunk = AudioChunk("t", data, form, 0, 5)
    assert (chunk.num_samples, chunk.duration_s) == (800, 0.1)
    np.testing.assert_array_equal(chunk.samples, to_float(data, form))


def test_a_chunk_of_opus_has_a_length_but_no_samples() -> None:
    encoder = OggOpusEncoder(16_000, 2)
    first = encoder.feed(bytes(4 * 1280))
    form = AudioFormat("ogg_opus", 16_000, 2)
    chunks = [AudioChunk("t", data, form, 0, 5) for data in (first, encoder.finish())]
    assert sum(chunk.num_samples for chunk in chunks) == 1280
    assert sum(chunk.duration_s for chunk in chunks) == pytest.approx(0.08)
    with pytest.raises(ValueError, match="ogg_opus is not decoded here"):
        _ = chunks[0].samples
    with pytest.raises(ValueError, match="ogg_opus has no fixed number of bytes"):
        _ = form.sample_bytes
    with pytest.raises(InvalidArgument, match="OGG_OPUS is not allowed here"):
        from_float(np.zeros(3, np.float32), form)


async def test_calls_take_a_name_for_a_format(client: AsyncClient, fake: FakeSpeech) -> None:
    await client.synthesize("Hi.", format="mulaw").read_pcm()
    assert fake.requests[0].format.encoding == common_pb2.AUDIO_ENCODING_MULAW
    samples = np.zeros(160, np.float32)
    async with client.converse(input_format="alaw", output_format="opus") as conversation:
        await conversation.send_audio(samples)
        await conversation.end_turn()
        await anext(conversation)
    (config,) = fake.configs
    assert config.input_format.encoding == common_pb2.AUDIO_ENCODING_ALAW
    assert config.output_format.encoding == common_pb2.AUDIO_ENCODING_OGG_OPUS
    assert fake.heard == b"\xd5" * 160


async def test_the_bytes_of_a_turn_in_opus_are_a_file(
    client: AsyncClient, fake: FakeSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = OggOpusEncoder(24_000)
    data = encoder.feed(fake_speech.CHUNK)
    parts = [data, encoder.feed(fake_speech.CHUNK) + encoder.finish()]
    form = AudioFormat("ogg_opus", 24_000).to_proto()
    monkeypatch.setattr(fake_speech, "FORMAT", form)
    audio = fake_speech.audio

    def coded(index: int) -> object:
        message = audio(index)
        message.audio = parts[index]
        return message

    monkeypatch.setattr(fake_speech, "audio", coded)
    speech = client.synthesize("Hi.", format="opus")
    samples, rate_hz = soundfile.read(io.BytesIO(await speech.read_pcm()))
    assert (rate_hz, len(samples)) == (24_000, 2 * 1920)
    assert speech.started is not None
    assert speech.started.format == AudioFormat("ogg_opus", 24_000, 1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_heard_bytes_of_every_kind_go_as_they_are(kind: type) -> None:
    pcm = np.arange(-300, 300, dtype="<i2").tobytes()
    (message,) = requests.heard_requests(kind(pcm), AudioFormat())
    assert message.heard_audio.audio == pcm


@pytest.mark.parametrize(
    "samples", [np.ones(480, np.int16), np.zeros((480, 2), np.float32), np.ones(480, bool)]
)
async def test_heard_samples_that_are_no_mono_floats_are_refused(
    client: AsyncClient, samples: NDArray[np.floating]
) -> None:
    async with client.converse(input_format="s16") as conversation:
        with pytest.raises(InvalidArgument, match=f"heard_audio.*{samples.dtype}.*mono floats"):
            await conversation.send_audio(samples)
