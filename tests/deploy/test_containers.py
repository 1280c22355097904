"""The cpu profile, really run as compose.yaml says: `make test-containers` builds the images first.

Redis and Prometheus are Debian's where their images cannot be pulled; Grafana is left out then.
"""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

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


def asked(stack: Stack, path: str) -> Any:
    """What the stack's Prometheus answers."""
    with urllib.request.urlopen(f"http://{stack.published('prometheus', 9090)}{path}") as answer:
        return json.load(answer)["data"]


def test_the_whole_profile_runs(stack: Stack) -> None:
    assert {*SERVICES, "redis", "prometheus"} <= set(stack.images)
    assert set(stack.missing) <= {"grafana"}


def test_prometheus_scrapes_the_containers_and_has_the_rules(stack: Stack) -> None:
    wanted = {service.full_name: "1" for service in SERVICES.values()}

    def is_scraped() -> bool:
        found = asked(stack, "/api/v1/query?query=csm_ready")["result"]
        return {one["metric"]["grpc_service"]: one["value"][1] for one in found} == wanted

    assert stack.eventually(is_scraped), stack.logs("prometheus")
    rules = [rule for group in asked(stack, "/api/v1/rules")["groups"] for rule in group["rules"]]
    written = yaml.safe_load((DEPLOY / "prometheus" / "rules" / "alerts.yml").read_text())
    assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == {
        rule["alert"] for group in written["groups"] for rule in group["rules"]
    }
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}


def test_grafana_shows_the_dashboard_from_prometheus(stack: Stack) -> None:
    if "grafana" not in stack.images:
        pytest.skip("the image of Grafana cannot be had here")
    place = f"http://{stack.published('grafana', 3000)}"
    with urllib.request.urlopen(f"{place}/api/dashboards/uid/csm") as answer:
        assert json.load(answer)["dashboard"]["panels"]
    query = f"{place}/api/datasources/proxy/uid/prometheus/api/v1/query?query=csm_ready"
    with urllib.request.urlopen(query) as answer:
        assert json.load(answer)["status"] == "success"


def test_conversations_and_voices_outlive_the_gateway(stack: Stack) -> None:
    with Client(stack.address) as client:
        client.synthesize("Hello.", conversation_id="kept", max_audio_ms=1000).read_all()
        client.create_voice("kept", speaker=0)
    keys = stack.engine("exec", stack.container("redis"), "redis-cli", "keys", "csm:*").split()
    assert keys, "nothing of ours is in Redis"
    stack.replace("gateway")
    with Client(stack.address) as client:
        assert [turn.text for turn in client.get_conversation("kept").turns] == ["Hello."]
        assert "kept" in [voice.name for voice in client.list_voices()]


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
