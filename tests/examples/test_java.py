"""The example in Java compiles against stubs from the protos.

Needs the packages that docs/integrations.md names, or a folder where they were unpacked, named by
GRPC_JAVA_PREFIX."""

import os
import shutil
import subprocess
from pathlib import Path

import google.rpc
import pytest

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path(os.environ.get("GRPC_JAVA_PREFIX", "/usr"))
JARS = f"{PREFIX}/share/java/*:/usr/share/java/*"
THERE = shutil.which("javac") and all(
    (PREFIX / name).exists()
    for name in ("bin/protoc", "bin/grpc_java_plugin", "share/java/grpc-netty.jar")
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not THERE, reason="javac, protoc or gRPC for Java is not installed"),
]


def run(*command: object) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"LD_LIBRARY_PATH": f"{PREFIX}/lib/x86_64-linux-gnu"}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=150,
        env=environment,
    )  # fmt: skip


def test_it_compiles_against_stubs_from_the_protos(tmp_path: Path) -> None:
    shared = Path(next(iter(google.rpc.__path__))).parents[1]
    made = run(
        PREFIX / "bin" / "protoc", "-I", ROOT / "protos", "-I", shared,
        "-I", PREFIX / "include", f"--java_out={tmp_path}", f"--grpc-java_out={tmp_path}",
        f"--plugin=protoc-gen-grpc-java={PREFIX}/bin/grpc_java_plugin",
        "csm/v1/common.proto", "csm/v1/speech.proto", "google/rpc/status.proto",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    sources = [*sorted(tmp_path.rglob("*.java")), ROOT / "examples" / "java" / "Converse.java"]
    compiled = run("javac", "-nowarn", "-d", tmp_path / "classes", "-cp", JARS, *sources)
    assert compiled.returncode == 0, compiled.stderr
    assert (tmp_path / "classes" / "Converse.class").is_file()
