"""mu-law and A-law against ITU-T's algorithm, and against two programs of other people."""

import io
import itertools
import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from csm.audio.g711 import ALAW_LEVELS, MULAW_LEVELS, alaw_codes, mulaw_codes
from csm.audio.pcm import AudioError, PcmReader, PcmWriter
from csm.audio.wav import WavStream
from csm.v1 import common_pb2

MULAW = common_pb2.AUDIO_ENCODING_MULAW
ALAW = common_pb2.AUDIO_ENCODING_ALAW
ALL_SAMPLES = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
ALL_CODES = bytes(range(256))
LAWS = {"mulaw": (mulaw_codes, MULAW_LEVELS), "alaw": (alaw_codes, ALAW_LEVELS)}
NUMBERS = {"mulaw": MULAW, "alaw": ALAW}
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not there")


def form(law: str, rate_hz: int = 0, channels: int = 0) -> common_pb2.AudioFormat:
    return common_pb2.AudioFormat(encoding=NUMBERS[law], sample_rate_hz=rate_hz, channels=channels)


def itu_mulaw(sample: int) -> int:
    """G.191's way: sign and magnitude of 14 bits, biased, segment by its highest bit."""
    size = min((~sample if sample < 0 else sample) // 4 + 33, 0x1FFF)
    segment = size.bit_length() - 6
    code = ~(segment << 4 | size >> segment + 1 & 0x0F) & 0x7F
    return code if sample < 0 else code | 0x80


def itu_alaw(sample: int) -> int:
    """G.191's way: sign and magnitude of 12 bits."""
    size = (~sample if sample < 0 else sample) // 16
    segment = max(size.bit_length() - 4, 0)
    code = segment << 4 | size >> max(segment - 1, 0) & 0x0F
    return (code if sample < 0 else code | 0x80) ^ 0x55


@pytest.mark.parametrize(("law", "reference"), [("mulaw", itu_mulaw), ("alaw", itu_alaw)])
def test_every_sample_gets_the_code_of_the_standard(
    law: str, reference: Callable[[int], int]
) -> None:
    codes, _ = LAWS[law]
    expected = np.array([reference(int(sample)) for sample in ALL_SAMPLES])
    assert np.array_equal(codes(ALL_SAMPLES), expected)


@pytest.mark.parametrize("law", LAWS)
def test_soundfile_reads_every_code_alike_and_writes_all_but_ties_alike(law: str) -> None:
    codes, levels = LAWS[law]
    subtype = {"mulaw": "ULAW", "alaw": "ALAW"}[law]
    read, _ = soundfile.read(
        io.BytesIO(ALL_CODES), dtype="int16", format="RAW", subtype=subtype, samplerate=8000,
        channels=1,
    )  # fmt: skip
    assert np.array_equal(read, levels)
    out = io.BytesIO()
    soundfile.write(out, ALL_SAMPLES, 8000, format="RAW", subtype=subtype)
    theirs, ours = np.frombuffer(out.getvalue(), np.uint8), codes(ALL_SAMPLES)
    # It puts a negative decision value into the other of the two intervals that it parts.
    differs = ALL_SAMPLES[theirs != ours].astype(int)
    assert len(differs) == 127
    assert (differs < 0).all()
    assert np.array_equal(codes((differs - 1).astype(np.int16)), theirs[differs + (1 << 15)])


@needs_ffmpeg
@pytest.mark.parametrize("law", LAWS)
def test_ffmpeg_reads_every_code_alike_and_writes_none_a_step_further_off(law: str) -> None:
    def ffmpeg(source: str, target: str, data: bytes) -> bytes:
        return subprocess.run(
            ["ffmpeg", "-v", "error", "-f", source, "-ar", "8000", "-ac", "1", "-i", "-",
             "-f", target, "-"],
            input=data, capture_output=True, check=True,
        ).stdout  # fmt: skip

    codes, levels = LAWS[law]
    assert np.array_equal(np.frombuffer(ffmpeg(law, "s16le", ALL_CODES), "<i2"), levels)
    data = ffmpeg("s16le", law, ALL_SAMPLES.astype("<i2").tobytes())
    theirs, ours = np.frombuffer(data, np.uint8), codes(ALL_SAMPLES)
    # It rounds the decision values between segments, so it differs in some of what lies there.
    assert np.count_nonzero(theirs != ours) < len(ours) * 0.015
    rank = np.argsort(np.argsort(levels.astype(float) - 1e-9 * (ALL_SIGNS[law] < 0)))
    assert np.abs(rank[theirs].astype(int) - rank[ours]).max() == 1


# +0 and -0 of mu-law have one level and two codes.
ALL_SIGNS = {"mulaw": np.where(np.arange(256) & 0x80, 1, -1), "alaw": np.ones(256)}


@pytest.mark.parametrize("law", LAWS)
def test_every_code_survives_the_way_to_float_and_back(law: str) -> None:
    reader, writer = PcmReader(form(law), 8000), PcmWriter(form(law), 8000)
    again = writer.feed(reader.feed(ALL_CODES))
    # mu-law's negative zero is silence, like its positive one.
    expected = ALL_CODES.replace(b"\x7f", b"\xff") if law == "mulaw" else ALL_CODES
    assert again == expected


@pytest.mark.parametrize(("law", "code"), [("mulaw", b"\xff"), ("alaw", b"\xd5")])
def test_silence_is_the_quietest_code_and_not_a_zero_byte(law: str, code: bytes) -> None:
    assert PcmWriter(form(law), 8000).feed(np.zeros(160, np.float32)) == code * 160


@pytest.mark.parametrize(("law", "low", "high"), [("mulaw", 0x00, 0x80), ("alaw", 0x2A, 0xAA)])
def test_loud_samples_are_clipped(law: str, low: int, high: int) -> None:
    data = PcmWriter(form(law), 8000).feed(np.array([-7, -1, 1, 7], np.float32))
    assert data == bytes([low, low, high, high])


def test_without_a_rate_they_are_at_the_rate_of_telephone_lines() -> None:
    for law in LAWS:
        complete = form(law, 8000, 1)
        assert PcmWriter(form(law), 24000).format == complete
        assert PcmReader(form(law), 24000).format == complete
        assert PcmWriter(form(law, 16000, 2), 24000).format == form(law, 16000, 2)


@settings(max_examples=60, deadline=None)
@given(
    law=st.sampled_from(sorted(LAWS)),
    channels=st.integers(1, 6),
    rate_hz=st.sampled_from([8000, 11025, 16000, 48000]),
    data=st.binary(max_size=4000),
    cuts=st.lists(st.integers(0, 4000), max_size=6),
)
def test_codes_cut_anywhere_read_as_in_one_piece(
    law: str, channels: int, rate_hz: int, data: bytes, cuts: list[int]
) -> None:
    data = data[: len(data) // channels * channels]
    whole = PcmReader(form(law, rate_hz, channels), 24000)
    once = np.concatenate([whole.feed(data), whole.finish()])
    reader = PcmReader(form(law, rate_hz, channels), 24000)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [reader.feed(data[start:end]) for start, end in itertools.pairwise(places)]
    assert np.array_equal(np.concatenate([*parts, reader.finish()]), once)
    assert abs(len(once) - len(data) / channels * 24000 / rate_hz) <= 1


def test_packets_of_20_ms_read_as_in_one_piece() -> None:
    data = np.random.default_rng(0).integers(0, 256, 8000).astype(np.uint8).tobytes()
    whole, packets = PcmReader(form("mulaw"), 24000), PcmReader(form("mulaw"), 24000)
    once = np.concatenate([whole.feed(data), whole.finish()])
    parts = [packets.feed(data[at : at + 160]) for at in range(0, len(data), 160)]
    assert np.array_equal(np.concatenate([*parts, packets.finish()]), once)


def test_bytes_that_end_within_a_sample_of_two_channels_are_an_error() -> None:
    reader = PcmReader(form("alaw", 8000, 2), 24000)
    reader.feed(b"\xd5" * 3)
    with pytest.raises(AudioError, match="ends with 1 bytes over; allowed is a multiple of 2"):
        reader.finish()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("num_samples", [0, 1, 8000])
def test_a_wav_holds_them_as_they_are(law: str, num_samples: int) -> None:
    data = (ALL_CODES * 32)[:num_samples]
    out = io.BytesIO()
    with WavStream(out, form(law, 8000)) as wav:
        wav.write(data)
    out.seek(0)
    with soundfile.SoundFile(out) as sound:
        assert sound.subtype == {"mulaw": "ULAW", "alaw": "ALAW"}[law]
        assert (sound.samplerate, sound.channels, sound.frames) == (8000, 1, num_samples)
        expected = LAWS[law][1][np.frombuffer(data, np.uint8)]
        assert np.array_equal(sound.read(dtype="int16"), expected)
