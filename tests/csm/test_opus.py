"""Opus in Ogg: a stream that others read, page by page, of the right length and sound."""

import io
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from csm.audio import opus
from csm.audio.files import read_audio
from csm.audio.opus import RATES_HZ, OggOpusEncoder, complete_opus_format
from csm.audio.opus_pages import opus_samples, packet_samples, pages
from csm.audio.pcm import AudioError
from csm.v1 import common_pb2

OGG_OPUS = common_pb2.AUDIO_ENCODING_OGG_OPUS
TONE_HZ = 440


def tone(num_samples: int, rate_hz: int, channels: int = 1) -> bytes:
    """A tone as PCM_S16LE."""
    mono = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(num_samples) / rate_hz)
    return np.repeat(np.rint(mono * 32767), channels).astype("<i2").tobytes()


def encoded(pcm: bytes, rate_hz: int, channels: int = 1, chunk_samples: int = 0) -> list[bytes]:
    """What comes out for each chunk, and at the end."""
    encoder = OggOpusEncoder(rate_hz, channels)
    size = 2 * channels * (chunk_samples or rate_hz * 80 // 1000)
    parts = [encoder.feed(pcm[at : at + size]) for at in range(0, len(pcm), size)]
    return [*parts, encoder.finish()]


def loudest_hz(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_it_decodes_to_the_same_length_and_tone(rate_hz: int, channels: int) -> None:
    num_samples = rate_hz + 1234
    data = b"".join(encoded(tone(num_samples, rate_hz, channels), rate_hz, channels))
    samples, rate = soundfile.read(io.BytesIO(data), always_2d=True)
    assert (rate, samples.shape) == (rate_hz, (num_samples, channels))
    for channel in samples.T:
        assert loudest_hz(channel, rate_hz) == pytest.approx(TONE_HZ, abs=2)
        assert np.sqrt(np.mean(channel**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not there")
def test_ffmpeg_decodes_it_from_a_pipe() -> None:
    data = b"".join(encoded(tone(48_000, 24_000), 24_000))
    decoded = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-f", "ogg", "-i", "-", "-f", "s16le", "-ac", "1",
         "-ar", "24000", "-"],
        input=data, capture_output=True, check=True,
    )  # fmt: skip
    assert decoded.stderr == b""
    samples = np.frombuffer(decoded.stdout, "<i2") / 32768
    assert abs(len(samples) - 48_000) <= 24  # it resamples from 48 kHz
    assert loudest_hz(samples, 24_000) == pytest.approx(TONE_HZ, abs=2)


def test_our_own_reader_of_files_takes_it() -> None:
    data = b"".join(encoded(tone(24_000, 24_000), 24_000))
    samples, rate_hz = read_audio(data, max_seconds=2)
    assert (rate_hz, len(samples)) == (24_000, 24_000)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_pages_come_with_the_first_frame_and_at_least_every_100_ms(rate_hz: int) -> None:
    parts = encoded(tone(rate_hz * 2, rate_hz), rate_hz)
    assert parts[0].startswith(b"OggS")
    assert opus_samples(parts[0], rate_hz) > 0
    assert all(parts)
    durations_ms = [
        sum(packet_samples(packet) for packet in page.packets) / 48
        for part in parts
        for page in pages(part)
        if not page.packets[0].startswith(b"Opus")
    ]
    assert max(durations_ms) <= 80


def test_small_chunks_give_pages_as_soon_as_they_are_full() -> None:
    parts = encoded(tone(24_000, 24_000), 24_000, chunk_samples=480)  # 20 ms
    waited = longest = 0
    for part in parts:
        waited = 0 if part else waited + 1
        longest = max(longest, waited)
    assert longest * 20 < 80


@settings(max_examples=20, deadline=None)
@given(
    rate_hz=st.sampled_from(RATES_HZ),
    channels=st.sampled_from([1, 2]),
    chunk_ms=st.sampled_from([7, 20, 80, 333]),
    num_samples=st.integers(1, 20_000),
)
def test_the_length_of_every_run_of_pages_is_told_without_decoding(
    rate_hz: int, channels: int, chunk_ms: int, num_samples: int
) -> None:
    encoder = OggOpusEncoder(rate_hz, channels)
    pcm = tone(num_samples, rate_hz, channels)
    size = rate_hz * chunk_ms // 1000 * 2 * channels
    total = 0
    for at in [*range(0, len(pcm), size), None]:
        data = encoder.finish() if at is None else encoder.feed(pcm[at : at + size])
        total += opus_samples(data, rate_hz)
        assert total == encoder.num_samples
    assert total == num_samples


def test_the_last_page_says_so_and_is_the_only_one() -> None:
    parts = encoded(tone(24_000, 24_000), 24_000)
    flags = [page.is_last for part in parts for page in pages(part)]
    assert flags == [False] * (len(flags) - 1) + [True]


def test_a_stream_that_is_given_up_takes_nothing_more() -> None:
    encoder = OggOpusEncoder(24_000)
    encoder.feed(tone(1920, 24_000))
    encoder.close()
    encoder.close()
    assert encoder.feed(tone(1920, 24_000)) == b""
    assert encoder.finish() == b""


@pytest.mark.parametrize("cut", [3, 40, -1])
def test_pages_that_are_not_whole_are_named(cut: int) -> None:
    data = b"".join(encoded(tone(1920, 24_000), 24_000))
    with pytest.raises(ValueError, match="page of Ogg"):
        list(pages(data[:cut]))
    with pytest.raises(ValueError, match="byte 0 does not begin a page of Ogg"):
        opus_samples(b"RIFF" + bytes(40), 24_000)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), header=st.sampled_from([b"", b"OggS\0\4"]))
def test_any_bytes_are_pages_or_a_value_error(data: bytes, header: bytes) -> None:
    try:
        opus_samples(header + data, 24_000)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("rate_hz", "channels", "field", "says"),
    [
        (44_100, 1, "f.sample_rate_hz", r"44100 Hz is not allowed for AUDIO_ENCODING_OGG_OPUS; "
         "allowed are 8000, 12000, 16000, 24000, 48000 Hz"),
        (48_000, 6, "f.channels", r"6 channels are not allowed for AUDIO_ENCODING_OGG_OPUS; "
         r"allowed are 1\.\.2"),
    ],
)  # fmt: skip
def test_what_opus_does_not_know_is_named(
    rate_hz: int, channels: int, field: str, says: str
) -> None:
    form = common_pb2.AudioFormat(encoding=OGG_OPUS, sample_rate_hz=rate_hz, channels=channels)
    with pytest.raises(AudioError, match=says) as caught:
        complete_opus_format(form, 24_000, "f")
    assert caught.value.field == field


def test_the_completed_format_has_every_default() -> None:
    form = complete_opus_format(common_pb2.AudioFormat(encoding=OGG_OPUS), 24_000)
    assert form == common_pb2.AudioFormat(encoding=OGG_OPUS, sample_rate_hz=24_000, channels=1)


def test_other_encodings_are_taken_as_ever_and_an_error_names_opus_too() -> None:
    mulaw = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_MULAW)
    assert complete_opus_format(mulaw, 24_000).sample_rate_hz == 8000
    file = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)
    with pytest.raises(AudioError, match=r"FILE is not allowed here; allowed are .*OGG_OPUS"):
        complete_opus_format(file, 24_000)


def test_a_machine_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfile, "available_subtypes", lambda container: {"VORBIS": "Vorbis"})
    opus.problem.cache_clear()
    try:
        form = common_pb2.AudioFormat(encoding=OGG_OPUS)
        with pytest.raises(AudioError, match=r"OGG_OPUS is not there .*libsndfile .* no Opus"):
            complete_opus_format(form, 24_000)
        form.encoding = common_pb2.AUDIO_ENCODING_FILE
        with pytest.raises(AudioError) as caught:
            complete_opus_format(form, 24_000)
        assert "OPUS" not in caught.value.description
    finally:
        opus.problem.cache_clear()
