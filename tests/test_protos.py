"""The wire: stubs are fresh, every field is commented, and nothing breaks wire compatibility."""

import importlib
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROTOS = sorted((ROOT / "protos" / "csm" / "v1").glob("*.proto"))
SERVICES = {
    "tokenizer": "TokenizerService",
    "generator": "GeneratorService",
    "speech": "SpeechService",
}


def test_committed_stubs_are_what_the_protos_generate(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos"]
        + [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
        + [str(p.relative_to(ROOT)) for p in PROTOS],
        cwd=ROOT,
        check=True,
    )
    fresh = {p.name: p.read_text() for p in (tmp_path / "csm" / "v1").iterdir()}
    committed = {p.name: p.read_text() for p in (ROOT / "csm" / "v1").glob("*_pb2*")}
    assert committed == fresh, "run `make protos`"


@pytest.mark.parametrize("path", PROTOS, ids=lambda p: p.name)
def test_every_declaration_has_a_comment(path: Path) -> None:
    lines = path.read_text().splitlines()
    declaration = re.compile(
        r"\s*(message|enum|service|rpc|oneof)\s|"
        r"\s*(optional |repeated )?[\w.]+ \w+ = \d+;|\s*[A-Z_0-9]+ = \d+;"
    )
    bare = [
        line.strip()
        for before, line in itertools.pairwise(lines)
        if declaration.match(line) and not before.strip().startswith("//")
    ]
    assert not bare


@pytest.mark.parametrize("name", SERVICES)
def test_each_rpc_has_its_own_request_and_response(name: str) -> None:
    module = importlib.import_module(f"csm.v1.{name}_pb2")
    service = module.DESCRIPTOR.services_by_name[SERVICES[name]]
    for method in service.methods:
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"


@pytest.mark.parametrize("name", ["common", *SERVICES])
def test_enums_start_unspecified_and_carry_their_prefix(name: str) -> None:
    module = importlib.import_module(f"csm.v1.{name}_pb2")
    for enum in module.DESCRIPTOR.enum_types_by_name.values():
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
        assert enum.values_by_number[0].name == f"{prefix}UNSPECIFIED"
        assert all(value.name.startswith(prefix) for value in enum.values)
