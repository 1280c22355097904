"""Audio files that grow as they are written: every container, every depth."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm.cli.options import Container, SampleFormat
from csm.cli.output import Output
from csm.cli.reporting import CommandError
from csm.client.formats import AudioFormat, from_float
from tests.csm.cli.conftest import chirp

RATE_HZ = 24_000
SUBTYPES = {
    ("wav", "8"): "PCM_U8", ("wav", "16"): "PCM_16", ("wav", "24"): "PCM_24",
    ("wav", "32"): "PCM_32", ("wav", "float"): "FLOAT",
    ("flac", "8"): "PCM_S8", ("flac", "16"): "PCM_16", ("flac", "24"): "PCM_24",
}  # fmt: skip
STEP = {"8": 2**-7, "16": 2**-15, "24": 2**-23, "32": 2**-31, "float": 2**-24}


def written(output: Output, samples: np.ndarray) -> tuple[np.ndarray, soundfile.SoundFile]:
    """What a file holds after the samples were written in uneven parts."""
    asked = output.format
    form = AudioFormat(asked.encoding, asked.sample_rate_hz or RATE_HZ)
    pcm = from_float(samples, form)
    size = form.sample_bytes
    with output.open(form) as file:
        cuts = [0, size, 101 * size, 4000 * size, len(pcm)]
        for start, end in itertools.pairwise(cuts):
            file.write(pcm[start:end])
        assert file.duration_s == pytest.approx(len(samples) / form.sample_rate_hz)
    with soundfile.SoundFile(output.path) as sound:
        return sound.read(dtype="float64"), sound


@pytest.mark.parametrize(("container", "depth"), SUBTYPES)
def test_each_depth_is_stored_as_such_and_to_its_own_precision(
    tmp_path: Path, container: str, depth: str
) -> None:
    samples = chirp(RATE_HZ, 0.5)
    output = Output(tmp_path / f"x.{container}", None, 0, SampleFormat(depth))
    found, sound = written(output, samples)
    assert sound.subtype == SUBTYPES[container, depth]
    assert (sound.samplerate, sound.channels, len(found)) == (RATE_HZ, 1, len(samples))
    np.testing.assert_allclose(found, samples, atol=0.5 * STEP[depth] + 1e-12)


@pytest.mark.parametrize("container", ["ogg", "opus", "mp3"])
def test_the_lossy_formats_hold_the_same_sound(tmp_path: Path, container: str) -> None:
    samples = chirp(RATE_HZ, 1.0)
    found, sound = written(Output(tmp_path / f"x.{container}", None, 0, None), samples)
    assert sound.samplerate == RATE_HZ
    length = min(len(found), len(samples))
    middle = slice(4800, length - 4800)
    assert np.corrcoef(found[:length][middle], samples[:length][middle])[0, 1] > 0.95


def test_the_format_may_differ_from_the_suffix(tmp_path: Path) -> None:
    found, sound = written(Output(tmp_path / "x.data", Container.FLAC, 0, None), chirp(RATE_HZ, 1))
    assert sound.format == "FLAC"
    assert len(found) == RATE_HZ
    assert [file.name for file in tmp_path.iterdir()] == ["x.data"]


def test_what_was_written_before_a_failure_is_a_whole_file(tmp_path: Path) -> None:
    for container in set(Container) - {Container.RAW}:
        output = Output(tmp_path / f"x.{container.value}", None, RATE_HZ, None)

        def broken(output: Output = output) -> None:
            with output.open(output.format) as file:
                file.write(from_float(chirp(RATE_HZ, 0.25), output.format))
                raise RuntimeError("the server has gone")

        with pytest.raises(RuntimeError):
            broken()
        assert soundfile.info(output.path).frames >= RATE_HZ // 4


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"x" * 1_000_000)
    found, _ = written(Output(path, None, 0, None), chirp(RATE_HZ, 0.5))
    assert len(found) == RATE_HZ // 2
    assert path.stat().st_size == 44 + 2 * len(found)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a directory"):
        Output(tmp_path, Container.WAV, 0, None)
