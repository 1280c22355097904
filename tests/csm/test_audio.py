"""Audio in and out: every container and encoding, any chunking, and every way to be wrong."""

import contextlib
import gc
import io
import itertools
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from csm.audio.files import Recording, read_audio, write_audio
from csm.audio.mpeg import MAX_JUNK_BYTES, begins_with_frames
from csm.audio.pcm import AudioError, AudioTooLong, BitDepth, PcmReader, PcmWriter, Samples
from csm.audio.resample import Resampler, resample
from csm.audio.riff import MAX_CHUNKS
from csm.audio.wav import WavStream, wav_header
from csm.errors import InvalidArgument
from csm.v1 import common_pb2

U8 = common_pb2.AUDIO_ENCODING_PCM_U8
S16 = common_pb2.AUDIO_ENCODING_PCM_S16LE
S24 = common_pb2.AUDIO_ENCODING_PCM_S24LE
S32 = common_pb2.AUDIO_ENCODING_PCM_S32LE
F32 = common_pb2.AUDIO_ENCODING_PCM_F32LE
ENCODINGS = (U8, S16, S24, S32, F32)
# Half a step of each encoding; 32 bits are limited by float32 itself.
TOLERANCE = {U8: 0.5 / 128, S16: 0.5 / 2**15, S24: 0.5 / 2**23, S32: 2**-24, F32: 0.0}
RATES = (8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000, 192000)


def chirp(num_samples: int, seed: int = 0) -> Samples:
    """A sweep with a little noise, within -0.9..0.9."""
    t = np.linspace(0, 1, num_samples)
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, num_samples)
    return np.asarray(0.8 * np.sin(400 * t * (1 + 4 * t)) + noise, np.float32)


def form(
    encoding: common_pb2.AudioEncoding = S16, rate_hz: int = 0, channels: int = 0
) -> common_pb2.AudioFormat:
    return common_pb2.AudioFormat(encoding=encoding, sample_rate_hz=rate_hz, channels=channels)


def wav(samples: np.ndarray, rate_hz: int = 16000, subtype: str = "PCM_16") -> bytes:
    """Bytes of a WAV as another program would write it."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format="WAV", subtype=subtype)
    return out.getvalue()


def raw_wav(
    payload: bytes,
    *,
    rate_hz: int = 16000,
    channels: int = 1,
    bits: int = 16,
    code: int = 1,
    data_size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    """A WAV by hand, so that its header may lie."""
    size = len(payload) if data_size is None else data_size
    block = bits // 8 * channels
    fmt = struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * block, block, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + payload
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def read_blocks(
    file: io.BytesIO, *, max_seconds: float | Fraction | None, rate_hz: int | None = None
) -> Iterator[Samples]:
    """The blocks of a recording that is surveyed before the first of them."""
    recording = Recording(file, "audio", max_seconds)
    for _ in recording.survey():
        pass
    yield from recording.blocks(rate_hz)


@st.composite
def chunked(draw: st.DrawFn, max_length: int) -> tuple[int, list[int]]:
    """A length and where it is cut, cuts anywhere, empty chunks among them."""
    length = draw(st.integers(0, max_length))
    cuts = sorted(draw(st.lists(st.integers(0, length), max_size=8)))
    return length, [0, *cuts, length]


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_a_wav_of_any_depth_and_channel_count_is_read_as_the_mean_of_its_channels(
    subtype: str, channels: int
) -> None:
    lanes = np.stack([chirp(4000, seed) for seed in range(channels)], axis=1)
    samples, rate_hz = read_audio(wav(lanes, 44100, subtype), max_seconds=10)
    assert rate_hz == 44100
    assert samples.dtype == np.float32
    step = 1 / 64 if subtype == "PCM_U8" else 2e-4
    np.testing.assert_allclose(samples, lanes.mean(axis=1), atol=step)


@pytest.mark.parametrize(
    ("suffix", "depth", "tolerance"),
    [
        (".wav", "8", 1 / 250),
        (".wav", "16", 1 / 65000),
        (".wav", "24", 1e-7),
        (".wav", "32", 1e-7),
        (".wav", "float", 0),
        (".flac", "8", 1 / 250),
        (".flac", "16", 1 / 65000),
        (".flac", "24", 1e-7),
    ],
)
def test_a_written_file_is_read_back_within_half_a_step(
    tmp_path: Path, suffix: str, depth: BitDepth, tolerance: float
) -> None:
    path = tmp_path / f"out{suffix}"
    samples = chirp(20_000)
    write_audio(path, samples, 24000, bit_depth=depth)
    again, rate_hz = read_audio(path, max_seconds=None)
    assert rate_hz == 24000
    np.testing.assert_allclose(again, samples, atol=tolerance, rtol=0)


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_a_lossy_file_keeps_the_signal(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    samples = chirp(70_000)
    write_audio(path, samples, 24000)
    again, rate_hz = read_audio(path, max_seconds=None)
    assert rate_hz == 24000
    assert abs(len(again) - len(samples)) < 3000
    shared = min(len(again), len(samples))
    assert np.corrcoef(again[:shared], samples[:shared])[0, 1] > 0.95


def test_minutes_of_audio_go_into_ogg_without_a_crash(tmp_path: Path) -> None:
    samples = np.tile(chirp(24_000), 180)
    write_audio(tmp_path / "long.ogg", samples, 24000)
    assert soundfile.info(str(tmp_path / "long.ogg")).frames == len(samples)


def test_integers_survive_the_way_to_float_and_back(tmp_path: Path) -> None:
    values = np.arange(-(2**15), 2**15).astype("<i2")
    reader, writer = PcmReader(form(S16), 24000), PcmWriter(form(S16), 24000)
    assert writer.feed(reader.feed(values.tobytes())) == values.tobytes()
    path = tmp_path / "all.wav"
    path.write_bytes(raw_wav(values.tobytes()))
    samples, _ = read_audio(path, max_seconds=None)
    write_audio(tmp_path / "again.wav", samples, 16000)
    assert np.array_equal(
        soundfile.read(tmp_path / "again.wav", dtype="int16")[0], values.astype(np.int16)
    )


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    channels=st.integers(1, 6),
    from_hz=st.sampled_from(RATES),
    to_hz=st.sampled_from((16000, 24000)),
    cut=chunked(60_000),
    seed=st.integers(0, 99),
)
def test_pcm_cut_anywhere_reads_as_in_one_piece(
    encoding: common_pb2.AudioEncoding,
    channels: int,
    from_hz: int,
    to_hz: int,
    cut: tuple[int, list[int]],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    writer = PcmWriter(form(encoding, from_hz, channels), from_hz)
    length, cuts = cut
    num_samples = length // writer.sample_bytes
    data = writer.feed(rng.uniform(-1, 1, num_samples).astype(np.float32))
    whole = PcmReader(form(encoding, from_hz, channels), to_hz)
    once = np.concatenate([whole.feed(data), whole.finish()])
    reader = PcmReader(form(encoding, from_hz, channels), to_hz)
    parts = [
        reader.feed(data[a:b]) for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True) if b >= a
    ]
    streamed = np.concatenate([*parts, reader.finish()])
    assert np.array_equal(streamed, once)
    assert reader.num_samples == len(once)
    assert abs(len(once) - num_samples * to_hz / from_hz) <= 1


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    channels=st.integers(1, 6),
    to_hz=st.sampled_from(RATES),
    cut=chunked(12_000),
)
def test_pcm_written_in_any_chunks_is_the_same_bytes(
    encoding: common_pb2.AudioEncoding, channels: int, to_hz: int, cut: tuple[int, list[int]]
) -> None:
    length, cuts = cut
    samples = chirp(length) * 1.2
    whole = PcmWriter(form(encoding, to_hz, channels), 24000)
    once = whole.feed(samples) + whole.finish()
    writer = PcmWriter(form(encoding, to_hz, channels), 24000)
    parts = [writer.feed(samples[a:b]) for a, b in itertools.pairwise(cuts)]
    assert b"".join([*parts, writer.finish()]) == once
    assert len(once) % writer.sample_bytes == 0
    assert abs(len(once) / writer.sample_bytes - length * to_hz / 24000) <= 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_written_is_read_back_within_half_a_step(
    encoding: common_pb2.AudioEncoding,
) -> None:
    samples = chirp(5000)
    data = PcmWriter(form(encoding, 24000, 3), 24000).feed(samples)
    again = PcmReader(form(encoding, 24000, 3), 24000).feed(data)
    np.testing.assert_allclose(again, samples, atol=TOLERANCE[encoding], rtol=0)


@pytest.mark.parametrize(
    ("encoding", "low", "high"),
    [
        (U8, b"\x00", b"\xff"),
        (S16, b"\x00\x80", b"\xff\x7f"),
        (S24, b"\x00\x00\x80", b"\xff\xff\x7f"),
        (S32, b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f"),
        (F32, struct.pack("<f", -1), struct.pack("<f", 1)),
    ],
)
def test_loud_samples_are_clipped_and_never_wrap(
    encoding: common_pb2.AudioEncoding, low: bytes, high: bytes
) -> None:
    writer = PcmWriter(form(encoding), 24000)
    assert writer.feed(np.array([-7, -1, 1, 7], np.float32)) == low * 2 + high * 2


def test_the_completed_format_has_every_default() -> None:
    assert PcmWriter(common_pb2.AudioFormat(), 24000).format == form(S16, 24000, 1)
    assert PcmReader(common_pb2.AudioFormat(), 16000).format == form(S16, 16000, 1)


@pytest.mark.parametrize("rate_hz", RATES)
def test_one_frame_gives_output_at_once_whatever_the_rate(rate_hz: int) -> None:
    assert PcmWriter(form(S16, rate_hz), 24000).feed(chirp(1920))


def test_resampling_keeps_a_tone_its_level_and_its_length() -> None:
    t = np.arange(44100 * 2) / 44100
    tone = (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    out = resample(tone, 44100, 24000)
    assert len(out) == 48000
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 24000)
    np.testing.assert_allclose(out[2000:-2000], expected[2000:-2000], atol=1e-4)


@pytest.mark.parametrize(
    ("bad", "field", "says"),
    [
        (form(S16, 7999), "f.sample_rate_hz", "7999 Hz is not allowed; allowed are 8000..192000"),
        (form(S16, 768_000), "f.sample_rate_hz", "768000"),
        (form(S16, 24000, 7), "f.channels", "7 channels are not allowed; allowed are 1..6"),
        (form(common_pb2.AUDIO_ENCODING_FILE), "f.encoding", "AUDIO_ENCODING_FILE"),
        (
            form(99),  # type: ignore[arg-type]
            "f.encoding",
            "99 is not allowed here; allowed are AUDIO_ENCODING_PCM_U8",
        ),
    ],
)
def test_a_wrong_format_is_named_with_what_is_allowed(
    bad: common_pb2.AudioFormat, field: str, says: str
) -> None:
    for kind in (PcmReader, PcmWriter):
        with pytest.raises(AudioError, match=says) as caught:
            kind(bad, 24000, field="f")
        assert caught.value.field == field
        assert isinstance(caught.value, InvalidArgument)
        assert caught.value.violations[0].field == field


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_float_that_is_no_number_is_named_with_its_place(value: float) -> None:
    reader = PcmReader(form(F32), 24000)
    reader.feed(chirp(100).tobytes())
    samples = chirp(10)
    samples[3] = value
    with pytest.raises(AudioError, match=r"audio: sample 103 is -?(nan|inf)"):
        reader.feed(samples.tobytes())


def test_bytes_that_end_within_a_sample_are_an_error() -> None:
    reader = PcmReader(form(S24, 24000, 2), 24000)
    reader.feed(b"\0" * 13)
    with pytest.raises(AudioError, match="ends with 1 bytes over; allowed is a multiple of 6"):
        reader.finish()


GOOD = wav(chirp(8000))
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "text": (b"Hello, this is no audio at all.", r"is not audio \(is text\)"),
    "zeros": (bytes(4000), "is not audio"),
    "a RIFF that is no WAVE": (b"RIFF\x04\x00\x00\x00AVI ", "RIFF file without WAVE"),
    "half a header": (GOOD[:20], "is truncated"),
    "a header alone": (GOOD[:44], "declares 16000 bytes of samples, 0 are there"),
    "half the samples": (GOOD[:8000], "declares 16000 bytes of samples, 7956 are there"),
    "a header that lies": (
        raw_wav(bytes(320), data_size=1 << 30),
        "declares 1073741824 bytes of samples, 320 are there",
    ),
    "a header that lies twice": (
        raw_wav(bytes(320), data_size=1 << 30, riff_size=(1 << 30) + 36),
        "declares 1073741824 bytes",
    ),
    "zero frames": (raw_wav(b""), "has zero frames; allowed is at least 1"),
    "zero frames of a pipe": (
        raw_wav(b"", data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF),
        "zero frames",
    ),
    "NaN": (wav(np.array([0, 0.5, np.nan, 0], np.float32), subtype="FLOAT"), "sample 2 is nan"),
    "infinity": (wav(np.array([0, -np.inf], np.float32), subtype="FLOAT"), "sample 1 is -inf"),
    "infinite doubles": (wav(np.array([0, 1e300]), subtype="DOUBLE"), "sample 1 is inf"),
    "768 kHz": (wav(chirp(100), 768_000), "768000 Hz is not allowed; allowed are 8000..192000"),
    "0 Hz": (raw_wav(bytes(320), rate_hz=0), "Hz is not allowed|cannot be read as audio"),
    "7 channels": (wav(np.zeros((100, 7))), "7 channels are not allowed; allowed are 1..6"),
    "0 channels": (raw_wav(bytes(320), channels=0), "cannot be read as audio"),
    "an unknown codec": (raw_wav(bytes(320), code=0x1234), "cannot be read as audio"),
    "12 hours declared in FLAC": (b"fLaC" + bytes(100), "cannot be read as audio"),
    "an MP3 of noise": (b"\xff\xfb" + bytes(range(256)) * 8, "cannot be read as audio"),
    "half an AIFF": (b"FORM\x00\x00\x00\x2eAIFFCOMM", "cannot be read as audio"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_field_and_reason(name: str, tmp_path: Path) -> None:
    data, says = BAD_FILES[name]
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    for source in (data, io.BytesIO(data)):
        with pytest.raises(AudioError, match=says) as caught:
            read_audio(source, name="heard", max_seconds=60)
        assert caught.value.field == "heard"
    with pytest.raises(AudioError, match=says) as caught:
        read_audio(path, max_seconds=60)
    assert caught.value.field == str(path)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200), start=st.sampled_from(["", "RIFF", "fLaC", "OggS", "ID3"]))
def test_noise_is_read_or_refused_but_never_crashes(data: bytes, start: str) -> None:
    try:
        samples, _ = read_audio(start.encode() + data, max_seconds=1)
    except AudioError:
        return
    assert np.isfinite(samples).all()


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 59), value=st.integers(0, 255), keep=st.integers(0, 400))
def test_a_damaged_wav_is_read_or_refused_but_never_crashes(at: int, value: int, keep: int) -> None:
    data = bytearray(raw_wav(chirp(200).tobytes(), code=3, bits=32)[:keep])
    if at < len(data):
        data[at] = value
    try:
        samples, rate_hz = read_audio(bytes(data), max_seconds=1)
    except AudioError:
        return
    assert np.isfinite(samples).all()
    assert 0 < len(samples) <= rate_hz


@pytest.mark.parametrize("container", ["FLAC", "MP3"])
def test_a_truncated_compressed_file_is_refused(container: str) -> None:
    out = io.BytesIO()
    soundfile.write(out, chirp(200_000), 24000, format=container)
    data = out.getvalue()
    assert len(read_audio(data, max_seconds=60)[0]) == pytest.approx(200_000, abs=3000)
    with pytest.raises(AudioError):
        read_audio(data[: len(data) * 2 // 3], max_seconds=60)


def test_audio_that_expands_is_stopped_at_the_limit() -> None:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(8000 * 3600, np.int16), 8000, format="FLAC")
    assert len(out.getvalue()) < 1 << 20
    with pytest.raises(AudioError, match="is longer than 30 s"):
        read_audio(out.getvalue(), max_seconds=30)


@pytest.mark.parametrize("channels", [1, 2])
def test_reading_at_another_rate_equals_resampling_after_reading(channels: int) -> None:
    data = wav(np.stack([chirp(200_000, seed) for seed in range(channels)], 1), 44_100)
    samples, rate_hz = read_audio(data, max_seconds=None)
    resampled, new_rate_hz = read_audio(data, max_seconds=None, rate_hz=24_000)
    assert (rate_hz, new_rate_hz) == (44_100, 24_000)
    np.testing.assert_array_equal(resampled, resample(samples, 44_100, 24_000))


@pytest.mark.parametrize("rate_hz", [None, 24_000])
def test_blocks_are_the_recording_and_hold_no_more_than_themselves(rate_hz: int | None) -> None:
    data = wav(np.stack([chirp(500_000), chirp(500_000, 1)], 1), 48_000)
    whole, _ = read_audio(data, max_seconds=None, rate_hz=rate_hz)
    tracemalloc.start()
    parts = []
    for block in read_blocks(io.BytesIO(data), max_seconds=None, rate_hz=rate_hz):
        parts.append(len(block))
        assert tracemalloc.get_traced_memory()[0] < 3 << 20
        np.testing.assert_array_equal(block, whole[sum(parts[:-1]) : sum(parts)])
    tracemalloc.stop()
    assert sum(parts) == len(whole)
    assert len(parts) > 5


def test_a_length_that_is_declared_is_refused_before_the_first_block() -> None:
    data = io.BytesIO(wav(chirp(16_001)))
    assert sum(map(len, read_blocks(data, max_seconds=Fraction(16_001, 16_000)))) == 16_001
    with pytest.raises(AudioTooLong, match="is longer than 1 s, the most that is allowed"):
        next(read_blocks(data, max_seconds=1))


def test_a_file_that_is_refused_or_given_up_leaves_nothing_behind() -> None:
    """Not even until the next collection of garbage, which a service puts off."""
    gc.collect()
    gc.disable()
    try:
        data = wav(chirp(200_000), 48_000)
        with contextlib.suppress(AudioError):
            read_audio(data, max_seconds=1, rate_hz=24_000)
        with contextlib.suppress(AudioError):
            read_audio(data[:-44], max_seconds=None, rate_hz=24_000)
        next(read_blocks(io.BytesIO(data), max_seconds=None, rate_hz=24_000))
        left = [one for one in gc.get_objects() if isinstance(one, Resampler | soundfile.SoundFile)]
    finally:
        gc.enable()
    assert not left


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_an_mp3_of_any_rate_is_read_behind_its_tags(rate_hz: int) -> None:
    out = io.BytesIO()
    soundfile.write(out, chirp(rate_hz), rate_hz, format="MP3")
    tag = b"ID3\x03\0\0\0\0\x02\x00" + bytes(256)
    for data in (out.getvalue(), tag + out.getvalue()):
        samples, rate = read_audio(data, max_seconds=10)
        assert rate == rate_hz
        assert len(samples) == pytest.approx(rate_hz, abs=3000)
    assert begins_with_frames(io.BytesIO(b"\xff\xfa" + bytes(MAX_JUNK_BYTES // 2) + data))


def test_an_mp3_with_a_megabyte_of_false_headers_is_refused_at_once_and_logs_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = io.BytesIO()
    soundfile.write(out, chirp(24_000), 24_000, format="MP3")
    junk = b"\xff\xfb\0\0" * (1 << 18)
    began = time.thread_time()
    for data in (junk + out.getvalue(), b"ID3\x03\0\0\0\0\0\0" + junk + out.getvalue()):
        with pytest.raises(AudioError, match="no MP3 frames at its start"):
            read_audio(data, max_seconds=10)
    assert time.thread_time() - began < 0.2
    assert len(capfd.readouterr().err) < 1000


EMPTY_CHUNK = b"junk" + bytes(4)


def test_a_wav_of_a_hundred_thousand_chunks_before_its_samples_is_refused_at_once() -> None:
    head, rest = GOOD[:12], GOOD[12:]
    began = time.thread_time()
    with pytest.raises(AudioError, match="has more than 256 chunks; allowed are 256"):
        read_audio(head + EMPTY_CHUNK * 100_000 + rest, max_seconds=60)
    assert time.thread_time() - began < 0.05
    few = EMPTY_CHUNK * (MAX_CHUNKS - 2)
    assert len(read_audio(head + few + rest, max_seconds=60)[0]) == 8000


def test_what_is_behind_the_samples_of_a_wav_is_not_looked_at() -> None:
    began = time.thread_time()
    for behind in (EMPTY_CHUNK * 100_000, bytes(100_000)):
        assert len(read_audio(GOOD + behind, max_seconds=60)[0]) == 8000
    assert time.thread_time() - began < 0.2


@pytest.mark.parametrize("module", ["pcm", "frames", "wav"])
def test_pcm_frames_and_wav_need_neither_soxr_nor_soundfile(module: str) -> None:
    code = (
        f"import sys, csm.audio.{module}\n"
        "from csm.audio.pcm import PcmReader, PcmWriter\n"
        "from csm.v1.common_pb2 import AudioFormat\n"
        "PcmWriter(AudioFormat(), 24000).feed(PcmReader(AudioFormat(), 24000).feed(bytes(8)))\n"
        "print([m for m in ('soxr', 'soundfile', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_reading_holds_only_what_comes_out() -> None:
    """A minute at 192 kHz and six channels, which a FLAC of silence keeps in a few kilobytes."""
    data = io.BytesIO()
    soundfile.write(data, np.zeros((60 * 192_000, 6), np.int16), 192_000, format="FLAC")
    tracemalloc.start()
    samples, _ = read_audio(data.getvalue(), max_seconds=60, rate_hz=8000)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples.shape == (60 * 8000,)
    assert peak_bytes < 16 << 20


def test_the_limit_holds_where_the_header_leaves_the_length_open() -> None:
    data = raw_wav(bytes(16000 * 2 * 5), data_size=0, riff_size=0)
    assert len(read_audio(data, max_seconds=5)[0]) == 16000 * 5
    with pytest.raises(AudioError, match=r"is longer than 4.5 s"):
        read_audio(data, max_seconds=4.5)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFDB])
def test_a_wav_from_a_pipe_is_read_by_its_true_length(size: int) -> None:
    data = raw_wav(bytes(3200), data_size=size, riff_size=0xFFFFFFFF)
    assert len(read_audio(data, max_seconds=1)[0]) == 1600


def test_chunks_before_and_after_the_samples_are_skipped() -> None:
    plain = raw_wav(bytes(3200))
    head, rest = plain[:12], plain[12:]
    extra = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
    data = head + extra + rest + extra
    assert len(read_audio(data, max_seconds=1)[0]) == 1600


def test_a_source_that_cannot_seek_is_read() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._file = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
            return self._file.readinto(buffer)

    assert len(read_audio(io.BufferedReader(Pipe(GOOD)), max_seconds=1)[0]) == 8000


@pytest.mark.parametrize("path", ["/no/such/file.wav", "/tmp"])
def test_a_path_that_cannot_be_read_is_named(path: str) -> None:
    with pytest.raises(AudioError, match=f"^{path}: cannot be read: "):
        read_audio(path, max_seconds=1)


@pytest.mark.parametrize(
    ("name", "depth", "rate_hz", "says"),
    [
        ("a.txt", "16", 24000, "suffix '.txt' is not allowed; allowed are .wav, .flac"),
        ("a.flac", "float", 24000, "'float' is not allowed for .flac; allowed are 8, 16, 24"),
        ("a.wav", "16", 4000, "4000 Hz is not allowed"),
        ("a.mp3", "16", 96000, "cannot be written"),
        ("no/such/folder/a.wav", "16", 24000, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, name: str, depth: BitDepth, rate_hz: int, says: str
) -> None:
    with pytest.raises(AudioError, match=says):
        write_audio(tmp_path / name, chirp(100), rate_hz, bit_depth=depth)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("num_samples", [0, 1, 999])
def test_a_wav_stream_is_a_wav_with_its_true_sizes(
    tmp_path: Path, encoding: common_pb2.AudioEncoding, num_samples: int
) -> None:
    samples = chirp(num_samples)
    writer = PcmWriter(form(encoding), 24000)
    path = tmp_path / "stream.wav"
    with WavStream(path, writer.format) as stream:
        for part in np.array_split(samples, 4):
            stream.write(writer.feed(part))
    assert path.stat().st_size % 2 == 0
    info = soundfile.info(str(path))
    assert (info.frames, info.samplerate, info.channels) == (num_samples, 24000, 1)
    if num_samples:
        again, _ = read_audio(path, max_seconds=None)
        np.testing.assert_allclose(again, samples, atol=TOLERANCE[encoding], rtol=0)


def test_a_wav_stream_to_a_pipe_says_that_its_length_is_unknown() -> None:
    class Sink(io.BytesIO):
        def seekable(self) -> bool:
            return False

    sink = Sink()
    with WavStream(sink, form(S16, 24000, 1)) as stream:
        stream.write(bytes(4800))
    assert sink.getvalue()[:44] == wav_header(form(S16, 24000, 1))
    assert len(read_audio(sink.getvalue(), max_seconds=1)[0]) == 2400


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_speech_piped_from_espeak_ng_is_read() -> None:
    data = subprocess.run(
        ["espeak-ng", "--stdout", "Good morning."], check=True, capture_output=True
    ).stdout
    samples, rate_hz = read_audio(data, max_seconds=10)
    assert rate_hz == 22050
    assert np.abs(samples).max() > 0.1
