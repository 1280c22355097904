"""The service with real weights: pico over the wire, bad model directories, its own process."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import generate_latest
from safetensors.torch import load_file, save_file

from csm import channel
from csm.errors import FailedPrecondition
from csm.serving.metrics import Metrics
from csm.v1 import common_pb2, generator_pb2, generator_pb2_grpc
from services.generator.loading import load
from services.generator.main import build
from services.generator.model.generate import generate
from services.generator.model.prompt import PromptSegment, prompt_frames
from services.generator.settings import GeneratorSettings
from services.model_directory import default_model_directory
from tests.generator.grpc_harness import Stream, segment, serving
from tests.pico import BOOKS

PICO = default_model_directory()
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


async def test_pico_speaks_over_the_wire_as_in_the_plain_loop_whatever_else_runs() -> None:
    loaded = load(PICO, device="cpu", dtype="float32")
    rows = prompt_frames([PromptSegment(0, "hello there.")], loaded.tokenizer, BOOKS)
    expected = generate(
        loaded.model, rows, loaded.defaults.sampling, loaded.defaults.max_frames, 9
    ).numpy()
    async with serving(model=PICO, slots=4, device="cpu", dtype="float32") as server:
        turns = await asyncio.gather(
            *(server.speak("hello there.", sampling={"seed": 9}) for _ in range(2)),
            *(server.speak(f"number {index}.") for index in range(5)),
        )
        metrics = generate_latest(server.metrics.registry).decode()
        frames = sum(len(heard.codes) for heard in turns)
        await server.empty()
        assert server.sample("frames_generated_total") == frames
        assert server.sample("inter_frame_seconds_count") == frames - 7
        assert server.sample("time_to_first_frame_seconds_count") == 7
        assert server.sample("queue_time_seconds_count") == 7
        assert server.sample("generations_finished_total", reason="eos") == 7
        assert server.sample("prefix_frames_total", source="computed") > 7 * 10
        for phase in ("prefill", "backbone", "depth", "deliver"):
            assert server.sample("step_duration_seconds_sum", phase=phase) > 0
        assert server.sample("batch_size_sum") >= frames
        assert server.sample("slots") == 4
        info = {"model": "pico", "dtype": "float32", "device": "cpu"}
        assert server.metrics.registry.get_sample_value("csm_model_info", info) == 1
    assert "csm_generator_engine_heartbeat_timestamp_seconds 1." in metrics
    for heard in turns[:2]:
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_EOS
        np.testing.assert_array_equal(heard.codes, expected)


async def test_pico_continues_audio_and_says_how_many_segments_it_knows() -> None:
    async with serving(model=PICO, slots=2, device="cpu", threads=1) as server:
        info = await server.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
        limit = json.loads((PICO / "config.json").read_text()).get("max_context_segments")
        assert (info.max_context_segments if info.HasField("max_context_segments") else None) == (
            limit
        )
        assert (info.model, info.num_codebooks) == ("pico", BOOKS)
        assert info.sampling.temperature == pytest.approx(0.3)
        spoken = (await server.speak("good morning.", sampling={"seed": 1})).codes
        stream = await server.open(max_audio_ms=800)
        await stream.context(segment("good morning.", spoken[:8]))
        await stream.say("")
        heard = await stream.turn()
        await stream.end()
    assert heard.completed
    assert 0 < heard.completed.usage.generated_frames <= 10
    assert heard.completed.usage.prompt_frames == 5 + len("good morning.") + 8


async def test_the_service_is_alive_while_it_loads_and_while_it_runs() -> None:
    values: dict[str, Any] = {"model": PICO}
    service = build(GeneratorSettings(**values), Metrics())
    assert service.alive()
    await service.start()
    assert service.alive()
    await service.stop()
    assert not service.alive()


def engine_threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name == "csm-generator-engine"}


async def test_a_start_that_is_cancelled_leaves_no_engine_behind() -> None:
    others = engine_threads()
    values: dict[str, Any] = {"model": PICO, "slots": 1}
    start = asyncio.create_task(build(GeneratorSettings(**values), Metrics()).start())
    while not engine_threads() - others and not start.done():
        await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not engine_threads() - others


def copied(tmp_path: Path, drop: str | None = None, reshape: str | None = None) -> Path:
    directory = tmp_path / "broken"
    shutil.copytree(PICO, directory)
    tensors = load_file(directory / "lm.safetensors")
    if drop:
        del tensors[drop]
    if reshape:
        tensors[reshape] = tensors[reshape][:-1].contiguous()
    (directory / "lm.safetensors").unlink()
    save_file(tensors, directory / "lm.safetensors")
    return directory


async def failing(**settings: Any) -> str:
    service = build(GeneratorSettings(**settings), Metrics())
    with pytest.raises(FailedPrecondition) as error:
        await service.start()
    return error.value.message


async def test_a_model_directory_that_is_not_there_is_named() -> None:
    assert await failing(model="/no/such") == (
        "model: /no/such does not exist; it must be a model directory"
    )


async def test_a_missing_or_misshaped_tensor_is_named(tmp_path: Path) -> None:
    name = "backbone_model.layers.1.mlp.up_proj.weight"
    message = await failing(model=copied(tmp_path / "a", drop=name))
    assert name in message
    assert "missing" in message
    message = await failing(model=copied(tmp_path / "b", reshape=name))
    assert name in message
    assert "[895, 320]" in message
    assert "[896, 320]" in message


async def test_a_broken_tokenizer_config_or_limit_is_named(tmp_path: Path) -> None:
    directory = copied(tmp_path)
    (directory / "tokenizer.json").write_text("{")
    assert "tokenizer.json" in await failing(model=directory)
    shutil.copy(PICO / "tokenizer.json", directory)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"max_context_segments": -1}))
    assert "max_context_segments: -1" in await failing(model=directory)
    (directory / "config.json").write_text("[")
    assert "config.json" in await failing(model=directory)
    message = await failing(model=PICO, max_positions=4096)
    assert message == "max_positions: 4096 is not allowed; the model has 640"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
async def test_a_device_that_is_not_there_is_named() -> None:
    assert "cuda is not available" in await failing(model=PICO, device="cuda")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.generator", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_print_config_shows_flags_over_environment_over_defaults() -> None:
    done = run("--print-config", "--slots", "3", CSM_GENERATOR_SLOTS="5", CSM_GENERATOR_PORT="7")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert (shown["slots"], shown["port"], shown["metrics_port"]) == (3, 7, 9466)


@pytest.mark.parametrize(
    ("variable", "value"), [("SLOTS", "0"), ("DTYPE", "int3"), ("PREFILL_CHUNK", "-1")]
)
def test_a_wrong_setting_is_named_and_ends_the_process(variable: str, value: str) -> None:
    done = run(**{f"CSM_GENERATOR_{variable}": value})
    assert done.returncode == 2
    assert f"CSM_GENERATOR_{variable}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_cannot_be_loaded_ends_the_process_in_one_line() -> None:
    done = run("--model", "/no/such", "--port", "0", "--metrics-port", "0")
    assert done.returncode == 1
    assert "/no/such does not exist" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_process_of_its_own_serves_and_drains_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.generator", "--port", "0", "--metrics-port", "0"),
        *("--model", str(PICO), "--threads", "1", "--device", "cpu"),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr
        address = ""
        async with asyncio.timeout(60):
            while not address:
                line = (await process.stderr.readline()).decode()
                assert line, "the process ended before it was ready"
                if " ready on " in line:
                    address = line.split(" ready on ")[1].split()[0]
        async with channel.open_async(address) as opened:
            # grpc shares connections by address: where an earlier test's channel is left to a
            # server that once had this port, its failure and its pause count here too.
            stub = generator_pb2_grpc.GeneratorServiceStub(opened)
            stream = Stream(stub.Generate(wait_for_ready=True, timeout=60), BOOKS)
            await stream.config(sampling={"seed": 2})
            await stream.say("good morning.")
            await stream.turn(frames_only=1)
            process.send_signal(signal.SIGTERM)
            heard = await stream.turn()
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_EOS
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("codec", "frame_ms"),
    [
        ({"_frame_rate": 25}, 40.0),
        ({"frame_rate": 50.0}, 20.0),
        ({"_frame_rate": None, "frame_rate": 10}, 100.0),
        ({}, 80.0),
    ],
)
async def test_milliseconds_are_counted_in_frames_of_the_codec(
    tmp_path: Path, codec: dict[str, Any], frame_ms: float
) -> None:
    directory = tmp_path / "other"
    shutil.copytree(PICO, directory)
    config = json.loads((directory / "config.json").read_text())
    del config["codec_config"]["_frame_rate"]
    config["codec_config"].update(codec)
    (directory / "config.json").write_text(json.dumps(config))
    unending = common_pb2.Sampling(min_audio_ms=400)  # so that no seed ends it before its limit
    async with serving(model=directory, slots=1, device="cpu", threads=1) as server:
        heard = await server.speak("good morning to you all.", max_audio_ms=400, sampling=unending)
        assert heard.completed
        assert len(heard.codes) == 400 / frame_ms
        assert heard.completed.usage.audio_ms == 400


@pytest.mark.parametrize("rate_hz", [0, -1, "12.5", True, 5000])
async def test_a_frame_rate_that_cannot_be_is_refused(tmp_path: Path, rate_hz: object) -> None:
    directory = tmp_path / "other"
    shutil.copytree(PICO, directory)
    config = json.loads((directory / "config.json").read_text())
    config["codec_config"]["_frame_rate"] = rate_hz
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(FailedPrecondition, match=r"codec_config\._frame_rate: .* is not allowed"):
        load(directory, device="cpu")
