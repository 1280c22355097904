"""The components `redis`, `redis-external`, `model-pull` and `voices-volume`."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import redis
import yaml
from typer.testing import CliRunner

from csm.cli.main import app
from tests.deploy import compose_file
from tests.deploy.facts import VERSION
from tests.deploy.manifests import (
    KUBERNETES,
    check_schemas,
    composed,
    container_of,
    find,
    of_kind,
    pod_of,
    rendered,
    variables,
)

PRODUCTION = "overlays/production"


def test_gateways_and_nobody_else_reach_the_redis_of_the_namespace() -> None:
    objects = composed("base", "redis")
    url = variables(container_of(objects, "gateway"))["CSM_GATEWAY_STORE_URL"]
    service = find(objects, "Service", "redis")
    (port,) = (each["port"] for each in service["spec"]["ports"])
    assert url.endswith(f"@redis:{port}/0")
    (rule,) = find(objects, "NetworkPolicy", "redis")["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}]
    (way,) = find(objects, "NetworkPolicy", "gateway-store")["spec"]["egress"]
    assert way["ports"] == rule["ports"] == [{"port": port}]
    assert find(objects, "StatefulSet", "redis")["spec"]["serviceName"] == "redis"
    (way,) = find(composed("base", "redis-external"), "NetworkPolicy", "gateway-store")["spec"][
        "egress"
    ]
    assert way == {"ports": [{"port": port}]}


def redis_arguments() -> list[str]:
    template = find(composed("base", "redis"), "StatefulSet", "redis")["spec"]["template"]
    (it,) = template["spec"]["containers"]
    return list(it["args"])


def test_redis_is_told_what_compose_tells_it() -> None:
    told = redis_arguments()
    assert told[:4] == ["redis-server", "/etc/redis/redis.conf", "--dir", "/data"]
    # Compose's has no password, and only the network around it: protected mode would refuse that.
    service = compose_file.load()["services"]["redis"]
    given = service["command"]
    assert given[:3] == ["redis-server", "--protected-mode", "no"]
    assert told[4:] == given[3:]
    (it,) = find(composed("base", "redis"), "StatefulSet", "redis")["spec"]["template"]["spec"][
        "containers"
    ]
    assert it["image"] == service["image"]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")
def test_redis_starts_from_these_arguments_and_wants_its_password(tmp_path: Path) -> None:
    (tmp_path / "redis.conf").write_text("requirepass secret\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    moved = {"/etc/redis/redis.conf": str(tmp_path / "redis.conf"), "/data": str(tmp_path)}
    arguments = [moved.get(each, each) for each in redis_arguments()]
    process = subprocess.Popen(
        [*arguments, "--bind", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        with redis.Redis(port=port, password="secret") as client:
            deadline = time.monotonic() + 10
            while True:
                try:
                    assert client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        process.terminate()
        process.wait(10)


def test_the_job_fetches_a_model_to_where_the_services_look_for_it() -> None:
    objects = composed("base", "model-volume", "model-pull")
    (job,) = of_kind(objects, "Job")
    (it,) = job["spec"]["template"]["spec"]["containers"]
    program, *arguments = it["command"]
    assert program == "csm"
    # The words are those of the command: one that it does not know is refused before anything.
    done = CliRunner().invoke(app, [*arguments, "--help"])
    assert done.exit_code == 0
    assert "Fetch a model from the Hugging Face hub" in done.output
    assert arguments[-2] == "--output"
    for name in ("tokenizer", "generator"):
        told = variables(container_of(objects, name))
        assert told[f"CSM_{name.upper()}_MODEL"] == arguments[-1]
    (mount,) = (each for each in it["volumeMounts"] if each["name"] == "models")
    assert arguments[-1].startswith(f"{mount['mountPath']}/")
    assert not mount.get("readOnly")
    assert it["env"][0]["name"] == "HF_TOKEN"


def test_the_job_runs_the_image_of_the_generator_whichever_that_is() -> None:
    (job,) = of_kind(rendered(PRODUCTION), "Job")
    (it,) = job["spec"]["template"]["spec"]["containers"]
    assert it["image"] == container_of(rendered(PRODUCTION), "generator")["image"]


def test_the_pod_to_copy_voices_with_is_one_that_the_namespace_admits() -> None:
    path = KUBERNETES / "components" / "voices-volume" / "copy.yaml"
    copy = yaml.safe_load(path.read_text())
    check_schemas((copy,))
    gateway = pod_of(composed("base", "voices-volume"), "gateway")
    assert copy["spec"]["securityContext"] == gateway["securityContext"]
    (container,) = copy["spec"]["containers"]
    assert container["securityContext"] == gateway["containers"][0]["securityContext"]
    assert container["image"] == f"csm-gateway:{VERSION}"
    (volume,) = copy["spec"]["volumes"]
    (same,) = (v for v in gateway["volumes"] if v["name"] == "voices")
    claim = volume["persistentVolumeClaim"]["claimName"]
    assert claim == same["persistentVolumeClaim"]["claimName"]
