"""Telephone audio, raw samples and Opus on the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm.audio.files import read_audio
from csm.audio.g711 import MULAW_LEVELS
from csm.audio.opus_pages import opus_samples
from csm.cli.code_file import CodeFile
from csm.cli.options import Container, SampleEncoding, SampleFormat
from csm.cli.output import Output
from csm.cli.raw_audio import RawFormat
from csm.cli.reporting import CommandError
from csm.client.formats import AudioFormat, from_float, to_float
from tests.csm.cli.conftest import PICO, ROOT, Csm, chirp

LOCAL = ("--threads", 1, "--model", PICO)
SPOKEN = ("speak", "Yes.", "--seed", 1, "--max-audio-ms", 800, *LOCAL)
SUBTYPES = {"u8": "PCM_U8", "s16": "PCM_16", "s24": "PCM_24", "s32": "PCM_32", "f32": "FLOAT",
            "mulaw": "ULAW", "alaw": "ALAW"}  # fmt: skip


def written(output: Output, samples: np.ndarray, rate_hz: int) -> bytes:
    """What a file holds after the samples were written in two parts."""
    form = AudioFormat(output.format.encoding, output.format.sample_rate_hz or rate_hz)
    pcm = from_float(samples, form)
    cut = 777 * form.sample_bytes
    with output.open(form) as file:
        file.write(pcm[:cut])
        file.write(pcm[cut:])
        assert file.duration_s == pytest.approx(len(samples) / form.sample_rate_hz)
    return output.path.read_bytes()


@pytest.mark.parametrize("encoding", SampleEncoding)
def test_a_wav_and_a_raw_file_hold_the_samples_asked_for(
    tmp_path: Path, encoding: SampleEncoding
) -> None:
    samples = chirp(16_000, 0.5)
    form = AudioFormat(encoding.value, 16_000)
    raw = written(Output(tmp_path / "x.raw", None, 16_000, None, encoding), samples, 16_000)
    assert raw == from_float(samples, form)
    wav = Output(tmp_path / "x.wav", None, 16_000, None, encoding)
    written(wav, samples, 16_000)
    with soundfile.SoundFile(wav.path) as sound:
        assert (sound.subtype, sound.samplerate) == (SUBTYPES[encoding.value], 16_000)
        np.testing.assert_allclose(sound.read(dtype="float32"), to_float(raw, form), atol=1e-7)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("x.ulaw", "mulaw"), ("x.mulaw", "mulaw"), ("x.alaw", "alaw"), ("X.ULAW", "mulaw")],
)
def test_a_suffix_of_telephone_audio_says_samples_and_rate(
    tmp_path: Path, name: str, encoding: str
) -> None:
    output = Output(tmp_path / name, None, 0, None)
    assert output.format == AudioFormat(encoding, 8000)  # type: ignore[arg-type]
    assert output.container is Container.RAW
    assert output.told == encoding
    raw = RawFormat.of(tmp_path / name, None, 0, None)
    assert raw is not None
    assert raw.form == AudioFormat(encoding, 8000)  # type: ignore[arg-type]


def test_a_file_of_opus_grows_as_it_is_spoken(tmp_path: Path) -> None:
    output = Output(tmp_path / "x.opus", None, 0, None)
    assert output.format == AudioFormat("s16")
    form = AudioFormat("s16", 24_000)
    with output.open(form) as file:
        file.write(from_float(chirp(24_000, 0.8), form))
        file._stream._file.flush()  # type: ignore[union-attr]
        assert opus_samples(output.path.read_bytes(), 24_000) >= 24_000 * 0.6
    found, rate_hz = read_audio(output.path, max_seconds=1)
    assert (rate_hz, len(found)) == (24_000, 24_000 * 8 // 10)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("x.opus", {"rate_hz": 44_100}, "--rate 44100 is not allowed for opus; one of 8000, "),
        ("x.opus", {"depth": SampleFormat.S16}, "--bit-depth 16 is not allowed for opus; no "),
        ("x.flac", {"encoding": SampleEncoding.MULAW}, "mulaw is not allowed for flac; it is for "),
        ("x.raw", {}, "a raw file says nothing of itself; say --encoding, one of u8, s16, "),
        ("x.ulaw", {"encoding": SampleEncoding.ALAW}, "the suffix says mulaw; other samples"),
        ("x.ulaw", {"depth": SampleFormat.S16}, "the suffix says mulaw; other samples"),
        (
            "x.wav",
            {"encoding": SampleEncoding.MULAW, "depth": SampleFormat.S16},
            "--bit-depth 16 and --encoding mulaw: say one of the two",
        ),
        ("x.xyz", {}, "the suffix is none of .wav, .flac, .ogg, .opus, .mp3, .raw, .ulaw, "),
        (
            "-",
            {"container": Container.FLAC},
            "standard output takes a WAV, raw samples or Opus; use --format wav, raw, opus",
        ),
    ],
)
def test_what_does_not_go_together_is_said_before_the_work(
    tmp_path: Path, name: str, options: dict[str, object], says: str
) -> None:
    given = {"container": None, "rate_hz": 0, "depth": None, "encoding": None} | options
    path = Path("-") if name == "-" else tmp_path / name
    with pytest.raises(CommandError) as caught:
        Output(path, **given)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_a_rate_of_the_model_that_opus_does_not_know_is_said(tmp_path: Path) -> None:
    output = Output(tmp_path / "x.opus", None, 0, None)
    with pytest.raises(CommandError, match="Opus does not know 22050 Hz; say --rate, one of 8000"):
        output.open(AudioFormat("s16", 22_050))


@pytest.mark.parametrize(
    ("data", "given", "says"),
    [
        (b"", (SampleEncoding.MULAW, 0, None), "is empty"),
        (b"x" * 3, (SampleEncoding.S16, 8000, 2), "ends with 3 bytes over; allowed is a multiple"),
        (b"\0" * 16_002, (SampleEncoding.S16, 8000, 1), "is longer than 1 s, the most"),
        (b"x", (SampleEncoding.S16, 0, None), "--encoding s16 wants --rate"),
        (b"x", (SampleEncoding.S16, 7000, None), "--rate: 7000 Hz is not allowed"),
        (b"x", (None, 8000, None), "--rate is for a file without a header; say --encoding too"),
        (b"x", (None, 0, 2), "--channels is for a file without a header; say --encoding too"),
    ],
)
def test_a_file_without_a_header_that_cannot_be_is_named(
    tmp_path: Path, data: bytes, given: tuple[SampleEncoding | None, int, int | None], says: str
) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(data)

    def read() -> None:
        raw = RawFormat.of(path, *given)
        assert raw is not None
        raw.read(path, 1.0)

    with pytest.raises((ValueError, CommandError), match=says):
        read()


def test_a_text_becomes_telephone_audio_and_opus(csm: Csm, tmp_path: Path) -> None:
    for name, options in (
        ("a.ulaw", ()),
        ("b.wav", ("--encoding", "mulaw")),
        ("c.opus", ("--rate", 48_000)),
        ("d.wav", ()),
    ):
        result = csm(*SPOKEN, "-o", tmp_path / name, *options)
        assert result.exit_code == 0, result.output
    raw = (tmp_path / "a.ulaw").read_bytes()
    wav = soundfile.SoundFile(tmp_path / "b.wav")
    assert (wav.samplerate, wav.subtype, wav.frames) == (8000, "ULAW", len(raw))
    assert np.array_equal(wav.read(dtype="int16"), MULAW_LEVELS[np.frombuffer(raw, np.uint8)])
    opus = soundfile.info(tmp_path / "c.opus")
    assert (opus.format, opus.subtype, opus.samplerate) == ("OGG", "OPUS", 48_000)
    plain = soundfile.info(tmp_path / "d.wav").frames
    assert opus.frames == 2 * plain
    assert len(raw) == plain // 3


def test_telephone_audio_becomes_codes_and_comes_back(csm: Csm, tmp_path: Path) -> None:
    samples = chirp(8000, 1.0)
    raw = tmp_path / "call.bin"
    raw.write_bytes(from_float(samples, AudioFormat("alaw", 8000)))
    codes = tmp_path / "codes.safetensors"
    result = csm("encode", raw, "-o", codes, "--encoding", "alaw", "--rate", 8000, *LOCAL)
    assert result.exit_code == 0, result.output
    assert "1.00 s at 8000 Hz" in result.stderr
    # The same samples in a WAV give the same codes.
    wav = tmp_path / "call.wav"
    soundfile.write(wav, to_float(raw.read_bytes(), AudioFormat("alaw", 8000)), 8000)
    assert csm("encode", wav, *LOCAL).exit_code == 0
    ours, theirs = CodeFile.read(codes), CodeFile.read(tmp_path / "call.safetensors")
    assert np.array_equal(ours.codes, theirs.codes)
    again = tmp_path / "again.wav"
    assert csm("decode", codes, "-o", again, "--encoding", "mulaw", *LOCAL).exit_code == 0
    found = soundfile.info(again)
    assert (found.subtype, found.samplerate, found.frames) == ("ULAW", 8000, 8000)


def test_opus_flows_out_of_standard_output() -> None:
    command = [sys.executable, "-m", "csm.cli.main", *map(str, SPOKEN), "-o", "-"]
    done = subprocess.run(
        [*command, "--format", "opus"], cwd=ROOT, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] == b"OggS"
    num_samples = opus_samples(done.stdout, 24_000)
    assert num_samples > 0
    assert num_samples % 1920 == 0
