"""What is in the three images, and who may run them: `make test-containers` builds them first."""

import json
import tomllib
from collections.abc import Iterator

import pytest

from csm.client import Client
from tests.deploy.containers import TAG, Engine, Stack
from tests.deploy.facts import ROOT, SERVICES

pytestmark = pytest.mark.containers

UNWANTED = ("pip", "setuptools", "pkg_resources", "wheel", "ensurepip")
FOR_COMPILING_MODELS = ("sympy", "mpmath", "networkx")
MIB = 2**20


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def nobodys(engine: Engine) -> Iterator[Stack]:
    """As platforms run containers that give every project users of its own."""
    it = Stack(engine, user="424242:0")
    try:
        it.start()
        yield it
    finally:
        it.remove()


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_the_command_line(engine: Engine, name: str) -> None:
    told = engine.once(name, "csm", "--help")
    assert "Usage: csm" in told
    assert "speak" in told


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_carries_nothing_that_installs(engine: Engine, name: str) -> None:
    code = f"""
import importlib.util, pathlib, shutil
for name in {UNWANTED + FOR_COMPILING_MODELS}:
    if importlib.util.find_spec(name):
        print("imports", name)
for name in ("pip", "pip3", "uv", "gcc", "g++", "c++"):
    if shutil.which(name):
        print("runs", name)
for folder in ("/usr/share/python-wheels", "/pip", "/wheels", "/root/.cache"):
    try:
        found = list(pathlib.Path(folder).glob("*"))
    except PermissionError:
        continue
    print(*found, sep="\\n", end="\\n" * bool(found))
"""
    assert engine.once(name, "python", "-c", code) == ""


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_says_what_it_is(engine: Engine, name: str) -> None:
    (image,) = json.loads(engine("image", "inspect", f"csm-{name}:{TAG}"))
    labels = image["Config"]["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "org.opencontainers.image."
    assert labels[prefix + "title"] == f"csm-{name}"
    assert labels[prefix + "version"] == project["version"]
    assert labels[prefix + "licenses"] == project["license"]
    assert labels[prefix + "revision"]
    assert image["Config"]["User"] == "1000:1000"


@pytest.mark.parametrize("name", SERVICES)
def test_what_an_image_runs_is_compiled_already(engine: Engine, name: str) -> None:
    # torch brings a file that only a newer Python reads.
    code = """
import importlib.util, pathlib
for root in ("/app", "/venv/lib"):
    for source in pathlib.Path(root).rglob("*.py"):
        if not pathlib.Path(importlib.util.cache_from_source(source)).exists():
            try:
                compile(source.read_bytes(), source, "exec")
            except SyntaxError:
                continue
            print(source)
"""
    assert engine.once(name, "python", "-c", code) == ""


@pytest.mark.parametrize(
    ("name", "bound_mib"), [("gateway", 360), ("tokenizer", 1100), ("generator", 1100)]
)
def test_an_image_is_no_larger_than_it_need_be(engine: Engine, name: str, bound_mib: int) -> None:
    (image,) = json.loads(engine("image", "inspect", f"csm-{name}:{TAG}"))
    assert image["Size"] / MIB < bound_mib


def test_a_user_that_no_image_knows_runs_all_three_without_a_home(nobodys: Stack) -> None:
    for name in SERVICES:
        told = nobodys.python(name, "import os; print(os.getuid())")
        assert told.strip() == "424242"
    with Client(nobodys.address) as client:
        assert len(client.synthesize("Hello.", max_audio_ms=1000).read_all()) > 0
    for name in ("tokenizer", "generator"):
        assert "natively" in nobodys.logs(name)
        assert "compiling" not in nobodys.logs(name)
