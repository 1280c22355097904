"""What is written where: files, links, devices, FIFOs and standard output."""

import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load

from csm.cli.code_file import CodeFile
from csm.cli.options import Container
from csm.cli.output import Output
from csm.cli.place import check_writable, whole_file
from csm.cli.reporting import CommandError
from csm.client.formats import AudioFormat, from_float
from tests.csm.cli.conftest import ROOT, chirp

RATE_HZ = 24_000
CODES = CodeFile(np.arange(24, dtype=np.uint16).reshape(3, 8), 5000, RATE_HZ)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


FILES = [container for container in Container if container is not Container.RAW]
"""Raw samples say nothing of themselves, and are written by `tests/csm/cli/test_telephone.py`."""


def write(path: Path, container: Container) -> None:
    """Half a second of sound through the command line's own output."""
    output = Output(path, container, RATE_HZ, None)
    with output.open(output.format) as file:
        file.write(from_float(chirp(RATE_HZ, 0.5), output.format))


def names(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


@pytest.mark.parametrize("container", FILES)
def test_a_link_stays_and_what_it_points_to_is_replaced(
    tmp_path: Path, container: Container
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    real, link, second = there / "real.audio", tmp_path / "link.audio", tmp_path / "second.audio"
    real.write_bytes(b"before")
    link.symlink_to("there/real.audio")
    second.symlink_to(link)
    write(second, container)
    assert second.readlink() == link
    assert link.is_symlink()
    assert soundfile.info(str(real)).frames >= RATE_HZ // 2
    assert names(there) == ["real.audio"]
    # A link to what is not there yet makes it.
    real.unlink()
    write(link, container)
    assert soundfile.info(str(real)).frames >= RATE_HZ // 2
    assert names(tmp_path) == ["link.audio", "second.audio", "there"]


@pytest.mark.parametrize("container", FILES)
def test_a_device_stays_one(container: Container) -> None:
    write(Path("/dev/null"), container)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    CODES.write(Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("container", [Container.WAV, Container.FLAC])
def test_a_device_that_is_full_is_an_error(container: Container) -> None:
    with pytest.raises(OSError, match="No space left"):
        write(Path("/dev/full"), container)


@pytest.mark.parametrize("container", FILES)
def test_a_fifo_passes_on_what_a_file_would_hold(tmp_path: Path, container: Container) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(daemon=True, target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write(fifo, container)
    reader.join(10)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    samples, rate_hz = soundfile.read(io.BytesIO(read[0]))
    assert rate_hz == RATE_HZ
    assert len(samples) >= RATE_HZ // 2
    assert names(tmp_path) == ["fifo"]


def test_codes_go_through_a_fifo_and_a_link(tmp_path: Path) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(tmp_path / "real")
    read: list[bytes] = []
    reader = threading.Thread(daemon=True, target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    CODES.write(fifo)
    CODES.write(link)
    reader.join(10)
    assert np.array_equal(load(read[0])["codes"], CODES.codes)
    assert link.is_symlink()
    assert CodeFile.read(tmp_path / "real").num_samples == 5000


def test_codes_go_to_standard_output() -> None:
    code = (
        "import numpy as np; from pathlib import Path; from csm.cli.code_file import CodeFile; "
        "CodeFile(np.ones((3, 8), np.uint16), 0, 24000).write(Path('-'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert load(done.stdout)["codes"].tolist() == [[1] * 8] * 3
    assert not (ROOT / "-").exists()


def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(
    tmp_path: Path, umask: None
) -> None:
    new = tmp_path / "new.safetensors"
    CODES.write(new)
    write(tmp_path / "new.flac", Container.FLAC)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "new.flac").stat().st_mode) == 0o640
    new.chmod(0o600)
    CODES.write(new)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


def test_where_the_work_fails_what_was_there_stays_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    path.write_bytes(b"before")

    def fail() -> None:
        with whole_file(path, ".flac") as part:
            part.write_bytes(b"half of it")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["x.flac"]


def test_a_rate_that_mp3_does_not_know_is_said_with_those_it_does(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"--rate 96000 .* 24000, 32000, 44100, 48000"):
        Output(tmp_path / "r.mp3", None, 96_000, None)
    # One that a server chose: the user's file is named, and no other.
    output = Output(tmp_path / "r.mp3", None, 0, None)
    with pytest.raises(CommandError) as caught:
        output.open(AudioFormat("f32", 96_000))
    assert str(caught.value).startswith(f"{tmp_path / 'r.mp3'}: ")
    assert f".{os.getpid()}" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a directory"):
        check_writable(tmp_path)
    dangling = tmp_path / "link"
    dangling.symlink_to("/nowhere/x.wav")
    with pytest.raises(CommandError, match="there is no directory /nowhere"):
        check_writable(dangling)
    check_writable(Path("/dev/stdout"))
    check_writable(Path("-"))
