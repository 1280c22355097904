"""Milliseconds a frame on this machine: the engine and the codec of the services, a few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from csm.serving.process import cores
from services.generator import loading
from services.generator.engine.engine import Engine
from services.generator.engine.runner import Runner
from services.generator.settings import GeneratorSettings
from services.generator.step_time import step_times_s, text_prompt
from services.tokenizer.loading import load_codec
from services.tokenizer.native.directions import NativeDirection
from services.tokenizer.native.select import LARGE_PARAMETERS, directions, weights_for
from services.tokenizer.settings import TokenizerSettings

PROMPT_POSITIONS = 16
STEPS = 30
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class ModelTimes:
    """The generator's milliseconds a step, by turns at once; those that were too slow to be of use
    with more are not measured with more."""

    dtype: str
    device: str
    threads: int
    load_s: float
    frame_ms: float
    step_ms: dict[int, float]


@dataclass(frozen=True)
class CodecTimes:
    """The tokenizer's milliseconds a frame, by streams at once."""

    threads: int
    decode_ms: dict[int, float]
    encode_ms: dict[int, float]


def model_times(settings: GeneratorSettings, turns: Sequence[int], within_s: float) -> ModelTimes:
    """Load the model and run real turns of the real engine.

    Args:
        settings: of the generator; model, device, dtype, native, threads are read.
        turns: at once, ascending.
        within_s: for all of them; loading is beside that.

    Raises:
        FailedPrecondition: as `loading.load`.
        StepError: the model failed.
    """
    began = time.monotonic()
    loaded = loading.load_for(settings)
    load_s = time.monotonic() - began
    config = loaded.model.config
    most = config.backbone.max_positions
    positions = min(most, PROMPT_POSITIONS + STEPS + max(turns) + 2)
    prompt = text_prompt(
        loaded.tokenizer.vocab_size, min(PROMPT_POSITIONS, positions // 2), config.num_codebooks
    )

    async def run() -> dict[int, float]:
        runner = Runner(loaded.model, max(turns), positions, settings.prefill_chunk)
        engine = Engine(
            runner, max_queue=0, prepare=partial(loading.use_threads, loaded, settings.threads)
        )
        engine.start()
        step_ms: dict[int, float] = {}
        measure = partial(step_times_s, engine, prompt, loaded.defaults.sampling)
        try:
            await measure(1, steps=WARM_UP_STEPS)
            for count in turns:
                gaps_s = await measure(count, steps=STEPS, within_s=within_s / len(turns))
                if not gaps_s:
                    break
                step_ms[count] = 1000 * undisturbed(gaps_s)
                # Further ones would only be slower, and of a large model take minutes.
                if step_ms[count] > loaded.frame_ms:
                    break
        finally:
            await engine.stop()
        return step_ms

    return ModelTimes(
        dtype=loaded.dtype_name,
        device=loaded.model.device.type,
        threads=loading.threads_for(loaded.description.parameters, settings.threads),
        load_s=load_s,
        frame_ms=loaded.frame_ms,
        step_ms=asyncio.run(run()),
    )


def codec_times(settings: TokenizerSettings, streams: Sequence[int], within_s: float) -> CodecTimes:
    """Load the codec and run it, frame by frame, for so many streams at once.

    Raises:
        FailedPrecondition: as `load_codec`.
    """
    mimi = load_codec(settings.model, settings.device)
    parameters = sum(p.numel() for p in mimi.parameters())
    large = parameters >= LARGE_PARAMETERS
    threads = cores.threads_for(settings.threads, large=large, most=torch.get_num_threads())
    weights = weights_for(parameters, settings.dtype)
    encode, decode = directions(mimi, max(streams), settings.native, weights, threads=threads)
    each_s = within_s / (2 * len(streams))

    def run() -> list[dict[int, float]]:
        torch.set_num_threads(1 if isinstance(decode, NativeDirection) else threads)
        found: list[dict[int, float]] = []
        for one in (decode, encode):
            one.step(0, [one.silence(1)] * max(streams))
            times = {n: _step_ms(partial(one.step, 0, [one.silence(1)] * n), each_s)
                     for n in streams}  # fmt: skip
            found.append(times)
        return found

    # Torch's number of threads is the thread's own; a native codec brings its own ones.
    with ThreadPoolExecutor(1, "codec") as worker:
        decode_ms, encode_ms = worker.submit(run).result()
    return CodecTimes(threads, decode_ms, encode_ms)


def _step_ms(step: Callable[[], object], within_s: float) -> float:
    times: list[float] = []
    until = time.perf_counter() + within_s
    while not times or (len(times) < STEPS and time.perf_counter() < until):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return 1000 * undisturbed(times)


def undisturbed(times: Sequence[float]) -> float:
    """Return the first quartile: a neighbour on the machine makes a step longer, never shorter."""
    return float(np.percentile(times, 25))
