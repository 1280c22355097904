"""Who may import whom: the rules of the house, read from the source of every module."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("csm", "services", "gateway", "benchmarks", "training", "examples")
SERVER = ("services", "gateway")
PROTOBUF = ("google.protobuf", "csm.v1")
NEVER = ("benchmarks", "training", "examples", "tests")

# Package prefix -> prefixes that nothing in it may import, not even inside a function.
FORBIDDEN = {
    "csm": ("examples", "training", "tests"),
    "csm.v1": (*SERVER, "csm.client", "csm.serving", "csm.audio", "csm.cli"),
    "csm.errors": (*SERVER, "csm.client", "csm.serving", "csm.audio", "csm.cli"),
    "csm.audio.loudness": ("csm", "grpc", *PROTOBUF),
    "csm.audio": (*SERVER, "csm.client", "csm.serving", "csm.cli", "torch"),
    "csm.client": (*SERVER, "csm.serving", "csm.cli", "torch"),
    "csm.serving": (*SERVER, "csm.client", "csm.cli", "torch", "benchmarks"),
    "services.native": ("services.tokenizer", "services.generator", "gateway", *NEVER),
    "services.tokenizer": (
        "services.generator",
        "services.all_in_one",
        "gateway",
        "csm.cli",
        *NEVER,
    ),
    "services.generator": (
        "services.tokenizer",
        "services.all_in_one",
        "gateway",
        "csm.cli",
        *NEVER,
    ),
    "services.all_in_one": ("csm.cli", *NEVER),
    "services.generator.model": ("grpc", "google.protobuf", "csm.v1", "csm.serving"),
    "services.generator.graphs": ("grpc", "google.protobuf", "csm.v1", "csm.serving"),
    "services.generator.engine": ("grpc", "google.protobuf", "csm.v1", "csm.serving"),
    "services.generator.engine.scheduler": ("torch",),
    "services.generator.engine.plan": ("torch",),
    "services.generator.engine.stalls": ("torch",),
    "services.generator.engine.turn": ("torch",),
    "services.generator.engine.events": ("torch",),
    "services.generator.engine.admission": ("torch",),
    "gateway": ("torch", "services", "csm.client", "csm.cli", *NEVER),
    "gateway.commands": PROTOBUF,
    "gateway.conversations": PROTOBUF,
    "gateway.sound": ("grpc", "csm", *PROTOBUF),
    "gateway.speaking": PROTOBUF,
    "gateway.text": PROTOBUF,
    "training": ("examples", "tests"),
    "examples": ("benchmarks", "training", "tests"),
}

# Package prefix -> what it may import of what is forbidden: modules that are numpy and no more.
ALLOWED = {"gateway.sound": ("csm.audio.loudness",)}

# Package prefix -> prefixes that it may import inside a function only: what needs a model is
# imported where it is used.
WHERE_USED = {"csm.cli": (*SERVER, "csm.serving.bootstrap", "torch", "benchmarks")}


# JSON becomes messages of the wire in these modules alone; `gateway.messages` checks them then, so
# that HTTP has no rules of its own.
HTTP_PROTOBUF = ("gateway.http.messages", "gateway.http.json_fields")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[Path]:
    return [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path, *, at_import: bool = False) -> set[str]:
    """Every module that the file imports, `from a import b` as `a.b`.

    `at_import`: only what is imported when the file itself is, so not inside functions and not for
    the type checker alone.
    """
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in _run_at_import(tree) if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module_name(path).split(".")
                keep = len(package) - node.level + (path.name == "__init__.py")
                base = ".".join([*package[:keep], *([base] if base else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return found


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        checked = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not (isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or checked):
            yield child
            yield from _run_at_import(child)


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_what_its_place_allows(path: Path) -> None:
    name = module_name(path)
    for place, forbidden in FORBIDDEN.items():
        if within(name, place):
            broken = {i for i in imports(path) for f in forbidden if within(i, f)}
            broken -= {i for i in broken for a in ALLOWED.get(place, ()) if within(i, a)}
            assert not broken, f"{name} must not import {sorted(broken)}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_at_once_only_what_its_place_allows(path: Path) -> None:
    name = module_name(path)
    for place, forbidden in WHERE_USED.items():
        if within(name, place):
            found = imports(path, at_import=True)
            broken = {i for i in found for f in forbidden if within(i, f)}
            assert not broken, f"{name} must import {sorted(broken)} inside a function"


def test_http_knows_protobuf_in_one_place() -> None:
    found = {
        module_name(path)
        for path in sorted((ROOT / "gateway" / "http").rglob("*.py"))
        if any(within(i, f) for i in imports(path) for f in PROTOBUF)
    }
    assert found <= set(HTTP_PROTOBUF)


def test_nothing_is_imported_in_a_circle() -> None:
    names = {module_name(p): p for p in modules()}
    # A module's own packages are there before it.
    needs = {
        n: {i for i in imports(p, at_import=True) if i in names and not within(n, i)}
        for n, p in names.items()
    }
    done: set[str] = set()
    while ready := {n for n, found in needs.items() if n not in done and found <= done}:
        done |= ready
    rest = {n: sorted(needs[n] - done) for n in names if n not in done}
    assert not rest, f"modules that need each other: {rest}"


def test_the_rules_see_an_import_inside_a_function(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text("def f():\n    from torch.nn import Module\n")
    assert any(within(i, "torch") for i in imports(source))


@pytest.mark.parametrize("package", ["csm.client", "gateway.main"])
def test_clients_and_the_gateway_run_without_torch(package: str) -> None:
    code = f"import sys; import {package}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_files_stay_small_enough_to_read_at_once() -> None:
    long = {
        str(p.relative_to(ROOT)): lines
        for p in modules()
        if "csm/v1" not in str(p) and (lines := len(p.read_text().splitlines())) > 400
    }
    assert not long, f"about 300 lines a file, 400 at the very most: {long}"


def class_names(*packages: str) -> dict[str, list[str]]:
    """Where each public top-level class is defined, by its name."""
    found: dict[str, list[str]] = {}
    for path in (p for package in packages for p in sorted((ROOT / package).rglob("*.py"))):
        # Stubs are the wire's own words, always said with their module's name before them.
        if "csm/v1" in str(path):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module_name(path))
    return found


# The same part of each service may bear one name: none does today.
SAME_IN_EACH_SERVICE: set[str] = set()


def test_no_class_name_stands_for_two_things() -> None:
    found = class_names("csm", "services", "gateway")
    twice = {
        name: places
        for name, places in found.items()
        if len(places) > 1 and name not in SAME_IN_EACH_SERVICE
    }
    assert not twice, f"classes of one name: {twice}"
    assert len(found) > 200
