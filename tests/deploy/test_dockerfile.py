"""The images, as far as a reader can tell: ports, users, settings, what is in them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.deploy import dockerfile
from tests.deploy.facts import DEPLOY, ROOT, SERVICES, ServiceFacts

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@each_service
def test_an_image_starts_the_service_with_settings_that_it_knows(service: ServiceFacts) -> None:
    settings = service.configured(dockerfile.environment(service.name))
    assert settings.host == "0.0.0.0"
    assert (settings.port, settings.metrics_port) == (service.port, service.metrics_port)
    entry = json.loads(dockerfile.last(service.name, "ENTRYPOINT"))
    assert entry == ["python", "-m", service.module]
    assert (ROOT / service.module.replace(".", "/") / "__main__.py").is_file()


@each_service
def test_an_image_exposes_the_ports_of_its_service(service: ServiceFacts) -> None:
    exposed = {int(port) for port in dockerfile.last(service.name, "EXPOSE").split()}
    assert exposed == {service.port, service.metrics_port, *service.http_ports}


@each_service
def test_an_image_asks_its_own_service_whether_it_is_ready(service: ServiceFacts) -> None:
    check = dockerfile.last(service.name, "HEALTHCHECK")
    assert f"127.0.0.1:${{{service.prefix}PORT}}" in check
    assert check.endswith(service.full_name)


@each_service
def test_an_image_runs_as_an_ordinary_user(service: ServiceFacts) -> None:
    assert dockerfile.last(service.name, "USER") == "1000:1000"


def image_tree(service: str, root: Path) -> Path:
    """What the instructions of an image copy from the repository, below `root`."""
    for keyword, rest in dockerfile.stages()[service]:
        if keyword != "COPY" or rest.startswith("--from="):
            continue
        *sources, target = rest.split()
        for source in sources:
            name = target + Path(source).name if target.endswith("/") else target
            if source == "models/pico":
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).symlink_to(ROOT / source)
            elif (ROOT / source).is_dir():
                unwanted = shutil.ignore_patterns("__pycache__", "built")
                shutil.copytree(ROOT / source, root / name, ignore=unwanted)
            else:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, root / name)
    return root


# Runs a module or a function as the image would: what was copied, and packages that are installed,
# but neither this repository nor an editable installation of it, nor what the image lacks.
_AS_IN_IMAGE = """
import importlib, runpy, sys
tree, lacking, module, function, *arguments = sys.argv[1:]
sys.meta_path = [f for f in sys.meta_path if "__editable__" not in getattr(f, "__module__", "")]
sys.path = [tree] + [p for p in sys.path if "python3" in p]
for name in filter(None, lacking.split(",")):
    sys.modules[name] = None
sys.argv = [module, *arguments]
if function:
    getattr(importlib.import_module(module), function)()
else:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
NEVER_IN_THE_GATEWAY = "torch,tokenizers,huggingface_hub"
TRIM = DEPLOY / "docker" / "trim.py"
TRIMMED = (
    "sympy,mpmath,networkx,setuptools,pkg_resources,pip,"
    "torch._dynamo,torch._inductor,torch.onnx,functorch"
)


def run_as_in_image(
    service: str, tree: Path, module: str, *arguments: str, function: str = ""
) -> subprocess.CompletedProcess[str]:
    lacking = TRIMMED + ("," + NEVER_IN_THE_GATEWAY if service == "gateway" else "")
    return subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            _AS_IN_IMAGE,
            str(tree),
            lacking,
            module,
            function,
            *arguments,
        ],
        cwd=tree,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tree)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@each_service
def test_an_image_holds_what_its_service_and_the_command_line_need(
    service: ServiceFacts, tmp_path: Path
) -> None:
    tree = image_tree(service.name, tmp_path)
    started = run_as_in_image(service.name, tree, service.module, "--print-config")
    assert started.returncode == 0, started.stderr
    # The command as the wheel installs it.
    name, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][
        "csm"
    ].split(":")
    for arguments in (["--help"], ["speak", "--help"], ["bench", "--help"]):
        told = run_as_in_image(service.name, tree, name, *arguments, function=function)
        assert told.returncode == 0, told.stderr
        assert "Usage" in told.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tokenizer", "generator"])
def test_a_model_service_loads_and_runs_without_what_its_image_trims(
    name: str, tmp_path: Path
) -> None:
    tree = image_tree(name, tmp_path)
    told = {"pip", *re.findall(r"[\w/]+", TRIM.read_text())}
    assert set(TRIMMED.replace(".", "/").split(",")) <= told
    code = {
        "tokenizer": """
import numpy as np
from services.model_directory import default_model_directory
from services.tokenizer.loading import load_codec
from services.tokenizer.native.select import directions
for mode in ("off", "auto"):
    mimi = load_codec(default_model_directory(), "cpu")
    encode, decode = directions(mimi, 1, mode, threads=1)
    codes = encode.step(0, [encode.silence(2)])[0]
    assert decode.step(0, [codes])[0].shape[0] == 2
""",
        "generator": """
import torch
from services.generator import loading
from services.model_directory import default_model_directory
for mode in ("off", "auto"):
    model = loading.load(default_model_directory(), device="cpu", native=mode, threads=1).model
    cache = model.allocate_cache(1, 16)
    frames = torch.zeros(2, model.config.num_codebooks + 1, dtype=torch.int64)
    with torch.inference_mode():
        model.prefill(frames, 0, 0, cache)
""",
    }[name]
    (tree / "try_it.py").write_text(code + "print('it runs')")
    done = run_as_in_image(name, tree, "try_it")
    assert done.returncode == 0, done.stderr
    assert "it runs" in done.stdout


def test_packages_are_installed_by_the_extras_that_the_project_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    stages = dockerfile.stages()
    gateway = " ".join(rest for _, rest in stages["clients"])
    models = " ".join(rest for keyword, rest in stages["models"] if keyword == "RUN")
    assert ".[serving,cli,redis,http,identity,tracing${EXTRAS:+,$EXTRAS}]" in gateway
    assert ".[models]" in models
    assert {"serving", "cli", "redis", "http", "identity", "tracing", "models"} <= set(extras)

    def needs(*names: str) -> set[str]:
        found: set[str] = set()
        for name in names:
            for one in extras[name]:
                package, _, inner = re.match(r"([\w.-]+)(\[([\w,-]+)\])?", one).groups()  # type: ignore[union-attr]
                found |= needs(*inner.split(",")) if package == project["name"] else {package}
        return found

    assert not needs("serving", "cli") & set(NEVER_IN_THE_GATEWAY.split(","))
    assert {"torch", *needs("serving", "cli")} <= needs("models")


def test_what_the_build_stage_has_is_enough_to_install_the_project(tmp_path: Path) -> None:
    """Its dependencies, without a line of code: a change of ours leaves that layer as it is."""
    for keyword, rest in dockerfile.stages()["clients"]:
        if keyword == "COPY" and rest.endswith(" ./"):
            for source in rest.split()[:-1]:
                shutil.copy(ROOT / source.rstrip("*"), tmp_path)
        if keyword == "RUN" and rest.endswith("touch README.md"):
            (tmp_path / "README.md").touch()
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", "out", "."],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("entry_points.txt") for name in names)
    assert not any(name.endswith(".py") for name in names)


@each_service
def test_an_image_carries_no_installer_and_says_what_it_is(service: ServiceFacts) -> None:
    steps = dockerfile.stages()[service.name]
    (environment_of,) = [rest for keyword, rest in steps if "/venv /venv" in rest]
    builder = environment_of.split("--from=")[1].split()[0]
    runs = [rest for keyword, rest in dockerfile.stages()[builder] if keyword == "RUN"]
    assert any("venv --without-pip /venv" in rest for rest in runs)
    assert ("COPY", "--from=slim / /") in steps
    assert ("RUN", "sh /tmp/slim.sh && rm /tmp/slim.sh") in dockerfile.stages()["slim"]
    labels = dict(one.split("=", 1) for one in shlex.split(dockerfile.last(service.name, "LABEL")))
    prefix = "org.opencontainers.image."
    assert service.full_name in labels.pop(prefix + "description")
    assert labels == {
        prefix + "title": f"csm-{service.name}",
        prefix + "version": "$VERSION",
        prefix + "revision": "$REVISION",
        prefix + "source": "$SOURCE",
        prefix + "licenses": "MIT",
    }
    arguments = {rest.split("=")[0] for keyword, rest in steps if keyword == "ARG"}
    assert {"VERSION", "REVISION", "SOURCE"} <= arguments
    # Labels change with every build: nothing may have to be copied again for them.
    assert "LABEL" not in {keyword for keyword, _ in dockerfile.stages()["runtime"]}
    assert steps[-1][0] == "LABEL"


def test_what_an_image_runs_is_compiled() -> None:
    """Its root is read-only: what is not would be compiled at every start and every probe."""
    assert dockerfile.environment("models")["PIP_COMPILE"] == "1"
    uv = re.search(r"uv pip install.*", (DEPLOY / "docker" / "install.sh").read_text())
    assert uv is not None
    assert "--compile-bytecode" in uv[0]
    for service in SERVICES:
        steps = dockerfile.stages()[service]
        copied = {
            rest.split()[0].split("/")[0]
            for keyword, rest in steps
            if keyword == "COPY" and "--from=" not in rest and not rest.startswith("models")
        }
        (compiling,) = [
            rest for keyword, rest in steps if keyword == "RUN" and "compileall" in rest
        ]
        assert copied == set(compiling.split(" -q ")[1].split(" && ")[0].split())
        # Only root can write there.
        user = steps.index(("USER", "1000:1000"))
        assert "compileall" not in " ".join(rest for _, rest in steps[user:])


@each_service
def test_a_change_in_our_code_leaves_the_large_layers_alone(service: ServiceFacts) -> None:
    copied = [rest for keyword, rest in dockerfile.stages()[service.name] if keyword == "COPY"]
    large = [at for at, rest in enumerate(copied) if rest.startswith(("--from=", "models"))]
    ours = [at for at, rest in enumerate(copied) if rest.split()[0] in ("csm", "gateway")]
    native = [at for at, rest in enumerate(copied) if "from=native" in rest]
    assert ours
    assert max(set(large) - set(native)) < min(ours)


def test_the_gateway_image_takes_nothing_from_the_stage_with_torch() -> None:
    sources = {
        rest.split()[0]
        for keyword, rest in dockerfile.stages()["gateway"]
        if keyword == "COPY" and rest.startswith("--from=")
    }
    assert sources == {"--from=slim", "--from=clients", "--from=client-bill"}
    for stage in ("slim", "clients", "client-bill"):
        assert not any("torch" in rest.lower() for _, rest in dockerfile.stages()[stage]), stage


def test_no_address_of_a_registry_is_written_into_the_build() -> None:
    for path in (DEPLOY / "docker").iterdir():
        assert not re.search(r"https?://|index-url", path.read_text()), path


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    for instructions in dockerfile.stages().values():
        for keyword, rest in instructions:
            if keyword != "COPY" or rest.startswith("--from="):
                continue
            for source in rest.split()[:-1]:
                source = source.rstrip("*")
                assert any(source == one or source.startswith(one + "/") for one in allowed), (
                    f"{source} is not let into the build"
                )
                assert (ROOT / source).exists(), source


def test_images_bring_native_libraries_which_need_nothing_else_to_be_built(tmp_path: Path) -> None:
    copied = [rest.split() for keyword, rest in dockerfile.stages()["native"] if keyword == "COPY"]
    for source, target in copied:
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / target)
        else:
            shutil.copy(ROOT / source, tmp_path / target)
    compiler = tmp_path / "c++"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] || while [ "$1" != -o ]; do shift; done\n'
        '[ "$1" = --version ] || echo library > "$2"\n'
    )
    compiler.chmod(0o700)
    for service in ("generator", "tokenizer"):
        brought = ("COPY", f"--from=native /built/{service} services/{service}/native/built")
        assert brought in dockerfile.stages()[service]
        module = f"services.{service}.native.build"
        assert any("-m services.$service.native.build all" in rest and service in rest
                   for _, rest in dockerfile.stages()["native"])  # fmt: skip
        # As in the build stage there is no other package than Python's own.
        done = subprocess.run(
            [sys.executable, "-S", "-m", module, "all"],
            cwd=tmp_path,
            env={"CXX": str(compiler), "CSM_NATIVE_DIR": str(tmp_path / "built"), "PATH": "/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"csm-{service}-" in done.stdout
