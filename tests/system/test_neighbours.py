"""What the worst callers do to the next one: nothing. Real processes, the voice that ships."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import soundfile
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm.v1 import common_pb2, speech_pb2, speech_pb2_grpc
from tests.system.conftest import PICO, ROOT
from tests.system.test_processes import free_ports

FIRST_AUDIO_BAR_S = 3.0
CALM_WAITS = 3
"""Of a caller alone, so many times his wait are allowed beside the bar: a busy machine is slow with
everybody."""
LONG_TEXT = "The river ran slowly past the old mill and the tall green trees. " * 20


class TwoGenerators:
    """A gateway over a tokenizer and two generators of four slots, as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tokenizer, first, second, self.gateway = free_ports(4)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        model = ["--model", str(PICO), "--threads", "1"]
        self._start("tokenizer", "services.tokenizer", tokenizer, model)
        for name, port in (("first", first), ("second", second)):
            self._start(name, "services.generator", port, [*model, "--slots", "4"])
        generators = f"ipv4:127.0.0.1:{first},127.0.0.1:{second}"
        targets = ["--tokenizer-target", f"127.0.0.1:{tokenizer}", "--generator-target", generators]
        self._start("gateway", "gateway", self.gateway, targets)
        for port, service in (
            (tokenizer, "csm.v1.TokenizerService"),
            (first, "csm.v1.GeneratorService"),
            (second, "csm.v1.GeneratorService"),
            (self.gateway, "csm.v1.SpeechService"),
        ):
            self._wait(port, service)

    def _start(self, name: str, module: str, port: int, flags: list[str]) -> None:
        command = [sys.executable, "-m", module, "--port", str(port), "--metrics-port", "0", *flags]
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def _wait(self, port: int, service: str) -> None:
        until = time.monotonic() + 120
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while time.monotonic() < until:
                try:
                    answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=2)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                except grpc.RpcError:
                    pass
                time.sleep(0.2)
        logs = "\n".join(p.read_text()[-2000:] for p in self.folder.glob("*.log"))
        raise AssertionError(f"{service} did not become ready:\n{logs}")

    def close(self) -> None:
        for process in self.processes.values():
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[TwoGenerators]:
    running = TwoGenerators(tmp_path)
    yield running
    running.close()


def bomb() -> bytes:
    """Half an hour of silence in some dozens of kilobytes."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(30 * 60 * 48_000, np.int16), 48_000, format="FLAC")
    return file.getvalue()


def first_audio_s(stub: speech_pb2_grpc.SpeechServiceStub, conversation_id: str) -> float:
    """Seconds to the first audio of an utterance that is spoken to its end."""
    began = time.monotonic()
    request = speech_pb2.SynthesizeRequest(
        text="Can anybody hear me?", conversation_id=conversation_id
    )
    waited_s, kinds = 0.0, []
    for answer in stub.Synthesize(request, timeout=20):
        kinds.append(answer.WhichOneof("response"))
        if kinds[-1] == "audio" and not waited_s:
            waited_s = time.monotonic() - began
    assert waited_s
    assert kinds[-1] == "completed"
    return waited_s


@pytest.mark.alone
def test_the_worst_callers_at_once_do_not_keep_the_next_from_its_first_audio(
    system: TwoGenerators,
) -> None:
    target = f"127.0.0.1:{system.gateway}"
    # Formats as wide as they come, so that what is not read stands still soon.
    wide = common_pb2.AudioFormat(
        encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=192_000, channels=6
    )
    channels = [grpc.insecure_channel(target, options=[("x", n)]) for n in range(8)]
    stubs = [speech_pb2_grpc.SpeechServiceStub(c) for c in channels]
    refusals: dict[str, grpc.StatusCode] = {}

    def refused(name: str, request: speech_pb2.SynthesizeRequest, number: int) -> None:
        began = time.monotonic()
        try:
            list(stubs[number].Synthesize(request, timeout=20))
        except grpc.RpcError as error:
            refusals[name] = error.code()
        refusals_s[name] = time.monotonic() - began

    refusals_s: dict[str, float] = {}
    calm_s = min(first_audio_s(stubs[6], f"calm {number}") for number in range(3))
    standing = [
        stub.Synthesize(speech_pb2.SynthesizeRequest(text=LONG_TEXT, format=wide))
        for stub in stubs[:4]
    ]
    for call in standing:
        next(call)
    os.kill(system.processes["first"].pid, signal.SIGSTOP)
    file = speech_pb2.ContextTurn(text="silence", audio_file=bomb())
    callers = [
        threading.Thread(
            target=refused,
            args=("cyrillic", speech_pb2.SynthesizeRequest(text="Привет, мир."), 4),
        ),
        threading.Thread(
            target=refused,
            args=("bomb", speech_pb2.SynthesizeRequest(text="Hello.", context=[file]), 5),
        ),
    ]
    for caller in callers:
        caller.start()
    waits_s = []
    for number in range(4):
        waits_s.append(first_audio_s(stubs[6], f"fifth {number}"))
    for caller in callers:
        caller.join(30)
    for call in standing:
        call.cancel()
    for channel in channels:
        channel.close()
    assert max(waits_s) < FIRST_AUDIO_BAR_S + CALM_WAITS * calm_s, (waits_s, calm_s)
    assert refusals == {
        "cyrillic": grpc.StatusCode.INVALID_ARGUMENT,
        "bomb": grpc.StatusCode.INVALID_ARGUMENT,
    }
