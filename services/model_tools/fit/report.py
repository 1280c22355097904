"""The whole of `csm models fit`: memory, times, conversations, what to set."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from csm.errors import FailedPrecondition
from csm.serving.process import memory
from services.generator.loading import torch_dtype
from services.generator.model.hub import ModelDescription, describe
from services.model_tools.fit.advice import Advice, advise
from services.model_tools.fit.capacity import Capacity, generator_capacity, together_capacity
from services.model_tools.fit.machine import Machine, this_machine
from services.model_tools.fit.need import Need, need, settings_for
from services.model_tools.fit.times import CodecTimes, ModelTimes, codec_times, model_times

CPU_DTYPES = ("float32", "bfloat16", "int8")
GPU_DTYPES = ("float32", "bfloat16")
SLOTS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class DtypeFit:
    """A model in one weight type: what it needs by slots, and how fast it is, or why that was not
    measured."""

    dtype: str
    needs: dict[int, Need]
    times: ModelTimes | None = None
    alone: Capacity | None = None
    together: Capacity | None = None
    unmeasured: str = ""


@dataclass(frozen=True)
class Fit:
    """All that the command tells."""

    model: Path
    description: ModelDescription
    machine: Machine
    frame_ms: float
    codec: CodecTimes
    dtypes: tuple[DtypeFit, ...]
    advice: Advice


def fit(
    model: Path,
    *,
    slots: Sequence[int] = SLOTS,
    dtypes: Sequence[str] | None = None,
    device: str | None = None,
    threads: int | None = None,
    seconds: float = 10.0,
    say: Callable[[str], None] = lambda _: None,
) -> Fit:
    """Measure a model directory on this machine.

    Args:
        model: the directory.
        slots: turns at once to tell of.
        dtypes: weight types; None: all that the device has.
        device: as the services' setting.
        threads: as the services' setting.
        seconds: to measure in, beside loading.
        say: told what is under way.

    Raises:
        FailedPrecondition, ValueError: the model or a setting cannot be used; says why.
    """
    description = describe(model)
    counts = sorted({1, *slots})
    first, codec_settings = settings_for(
        model, dtype="auto", slots=1, device=device, threads=threads
    )
    on_gpu = _on_gpu(first.device)
    names = tuple(dtypes or (GPU_DTYPES if on_gpu else CPU_DTYPES))
    # Before anything of the model is here, as the services ask it.
    process = memory.resident_bytes()
    machine = this_machine()
    each_s = seconds / (len(names) + 1)
    say("measuring the codec")
    codec = codec_times(codec_settings, counts, each_s)
    found = []
    for name in names:
        needs = {
            count: need(process, *settings_for(
                model, dtype=name, slots=count, device=device, threads=threads
            ))
            for count in counts
        }  # fmt: skip
        if (reason := _too_large(needs[1], machine)) is not None:
            found.append(DtypeFit(name, needs, unmeasured=reason))
            continue
        say(f"loading and measuring {name}")
        settings, _ = settings_for(model, dtype=name, slots=1, device=device, threads=threads)
        try:
            times = model_times(settings, counts, each_s)
        except FailedPrecondition as error:
            found.append(DtypeFit(name, needs, unmeasured=error.message))
            continue
        # What it held is needed for the next.
        gc.collect()
        alone = generator_capacity(times.step_ms, times.frame_ms)
        together = together_capacity(
            times.step_ms,
            codec.decode_ms,
            times.frame_ms,
            generator_threads=times.threads,
            tokenizer_threads=codec.threads,
            cores=machine.cores,
        )
        found.append(DtypeFit(name, needs, times, alone, together))
    frame_ms = next((one.times.frame_ms for one in found if one.times), 80.0)
    auto = str(torch_dtype("auto", "cuda" if on_gpu else "cpu", description.parameters))
    advice = advise(
        model,
        [(one.dtype, one.times, one.together) for one in found if one.times and one.together],
        codec,
        auto=auto.removeprefix("torch."),
        process=process,
        device=device,
        threads=threads,
    )
    return Fit(model, description, machine, frame_ms, codec, tuple(found), advice)


def as_json(found: Fit) -> dict[str, Any]:
    """The same as plain values; sizes in bytes."""
    return {
        "model": str(found.model),
        "parameters": found.description.parameters,
        "frame_ms": found.frame_ms,
        "machine": asdict(found.machine),
        "codec": asdict(found.codec),
        "dtypes": [
            {
                "dtype": one.dtype,
                "memory": {
                    slots: {
                        "parts": each.parts,
                        "generator_bytes": each.generator_bytes,
                        "tokenizer_bytes": each.tokenizer_bytes,
                        "together_bytes": each.together_bytes,
                        "most_bytes": each.most_bytes,
                    }
                    for slots, each in one.needs.items()
                },
                "times": asdict(one.times) if one.times else None,
                "conversations": _number(one.together),
                "conversations_generator_alone": _number(one.alone),
                "unmeasured": one.unmeasured,
            }
            for one in found.dtypes
        ],
        "advice": {
            "dtype": found.advice.dtype,
            "conversations": found.advice.conversations,
            "step_ms": found.advice.step_ms,
            "settings": found.advice.settings,
            "limits_bytes": found.advice.limits_bytes,
        },
    }


def _number(capacity: Capacity | None) -> dict[str, Any] | None:
    return asdict(capacity) if capacity else None


def _too_large(needed: Need, machine: Machine) -> str | None:
    if needed.generator_bytes <= machine.room_bytes:
        return None
    return (
        f"needs {needed.generator_bytes / 2**20:.0f} MiB, "
        f"{machine.room_bytes / 2**20:.0f} MiB are to be had"
    )


def _on_gpu(device: str) -> bool:
    import torch

    return device == "cuda" or (device == "auto" and torch.cuda.is_available())
