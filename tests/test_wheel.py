"""What `pip install` brings: the client and nothing else, and it speaks."""

import asyncio
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.csm.fake_speech import CHUNK, FakeSpeech, serving

ROOT = Path(__file__).resolve().parents[1]
# The lower bounds of pyproject.toml, and the oldest protos that take that protobuf.
OLDEST = ("grpcio==1.80.0", "protobuf==6.33.5", "numpy==2.0.0", "googleapis-common-protos==1.70.0")
NOT_NEEDED = ("torch", "soundfile", "soxr", "pydantic", "prometheus_client", "typer", "grpc_health")

USE = """
import importlib.util, sys
from importlib.metadata import version

import csm
assert "grpc" not in sys.modules, "the client is loaded where nobody asked for it"
from csm import AudioFormat, Client, FinishReason, InvalidArgument, ServiceError
from csm.audio.wav import WavStream

there = [name for name in {not_needed} if importlib.util.find_spec(name)]
assert not there, there
for package in ("services", "gateway", "training", "benchmarks", "tests"):
    assert importlib.util.find_spec(package) is None, package
with Client({target!r}) as client:
    assert client.server_info().model == "fake"
    speech = client.synthesize("Hello.", timeout_s=20)
    with WavStream("said.wav", AudioFormat("s16", 24_000)) as wav:
        for chunk in speech:
            assert chunk.samples.shape == (1920,)
            wav.write(chunk.pcm)
    assert speech.completed.finish_reason is FinishReason.EOS
    with client.converse() as conversation:
        conversation.say("Hello.")
        conversation.end_turn()
        print([type(next(conversation)).__name__ for _ in range(3)])
print(csm.__version__, csm.__file__, version("protobuf"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return made


def environment(directory: Path, *packages: object) -> Path:
    """A new virtual environment with the packages; gives its interpreter."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", *map(str, packages)]
    done = subprocess.run(command, capture_output=True, text=True, env=bare())
    assert done.returncode == 0, done.stdout + done.stderr
    return python


def bare() -> dict[str, str]:
    """The surroundings without the path to this tree."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


async def run(python: Path, directory: Path, code: str) -> str:
    process = await asyncio.create_subprocess_exec(
        python, "-c", code, cwd=directory, env=bare(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def speak(python: Path, directory: Path) -> str:
    """Speaks through the installed client, against a server of this tree."""
    async with serving(FakeSpeech()) as target:
        said = await run(python, directory, USE.format(not_needed=NOT_NEEDED, target=target))
    assert "['TurnStarted', 'AudioChunk', 'TurnCompleted']" in said
    assert (directory / "said.wav").read_bytes()[44:] == CHUNK * 2
    assert str(ROOT) not in said
    return said


def test_the_wheel_holds_the_client_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"csm", f"{wheel.stem[:16]}.dist-info"}
    assert "csm/py.typed" in names
    of_the_tree = {str(p.relative_to(ROOT)) for p in (ROOT / "csm").rglob("*.py*")
                   if p.suffix in (".py", ".pyi")}  # fmt: skip
    assert {name for name in names if name.endswith((".py", ".pyi"))} == of_the_tree


def test_the_source_archive_holds_what_the_wheel_is_built_from(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    # The wheel of this call was built from the archive, not from the tree.
    (made,), (source,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(made) as archive:
        assert "csm/v1/speech_pb2.py" in archive.namelist()
    with tarfile.open(source) as packed:
        names = {name.split("/")[1] for name in packed.getnames() if "/" in name}
    assert names == {"csm", "protos", "LICENSE", "README.md", "pyproject.toml", "PKG-INFO",
                     ".gitignore"}  # fmt: skip


async def test_the_installed_wheel_speaks_with_the_packages_of_a_client_alone(
    wheel: Path, tmp_path: Path
) -> None:
    python = environment(tmp_path / "venv", wheel)
    await speak(python, tmp_path)
    command = [python.with_name("csm"), "--help"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env=bare()
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "csm-server[cli]" in line


@pytest.mark.slow
async def test_the_lower_bounds_speak(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", wheel, *OLDEST)
    assert "6.33.5" in await speak(python, tmp_path)


@pytest.mark.slow
async def test_an_editable_install_of_a_clone_finds_the_services(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", "--no-deps", "-e", ROOT)
    code = "import services, gateway, benchmarks, training, csm; print(csm.__file__)"
    assert await run(python, tmp_path, code) == f"{ROOT / 'csm' / '__init__.py'}\n"


@pytest.mark.slow
def test_an_installed_command_line_says_where_the_server_is_to_be_had(
    wheel: Path, tmp_path: Path
) -> None:
    csm = environment(tmp_path / "venv", f"{wheel}[cli]").with_name("csm")
    for arguments in (("serve",), ("speak", "Hi."), ("models", "info", "x"), ("bench", "serve")):
        done = subprocess.run(
            [csm, *arguments], capture_output=True, text=True, env=bare(), cwd=tmp_path
        )
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if line.startswith("csm: ")]
        assert len(lines) == 1, done.stderr
        assert "clone" in lines[0]
        assert "Traceback" not in done.stderr
