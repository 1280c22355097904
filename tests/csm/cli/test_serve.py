"""`csm serve` as a process: it says where it listens, serves, drains and ends with 0."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from csm.client import Client, FinishReason
from tests.certificates import Certificates
from tests.csm.cli.conftest import PICO, ROOT, Csm, chirp

FREE = ("--port", "0", "--http-port", "0", "--tokenizer-port", "0", "--generator-port", "0")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def heed_interrupts() -> None:
    """In a child, before it begins: a parent that ignores Ctrl-C (`make test &`) hands that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Server:
    """A running `csm serve`, and where it listens."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "csm.cli.main", "serve", "--threads", "1", "--slots", "2",
             "--model", str(PICO), *arguments],
            cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=heed_interrupts,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def wait_for(self, word: str, timeout_s: float = 60) -> None:
        """Returns when a line has the word in it."""
        deadline = time.monotonic() + timeout_s
        while not any(word in line for line in list(self.lines)):
            assert time.monotonic() < deadline, self.lines
            assert self.process.poll() is None, self.lines
            time.sleep(0.02)

    def address(self, name: str) -> str:
        """What is printed beside a service's name."""
        found = re.search(rf"^{name} +(\S+)$", "".join(self.lines), re.MULTILINE)
        assert found, self.lines
        return found[1]


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    """A ready server; ended by force if the test did not end it."""
    server = Server(*arguments)
    try:
        server.wait_for("ready; ")
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def test_it_serves_metrics_and_all_commands_and_drains_what_runs(csm: Csm, tmp_path: Path) -> None:
    port = free_port()
    with serving(*FREE, "--metrics-port", str(port)) as server:
        gateway, tokenizer = server.address("gateway"), server.address("tokenizer")
        file, codes, back = (tmp_path / name for name in ("x.wav", "x.safetensors", "y.wav"))
        for arguments in (
            ("speak", "Hello there.", "-o", file, "--server", gateway, "--seed", 1),
            ("encode", file, "-o", codes, "--server", tokenizer),
            ("decode", codes, "-o", back, "--server", tokenizer),
        ):
            result = csm(*arguments)
            assert result.exit_code == 0, result.output
        assert soundfile.info(back).frames == soundfile.info(file).frames

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        for service in ("Speech", "Generator", "Tokenizer"):
            assert f'csm_ready{{grpc_service="csm.v1.{service}Service"}} 1.0' in text
        for prefix in ("csm_gateway_", "csm_generator_", "csm_tokenizer_"):
            assert prefix in text

        with Client(gateway) as client:
            speech = client.synthesize("A longer text.", max_lead_ms=200, seed=2)
            next(speech)
            server.process.send_signal(signal.SIGTERM)
            speech.read_pcm()
            assert speech.completed is not None
            assert speech.completed.finish_reason in (FinishReason.EOS, FinishReason.MAX_DURATION)
        assert server.process.wait(30) == 0
    assert "Traceback" not in "".join(server.lines)
    said = "".join(server.lines)
    assert said.index("loading ") < said.index("ready; ") < said.index("draining: ")
    assert "30 s" in said[said.index("draining: ") :]


def test_it_says_where_it_listens_as_it_was_told() -> None:
    with serving(*FREE, "--metrics-port", "0", "--host", "0.0.0.0") as server:
        assert server.address("gateway").startswith("0.0.0.0:")
        assert server.address("tokenizer").startswith("127.0.0.1:")
        # A second signal would end it at once; one is enough where nothing runs.
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0


VARIABLES = {
    "CSM_GATEWAY_HOST": "127.0.0.2",
    "CSM_GATEWAY_PORT": "50060",
    "CSM_GATEWAY_HTTP_PORT": "none",
    "CSM_GATEWAY_LOG_LEVEL": "WARNING",
    "CSM_GATEWAY_LOG_FORMAT": "json",
    "CSM_TOKENIZER_PORT": "50061",
    "CSM_GENERATOR_PORT": "50062",
}


def test_variables_say_what_no_flag_does(csm: Csm, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(*flags: str) -> list[object]:
        result = csm("serve", "--print-config", *flags)
        assert result.exit_code == 0, result.output
        settings = json.loads(result.stdout)
        assert {settings[name]["host"] for name in ("tokenizer", "generator")} == {"127.0.0.1"}
        ports = [settings[name]["port"] for name in ("gateway", "tokenizer", "generator")]
        rest = [settings["gateway"][name] for name in ("host", "http_port", "log_level")]
        return [*ports, *rest, settings["gateway"]["log_format"]]

    monkeypatch.delenv("CSM_GATEWAY_HTTP_PORT", raising=False)
    assert shown() == [50050, 50051, 50052, "127.0.0.1", 8080, "INFO", "text"]
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert shown() == [50060, 50061, 50062, "127.0.0.2", None, "WARNING", "json"]
    flags = ("--host", "127.0.0.3", "--port", "1", "--tokenizer-port", "2", "--generator-port", "3")
    more = ("--http-port", "4", "--log-level", "DEBUG", "--log-format", "text")
    assert shown(*flags, *more) == [1, 2, 3, "127.0.0.3", 4, "DEBUG", "text"]


@pytest.mark.parametrize("name", ["PORT", "HTTP_PORT", "LOG_LEVEL"])
def test_a_wrong_variable_is_named(csm: Csm, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"CSM_GATEWAY_{name}", "abc")
    result = csm("serve", "--print-config")
    assert result.exit_code == 1
    assert f"{name.lower()}: 'abc' is not allowed" in result.output


def test_metrics_are_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("CSM_GATEWAY_METRICS_PORT", str(port))
    with serving(*FREE) as server:
        assert server.address("metrics") == f"http://127.0.0.1:{port}/metrics"


def test_it_speaks_by_http_where_it_says_so() -> None:
    port = free_port()
    with serving(*FREE, "--metrics-port", "0", "--http-port", str(port)) as server:
        assert server.address("http") == f"http://127.0.0.1:{port}"
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/audio/speech",
            json.dumps({"input": "Hello.", "response_format": "wav"}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["content-type"] == "audio/wav"
            assert len(answer.read()) > 1920 * 2
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert "Traceback" not in "".join(server.lines)


def test_tls_is_on_every_port_of_the_gateway_and_a_command_that_runs_here_needs_none(
    csm: Csm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Certificates(tmp_path / "certificates")
    for name, path in files.settings().items():
        # The tokenizer and the generator are on loopback all the same.
        for service in ("GATEWAY", "TOKENIZER"):
            monkeypatch.setenv(f"CSM_{service}_{name.upper()}", str(path))
    monkeypatch.setenv("CSM_GATEWAY_METRICS_TLS", "true")
    metrics, http = free_port(), free_port()
    ports = ("--metrics-port", str(metrics), "--http-port", str(http))
    with serving(*FREE, *ports) as server:
        assert server.address("http") == f"https://127.0.0.1:{http}"
        assert server.address("metrics") == f"https://127.0.0.1:{metrics}/metrics"
        gateway = server.address("gateway")
        spoken = ("speak", "Hello.", "-o", tmp_path / "x.wav", "--server", gateway)
        assert csm(*spoken, "--ca", files.ca).exit_code == 0
        assert csm(*spoken).exit_code == 1
        for port in (metrics, http):
            assert files.seen(port, "http/1.1") == "first"
        assert csm("voices", "list").exit_code == 0
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_a_certificate_that_cannot_be_used_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CSM_GATEWAY_TLS_CERTIFICATE", str(tmp_path / "no.pem"))
    monkeypatch.setenv("CSM_GATEWAY_TLS_KEY", str(tmp_path / "no-key.pem"))
    done = subprocess.run(
        [sys.executable, "-m", "csm.cli.main", "serve", *FREE, "--metrics-port", "0"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"csm: tls_certificate: {tmp_path / 'no.pem'} cannot be read: No such file or directory"
    )


def test_json_logs_are_json_from_the_first_line_to_the_last() -> None:
    with serving(*FREE, "--metrics-port", "0", "--log-format", "json") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        server._reader.join(5)
    messages = [json.loads(line)["message"] for line in server.lines]
    for word in ("loading ", "gateway ", "ready; ", "draining: "):
        assert any(message.startswith(word) for message in messages), messages
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        server = Server(*FREE, "--metrics-port", port, "--log-format", "json")
        assert server.process.wait(60) == 1
        server._reader.join(5)
    last = [json.loads(line) for line in server.lines][-1]
    assert last["level"] == "ERROR"
    assert port in last["message"]


def test_while_the_model_loads_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from csm.cli import serve

    class Slow:
        class generator_settings:
            model = "models/slow"

        class gateway_settings:
            host, http_port = "127.0.0.1", None
            drain_delay_s, drain_finish_s = 0.0, 30.0

        class gateway:
            address, port = "127.0.0.1:1", 1

        tokenizer = generator = gateway

        async def start(self) -> None:
            await asyncio.sleep(0.3)
            os.kill(os.getpid(), signal.SIGTERM)

        async def stop(self) -> None:
            pass

    monkeypatch.setattr(serve, "PROGRESS_S", 0.1)
    told: list[str] = []
    asyncio.run(serve._life(Slow(), told.append, None))  # type: ignore[arg-type]
    assert told[0] == "loading models/slow"
    assert any(one.startswith("still loading models/slow, ") for one in told)
    assert told[-1] == "ended"


def test_a_signal_while_the_model_loads_ends_it() -> None:
    server = Server(*FREE, "--metrics-port", "0")
    try:
        # Past the imports of the command itself, before the services are up.
        time.sleep(1.5)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) in (0, -signal.SIGTERM)
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
    assert "Traceback" not in "".join(server.lines)


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments in (
            ("--port", port, *FREE[2:], "--metrics-port", "0"),
            (*FREE, "--metrics-port", port),
        ):
            server = Server(*arguments)
            assert server.process.wait(60) == 1
            server._reader.join(5)
            said = [line for line in server.lines if line.startswith("csm: ")]
            assert len(said) == 1, server.lines
            assert port in said[0]


def test_a_failed_start_ends_with_1_whatever_goes_wrong_at_the_interpreters_end() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        arguments = ["csm", "serve", *FREE, "--model", str(PICO), "--metrics-port", port]
        code = (
            "import atexit, os, sys; atexit.register(os.abort); "
            f"sys.argv = {arguments}; from csm.cli.main import main; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1, done.stderr
    assert port in done.stderr


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["heeds", "ignores"])
def parent(request: pytest.FixtureRequest) -> Iterator[None]:
    """This process, as a shell starts it in the foreground and in the background."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_speak_says_so_and_ends_with_130(tmp_path: Path, parent: None) -> None:
    file = tmp_path / "x.wav"
    speaking = subprocess.Popen(
        [sys.executable, "-m", "csm.cli.main", "speak", "One two three. " * 100, "-o", str(file),
         "--threads", "1", "--model", str(PICO)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        assert speaking.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)
    speaking.send_signal(signal.SIGINT)
    _, errors = speaking.communicate(timeout=30)
    assert speaking.returncode == 130
    assert errors.strip().endswith("csm: interrupted")
    assert "Traceback" not in errors
    # What was said until then is a whole WAV.
    assert soundfile.info(file).frames > 0


def test_print_config_shows_what_would_run(csm: Csm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSM_GENERATOR_MAX_QUEUE", "7")
    result = csm("serve", "--print-config", "--slots", 3, "--host", "0.0.0.0", "--dtype", "bf16")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert shown["generator"]["slots"] == 3
    assert shown["generator"]["dtype"] == "bfloat16"
    assert shown["generator"]["max_queue"] == 7
    assert shown["gateway"]["host"] == "0.0.0.0"
    # The two others stay on loopback.
    assert shown["generator"]["host"] == shown["tokenizer"]["host"] == "127.0.0.1"


def test_a_setting_out_of_range_is_named_with_what_is_allowed(csm: Csm) -> None:
    result = csm("serve", "--dtype", "int3", "--print-config")
    assert result.exit_code == 1
    assert "dtype: 'int3' is not allowed" in result.stderr
    assert "'bfloat16'" in result.stderr


def test_the_examples_run_against_it(tmp_path: Path) -> None:
    question, said = tmp_path / "question.wav", tmp_path / "said.wav"
    soundfile.write(question, chirp(16_000, 1.0), 16_000)
    with serving(*FREE, "--metrics-port", "0") as server:
        gateway = server.address("gateway")
        for example, arguments, word in (
            ("synthesize.py", ("Hello there.", said, gateway), "first frame after"),
            ("converse.py", (question, gateway), "cancelled"),
            ("synthesize.py", ("!", said, gateway), "text"),
        ):
            command = [sys.executable, f"examples/{example}", *map(str, arguments)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
            assert word in done.stdout + done.stderr
            assert "Traceback" not in done.stderr
        assert soundfile.info(said).frames > 0
