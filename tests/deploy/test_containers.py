"""The three images, really run as compose.yaml says: `make test-containers` builds them first."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm import errors
from csm.client import Client, FinishReason, RetryPolicy
from tests.deploy.containers import TAG, Engine, Stack
from tests.deploy.facts import DEPLOY, ROOT, SERVICES

pytestmark = pytest.mark.containers

LONG_TEXT = " ".join(["This is a sentence that takes a while to say."] * 6)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def stack(engine: Engine) -> Iterator[Stack]:
    it = Stack(engine)
    try:
        it.start()
        yield it
    finally:
        it.remove()


def test_an_utterance_goes_through_the_three_containers(stack: Stack, tmp_path: Path) -> None:
    out = tmp_path / "hello.wav"
    command = [sys.executable, "-m", "csm.cli.main", "speak", "Hello there.", "-o", str(out)]
    done = subprocess.run(
        [*command, "--server", stack.address],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + stack.logs("gateway")
    audio, rate_hz = soundfile.read(out)
    assert rate_hz == 24_000
    assert 0.3 < len(audio) / rate_hz < 20
    assert np.abs(audio).max() > 0.02, "silence"


@pytest.mark.parametrize("name", SERVICES)
def test_the_health_check_of_the_image_passes(stack: Stack, name: str) -> None:
    (image,) = json.loads(stack.engine("image", "inspect", f"csm-{name}:{TAG}"))
    check = image.get("Healthcheck") or image["Config"]["Healthcheck"]
    kind, command = check["Test"]
    assert kind == "CMD-SHELL"
    assert stack.engine.succeeds("exec", stack.container(name), "sh", "-c", command)


@pytest.mark.parametrize("name", SERVICES)
def test_the_metrics_of_a_container_pass_promtool(stack: Stack, name: str) -> None:
    url = f"http://127.0.0.1:{SERVICES[name].metrics_port}/metrics"
    text = stack.python(
        name, f"import urllib.request as u; print(u.urlopen({url!r}).read().decode())"
    )
    assert f'csm_ready{{grpc_service="{SERVICES[name].full_name}"}} 1.0' in text
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed (package prometheus)")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_the_containers_as_configured(stack: Stack) -> None:
    """The machine's own Prometheus, inside the network, with the configuration of compose.yaml."""
    binary = shutil.which("prometheus")
    if not binary:
        pytest.skip("prometheus is not installed (package prometheus)")
    stack.engine(
        *("run", "--detach", "--name", stack.container("prometheus"), "--network", stack.id),
        *(*stack.engine.limits, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
        *("--volume", f"{Path(binary).resolve()}:/usr/bin/prometheus:ro"),
        *("--volume", f"{DEPLOY / 'prometheus'}:/etc/prometheus:ro"),
        *("--entrypoint", "/usr/bin/prometheus", f"csm-gateway:{TAG}"),
        *("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/tmp/data"),
    )
    query = "http://127.0.0.1:9090/api/v1/query?query=csm_ready"
    ask = f"import urllib.request as u; print(u.urlopen({query!r}).read().decode())"
    wanted = {service.full_name for service in SERVICES.values()}
    ready: dict[str, str] = {}
    deadline = time.monotonic() + 45
    while set(ready) != wanted and time.monotonic() < deadline:
        time.sleep(1)
        answer = stack.engine(
            *("exec", stack.container("prometheus"), "python", "-c", ask), check=False
        )
        if answer:
            ready = {
                each["metric"]["grpc_service"]: each["value"][1]
                for each in json.loads(answer)["data"]["result"]
            }
    assert ready == dict.fromkeys(wanted, "1"), stack.logs("prometheus")


def test_the_gateway_image_has_no_torch(stack: Stack) -> None:
    found = "import importlib.util as u; print(u.find_spec('torch') is not None)"
    assert stack.python("gateway", found).strip() == "False"
    assert stack.python("tokenizer", found).strip() == "True"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_an_ordinary_user_that_can_write_nothing(stack: Stack, name: str) -> None:
    code = """
import os
print(os.getuid())
for folder in ("/", "/app", "/venv", "/home", "/var", "/etc"):
    try:
        open(folder + "/written", "w")
        print("wrote to", folder)
    except OSError:
        pass
open("/tmp/written", "w")
"""
    assert stack.python(name, code).split("\n", 1) == ["1000", ""]


@pytest.mark.parametrize("name", SERVICES)
def test_logs_are_json_lines_without_the_text(stack: Stack, name: str) -> None:
    lines = stack.logs(name).splitlines()
    assert any("ready" in json.loads(line)["message"] for line in lines if line.startswith("{"))
    assert "Hello there" not in stack.logs(name)


def test_a_conversation_survives_a_generator_that_was_replaced(stack: Stack) -> None:
    with Client(stack.address) as client:
        client.synthesize("Hello.", conversation_id="replaced", max_audio_ms=1000).read_all()
        stack.engine("rm", "--force", stack.container("generator"))
        stack.wait_unready("gateway")
        # A gateway without a generator takes no calls, but a restart would not help it.
        assert stack.probe("gateway", "--live")
        assert not stack.probe("gateway")
        stack.run("generator")
        stack.wait_healthy("generator")
        stack.wait_healthy("gateway")
        speech = client.synthesize("Again.", conversation_id="replaced", max_audio_ms=1000)
        assert len(speech.read_all()) > 0
        turns = client.get_conversation("replaced").turns
    assert [turn.text for turn in turns] == ["Hello.", "Again."]


def test_sigterm_lets_an_utterance_finish_refuses_the_next_and_exits_with_0(stack: Stack) -> None:
    """Last of the file: it ends the stack."""
    with Client(stack.address) as client, ThreadPoolExecutor(1) as pool:
        speech = client.synthesize(LONG_TEXT, max_lead_ms=200, timeout_s=60)
        first = next(iter(speech))
        rest = pool.submit(speech.read_all)
        stack.engine("kill", "--signal", "TERM", stack.container("gateway"))
        time.sleep(1.0)
        with (
            Client(stack.address, retry=RetryPolicy(max_attempts=1)) as late,
            pytest.raises(errors.Unavailable),
        ):
            late.synthesize("Too late.", timeout_s=5).read_all()
        samples = rest.result(timeout=60)
        assert speech.completed is not None
        assert speech.completed.finish_reason is FinishReason.EOS
        assert len(first.pcm) // 2 + len(samples) > 24_000
    assert stack.wait_exit("gateway") == 0, stack.logs("gateway")
    for name in ("generator", "tokenizer"):
        stack.engine("kill", "--signal", "TERM", stack.container(name))
        assert stack.wait_exit(name) == 0, stack.logs(name)
        assert "Traceback" not in stack.logs(name)
