"""The service as a process: settings, a wrong model, a signal."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.tokenizer.main import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "services.tokenizer"]


def test_settings_come_from_flags_then_the_environment_then_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_TOKENIZER_MAX_AUDIO_S", "7")
    with pytest.raises(SystemExit) as caught:
        main(["--print-config", "--max-streams", "3"])
    assert caught.value.code == 0
    config = json.loads(capsys.readouterr().out)
    assert (config["port"], config["metrics_port"]) == (50051, 9465)
    assert (config["max_streams"], config["max_audio_s"]) == (3, 7.0)
    assert config["model"].endswith("models/pico")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--max-streams", "0"], "CSM_TOKENIZER_MAX_STREAMS (--max-streams) is '0'"),
        (["--device", "abacus"], "CSM_TOKENIZER_DEVICE (--device) is 'abacus'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_range(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_a_model_that_is_not_there_is_said_in_one_line() -> None:
    done = subprocess.run(
        [*COMMAND, "--model", "/no/such/model", "--port", "0", "--metrics-port", "null"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "model: /no/such/model does not exist; it must be a model directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_serves_until_its_signal_and_exits_with_zero(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open(log, "w") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", "--metrics-port", "null", "--threads", "1"],
            cwd=ROOT,
            stderr=stderr,
        )
    try:
        deadline = time.monotonic() + 60
        while "ready on " not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        address = log.read_text().split("ready on ")[1].split()[0]
        with grpc.insecure_channel(address) as channel:
            request = health_pb2.HealthCheckRequest(service="csm.v1.TokenizerService")
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "draining" in log.read_text()
    finally:
        process.kill()
        process.wait()
