"""The packages for other people's stacks: whole, small, and made of the client alone. Their own
tests need those stacks, and run with `make test-integrations`."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INTEGRATIONS = sorted(p.parent for p in (ROOT / "integrations").glob("*/pyproject.toml"))
every_package = pytest.mark.parametrize("package", INTEGRATIONS, ids=lambda p: p.name)


def modules(package: Path) -> list[Path]:
    """Modules that the package installs."""
    tests = package / "tests"
    return [p for p in sorted(package.rglob("*.py")) if tests not in p.parents]


def imports(path: Path) -> set[str]:
    """Absolute names of what the file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def test_all_three_are_there() -> None:
    assert [p.name for p in INTEGRATIONS] == ["livekit-plugins-csm", "pipecat-csm", "wyoming-csm"]


@every_package
def test_a_package_has_a_readme_types_tests_and_bounds_on_what_it_needs(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert (package / project["readme"]).is_file()
    assert list((package / "tests").glob("test_*.py"))
    assert [
        p for p in package.rglob("py.typed") if p.parent in {m.parent for m in modules(package)}
    ]
    assert [d for d in project["dependencies"] if d.startswith("csm-server>=")]
    unbounded = [d for d in project["dependencies"] if ">=" not in d]
    assert not unbounded, f"no lower bound: {unbounded}"


@every_package
def test_a_package_is_made_of_what_csm_exports(package: Path) -> None:
    for path in modules(package):
        ours = {n for n in imports(path) if n.split(".")[0] in ("csm", "services", "gateway")}
        assert ours <= {"csm"}, f"{path.name} imports {sorted(ours - {'csm'})}"


@every_package
def test_its_files_are_small_enough_to_read_at_once(package: Path) -> None:
    long = [p.name for p in package.rglob("*.py") if len(p.read_text().splitlines()) > 400]
    assert not long


@every_package
def test_make_knows_how_to_test_it(package: Path) -> None:
    assert package.name in (ROOT / "Makefile").read_text()
