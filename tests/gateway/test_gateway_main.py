"""`python -m gateway` as a process, and its settings."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from gateway.settings import GatewaySettings
from tests.gateway.fakes import Stack

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_print_config_shows_flags_over_environment_over_defaults() -> None:
    done = run(
        "--max-streams", "7", "--print-config",
        CSM_GATEWAY_MAX_STREAMS="9", CSM_GATEWAY_GENERATOR_TARGET="dns:///generator:50052",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["max_streams"] == 7
    assert shown["generator_target"] == "dns:///generator:50052"
    assert shown["port"] == 50050
    assert shown["metrics_port"] == 9464
    assert shown["generator_load_balancing"] == "ring_hash"


def test_a_wrong_setting_is_named_with_its_range() -> None:
    done = run("--max-text-chars", "0")
    assert done.returncode == 2
    assert "CSM_GATEWAY_MAX_TEXT_CHARS (--max-text-chars)" in done.stderr
    assert "greater than or equal to 1" in done.stderr


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in GatewaySettings.model_fields.items():
        assert field.description, name


def test_the_gateway_does_without_torch() -> None:
    code = "import sys, gateway.main; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


def test_a_port_that_is_taken_is_one_line_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flags in (["--port", port, "--metrics-port", "0"], ["--metrics-port", port]):
            done = run("--port", "0", *flags)
            assert done.returncode == 1
            (line,) = (x for x in done.stderr.splitlines() if x.startswith("python -m gateway: "))
            assert port in line
            assert "Traceback" not in done.stderr


async def test_a_voice_that_cannot_be_used_is_one_line_that_names_it(running: Stack) -> None:
    done = await asyncio.to_thread(
        run, "--port", "0", "--metrics-port", "0", "--voices-directory", "/no/such",
        "--tokenizer-target", f"127.0.0.1:{running.tokenizer.port}",
        "--generator-target", f"127.0.0.1:{running.generator.port}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "python -m gateway: voices_directory /no/such: is not a directory" in done.stderr
    assert "Traceback" not in done.stderr
