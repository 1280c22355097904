"""What is in the three images, and who may run them: `make test-containers` builds them first."""

import json
import subprocess
import tomllib
from collections.abc import Iterator

import pytest

from csm.client import Client
from deploy.docker import contents
from tests.deploy.containers import TAG, Engine, Stack
from tests.deploy.facts import ROOT, SERVICES, VERSION

pytestmark = pytest.mark.containers

UNWANTED = ("pip", "setuptools", "pkg_resources", "wheel", "ensurepip")
FOR_COMPILING_MODELS = ("sympy", "mpmath", "networkx")
FOR_TESTS = ("pytest", "hypothesis", "numpy.tests", "torch.testing._internal.common_utils")
PROGRAMS = (
    *("pip", "pip3", "uv", "gcc", "g++", "c++", "strip"),
    *("apt", "apt-get", "su", "mount", "chpasswd", "mkfs"),
)
MB = 10**6
DOCUMENT = ROOT / "docs" / "images.md"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def nobodys(engine: Engine) -> Iterator[Stack]:
    """As platforms run containers that give every project users of its own."""
    it = Stack(
        engine,
        user="424242:0",
        only=("tokenizer", "generator", "gateway"),
        environment={
            "gateway": {"CSM_GATEWAY_STORE_URL": ""},
            # In torch, which has lost most to the trimming.
            "generator": {"CSM_GENERATOR_NATIVE": "off"},
        },
    )
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
for name in {UNWANTED + FOR_COMPILING_MODELS + FOR_TESTS}:
    try:
        if importlib.util.find_spec(name):
            print("imports", name)
    except ModuleNotFoundError:
        continue
for name in {PROGRAMS}:
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
    ("name", "bound_mb"), [("gateway", 250), ("tokenizer", 850), ("generator", 850)]
)
def test_an_image_is_no_larger_than_it_need_be(engine: Engine, name: str, bound_mb: int) -> None:
    (image,) = json.loads(engine("image", "inspect", f"csm-{name}:{TAG}"))
    assert image["Size"] / MB < bound_mb


def test_the_document_of_what_is_in_the_images_is_true(engine: Engine) -> None:
    rows = [line.strip("| ").split(" | ") for line in DOCUMENT.read_text().splitlines()]
    table = {row[0]: row[1:] for row in rows if len(row) == 1 + len(SERVICES)}
    names = [title.split(":")[0].removeprefix("csm-") for title in table.pop("MB")]
    written = {
        name: {
            part: float(row[at].strip("*") or 0) for part, row in table.items() if row[at] != "---"
        }
        for at, name in enumerate(names)
    }
    assert set(written) == set(SERVICES)
    for name, sizes in written.items():
        found = contents.parts(contents.measure(f"csm-{name}:{TAG}")["files"])
        assert sum(sizes.values()) > 100
        for part, size_mb in sizes.items():
            if part in found and part != "other packages":
                assert found[part] / MB == pytest.approx(size_mb, rel=0.2, abs=1), (name, part)
        large = {part for part, size in found.items() if size > 5 * MB}
        assert large <= set(sizes), f"not in {DOCUMENT.name}: {large - set(sizes)}"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_bill_of_materials_that_is_true(engine: Engine, name: str) -> None:
    bill = json.loads(engine.once(name, "cat", "/usr/share/doc/csm/sbom.cdx.json"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == f"csm-{name}"
    assert bill["metadata"]["component"]["version"] == VERSION
    # Ours is in no register of packages.
    own = {"pkg:pypi/csm-server"}
    assert [one["name"] for one in bill["components"] if "purl" not in one] == ["csm-server"]
    urls = [one["purl"] for one in bill["components"] if "purl" in one]
    told = {url.split("?")[0].split("@")[0] for url in urls}
    code = """
import importlib.metadata, subprocess
for one in importlib.metadata.distributions():
    print("pkg:pypi/" + one.name.lower().replace("_", "-"))
for one in subprocess.check_output(["dpkg-query", "-Wf", "${Package} "], text=True).split():
    print("pkg:deb/debian/" + one)
"""
    found = set(engine.once(name, "python", "-c", code).split())
    # An image whose Python is none of Debian's has it as one component more.
    assert found - own == told - {"pkg:generic/python"}
    kept = ROOT / "build" / "sbom" / f"csm-{name}-{TAG}.cdx.json"
    assert json.loads(kept.read_text()) == bill


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_becomes_another_user(engine: Engine, name: str) -> None:
    code = """
import os, stat
for top, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(top, one) not in ("/proc", "/sys", "/dev")]
    for one in files:
        mode = os.lstat(os.path.join(top, one)).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            print(os.path.join(top, one))
"""
    assert engine.once(name, "python", "-c", code) == ""


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    "command",
    [
        "csm --version",
        "csm speak Hello.",
        "csm serve",
        "csm models info /app/models/pico",
        "csm bench model",
        "csm voices list",
        "csm probe 127.0.0.1:1",
    ],
)
def test_a_command_works_or_says_in_a_line_what_it_needs(
    engine: Engine, name: str, command: str
) -> None:
    arguments = ("run", "--rm", "--network", "none", *engine.limits, "--entrypoint", "csm")
    done = subprocess.run(
        [engine.name, *arguments, f"csm-{name}:{TAG}", *command.split()[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    works = command == "csm --version" or (name, "info" in command) == ("generator", True)
    assert (done.returncode == 0) == works, done.stderr
    if not works:
        told = [line for line in done.stderr.splitlines() if not line.startswith("time=")]
        assert len(told) == 1, told


def test_a_user_that_no_image_knows_runs_all_three_without_a_home(nobodys: Stack) -> None:
    for name in SERVICES:
        told = nobodys.python(name, "import os; print(os.getuid())")
        assert told.strip() == "424242"
    with Client(nobodys.address) as client:
        assert len(client.synthesize("Hello.", max_audio_ms=1000).read_all()) > 0
        # Into the volume, which belongs to somebody else of its group.
        client.create_voice("nobodys", speaker=0)
        assert "nobodys" in [voice.name for voice in client.list_voices()]
    assert "natively" in nobodys.logs("tokenizer")
    for name in ("tokenizer", "generator"):
        assert "compiling" not in nobodys.logs(name)
