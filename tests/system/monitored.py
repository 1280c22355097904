"""A running system under load, and a real Prometheus that scrapes it and has our rules loaded."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from csm import errors
from csm.client import AudioChunk, Client, TurnCompleted
from csm.client.retry import RetryPolicy
from csm.serving.metrics import Metrics
from csm.serving.process.endpoint import Endpoint
from deploy.prometheus.operator import RULES
from tests.certificates import Certificates
from tests.gateway.conversations.redis.server import PROGRAM, redis_server
from tests.system.conftest import PICO, BackgroundStack
from tests.system.test_processes import free_ports

TEXT = "The evening train was late again."
SCRAPE_S = 0.5
STREAMS = 3
"""Turns that the gateway speaks at once: few, so that some are refused."""


class Prometheus:
    """A server of its own in a folder."""

    def __init__(self, folder: Path, targets: dict[str, int], *flags: str) -> None:
        """`targets`: metrics ports by job; `flags`: of its command line.

        Raises `AssertionError` where it does not start.
        """
        (self._port,) = free_ports(1)
        config = {
            "global": {
                "scrape_interval": f"{SCRAPE_S * 1000:.0f}ms",
                "scrape_timeout": f"{SCRAPE_S * 1000:.0f}ms",
                "evaluation_interval": "1s",
            },
            "rule_files": [f"{RULES}/*.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                for job, port in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        program = shutil.which("prometheus")
        assert program is not None
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                *flags,
            ],
            stdout=self._log,
            stderr=self._log,
        )
        self.url = f"http://127.0.0.1:{self._port}"
        until = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < until, "Prometheus does not answer"
            time.sleep(0.1)

    def get(self, path: str, **parameters: Any) -> Any:
        """The data of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, query: str) -> list[float]:
        """The values of an instant query."""
        found = self.get("query", query=query)["result"]
        return [float(one["value"][1]) for one in found]

    def close(self) -> None:
        """Ends it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        self._log.close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).status == 200
        return False


def speak(client: Client, conversation_id: str) -> None:
    """Three turns of a conversation, one heard between them, the last one interrupted; before it a
    sentence that cannot be said, and a request that is wrong."""
    client.synthesize(f"{TEXT} Привет.", max_lead_ms=200).read_all()
    with contextlib.suppress(errors.InvalidArgument):
        client.synthesize("", format="mulaw").read_all()
    with client.converse(conversation_id=conversation_id, max_lead_ms=400) as conversation:
        conversation.say(TEXT)
        conversation.end_turn()
        _until_completed(conversation)
        tone = np.sin(np.arange(12_000) * 0.06).astype(np.float32) * 0.2
        conversation.send_audio(tone)
        conversation.end_turn("How late was it?")
        _until_completed(conversation)
        conversation.say("It was very late.")
        conversation.end_turn()
        _until_completed(conversation)
        conversation.say(f"{TEXT} {TEXT}")
        conversation.end_turn()
        _until_completed(conversation, interrupt=True)


def _until_completed(conversation: Any, *, interrupt: bool = False) -> None:
    for event in conversation:
        if isinstance(event, TurnCompleted):
            return
        if interrupt and isinstance(event, AudioChunk):
            conversation.cancel(heard_ms=80)
            interrupt = False


class Load:
    """Callers that speak on threads of their own until it is closed; a failure is raised there."""

    def __init__(self, address: str, callers: int, authority: Path) -> None:
        self._ending = threading.Event()
        self._failures: list[BaseException] = []
        self.rounds = 0
        self._threads = [
            threading.Thread(target=self._call, args=(address, index, authority))
            for index in range(callers)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends the callers; raises what went wrong with one."""
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
        if self._failures:
            raise self._failures[0]

    def _call(self, address: str, index: int, authority: Path) -> None:
        try:
            retry = RetryPolicy(max_attempts=1)
            with Client(address, root_certificates=authority, retry=retry) as client:
                while not self._ending.is_set():
                    try:
                        speak(client, f"load-{index}-{self.rounds % 4}")
                        self.rounds += 1
                    except errors.QueueFull:
                        self._ending.wait(0.2)
        except BaseException as error:
            self._failures.append(error)


@contextlib.contextmanager
def monitored(folder: Path, callers: int = STREAMS + 2) -> Iterator[tuple[Prometheus, Load]]:
    """The system, its Prometheus, and callers, until the block is left. Without redis-server
    conversations are kept in the process."""
    with contextlib.ExitStack() as held:
        files = Certificates(folder / "certificates")
        gateway: dict[str, object] = {"max_streams": STREAMS, **files.settings()}
        if PROGRAM is not None:
            gateway["store_url"] = held.enter_context(redis_server()).url
        metrics = Metrics().with_process()
        endpoint = Endpoint(metrics, "127.0.0.1", 0)
        held.callback(endpoint.close)
        prometheus = Prometheus(folder, {"gateway": endpoint.port})
        held.callback(prometheus.close)
        stack = BackgroundStack(model=PICO, slots=8, threads=1, gateway=gateway, metrics=metrics)
        held.callback(stack.close)
        load = Load(stack.stack.address, callers, files.ca)
        held.callback(load.close)
        yield prometheus, load


def filled(query: str) -> str:
    """A panel's query with what Grafana would put in."""
    query = query.replace("$__rate_interval", "1m")
    return re.sub(r"\$(gateway|generator|tokenizer)", ".*", query)


def without_thresholds(query: str) -> str:
    """A query that answers whether or not its comparisons hold, if all that it names is there."""
    query = re.sub(r"\babsent\(([^()]*)\)", r"\1", query).replace(" unless ", " and ")
    return re.sub(r" (>|<|==) ", r" \1 bool ", query)


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in that time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True
