"""The wire: stubs are fresh, every field is commented, and nothing breaks wire compatibility."""

import importlib
import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import google.rpc.status_pb2
import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[1]
PROTOS = sorted((ROOT / "protos" / "csm" / "v1").glob("*.proto"))
SERVICES = {
    "tokenizer": "TokenizerService",
    "generator": "GeneratorService",
    "speech": "SpeechService",
}


def test_committed_stubs_are_what_the_protos_generate(tmp_path: Path) -> None:
    """By meaning: the stubs were made by the oldest tools supported, the test runs with newer."""
    pytest.importorskip("grpc_tools")
    include = Path(google.rpc.status_pb2.__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", "-I", str(include)]
        + [f"--descriptor_set_out={tmp_path / 'fresh'}"]
        + [str(p.relative_to(ROOT)) for p in PROTOS],
        cwd=ROOT,
        check=True,
    )
    fresh = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "fresh").read_bytes())
    for file in fresh.file:
        module = importlib.import_module(
            file.name.removesuffix(".proto").replace("/", ".") + "_pb2"
        )
        committed = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(committed)
        # Names for JSON are derived; one of the two makers of descriptors writes them down.
        for message in _messages(committed.message_type) + _messages(file.message_type):
            for field in message.field:
                field.ClearField("json_name")
        assert committed == file, "run `make protos`"


def _messages(
    found: Iterable[descriptor_pb2.DescriptorProto],
) -> list[descriptor_pb2.DescriptorProto]:
    return [m for one in found for m in (one, *_messages(one.nested_type))]


def test_stubs_load_beside_the_oldest_packages_that_are_supported() -> None:
    """Generated code refuses a protobuf or a grpcio that is older than its maker."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    oldest = dict(one.split(">=") for one in wanted if ">=" in one)
    for stub in (ROOT / "csm" / "v1").glob("*_pb2.py"):
        made = re.search(r"Protobuf Python Version: (\d+)\.(\d+)\.(\d+)", stub.read_text())
        assert made is not None
        assert tuple(map(int, made.groups())) <= _version(oldest["protobuf"])
    for stub in (ROOT / "csm" / "v1").glob("*_pb2_grpc.py"):
        made = re.search(r"GRPC_GENERATED_VERSION = '(\d+)\.(\d+)\.(\d+)'", stub.read_text())
        assert made is not None
        assert tuple(map(int, made.groups())) <= _version(oldest["grpcio"])


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, [*text.split("."), "0", "0"][:3]))


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


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.stem)
def test_generators_of_other_languages_are_told_where_their_code_goes(proto: Path) -> None:
    """protoc-gen-go refuses a file without `go_package`; Java would put all into one class."""
    name = f"csm.v1.{proto.stem}_pb2"
    options = importlib.import_module(name).DESCRIPTOR.GetOptions()
    path, _, package = options.go_package.rpartition(";")
    assert path.endswith("/csm/v1")
    assert package == "csmv1"
    assert options.java_package == "org.csm.v1"
    assert options.java_multiple_files
