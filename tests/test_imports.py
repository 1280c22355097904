"""Who may import whom: the rules of the house, read from the source of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("csm", "services", "gateway", "cli", "benchmarks", "training", "examples")

# Package prefix -> prefixes that it must not import. The first match from the top applies to all.
FORBIDDEN = {
    "csm": ("torch", "services", "gateway", "cli", "benchmarks", "training"),
    "services.tokenizer": ("services.generator", "gateway", "cli", "benchmarks", "training"),
    "services.generator": ("services.tokenizer", "gateway", "cli", "benchmarks", "training"),
    "services.generator.model": ("grpc", "google.protobuf", "csm.v1", "csm.serving"),
    "services.generator.graphs": ("grpc", "google.protobuf", "csm.v1", "csm.serving"),
    "services.generator.engine": ("grpc", "google.protobuf", "csm.v1", "csm.serving"),
    "services.generator.engine.scheduler": ("torch",),
    "services.generator.engine.sequence": ("torch",),
    "gateway": ("torch", "services", "cli", "benchmarks", "training"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[Path]:
    return [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Every module that the file imports, anywhere in it, `from a import b` as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
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


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_what_its_place_allows(path: Path) -> None:
    name = module_name(path)
    for place, forbidden in FORBIDDEN.items():
        if within(name, place):
            broken = {i for i in imports(path) for f in forbidden if within(i, f)}
            assert not broken, f"{name} must not import {sorted(broken)}"


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
