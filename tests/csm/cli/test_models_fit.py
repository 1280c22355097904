"""`csm models fit`: what it tells is what the services count, measure and take as settings."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from csm.serving.process import memory
from csm.serving.process.memory import MemoryLimit
from services.all_in_one import AllInOne
from tests.csm.cli.conftest import PICO, Csm

FAST = ("--seconds", "0.5", "--threads", "1")


def told(csm: Csm, *arguments: object) -> dict[str, object]:
    result = csm("models", "fit", PICO, *FAST, "--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


async def test_its_memory_is_what_serve_counts(csm: Csm) -> None:
    found = await asyncio.to_thread(told, csm, "--slots", "3", "--dtype", "int8")
    (int8,) = found["dtypes"]  # type: ignore[misc]
    parts = dict(int8["memory"]["3"]["parts"])
    async with AllInOne(
        model=PICO, slots=3, dtype="int8", threads=1, gateway={"http_port": 0}
    ) as stack:
        counted = dict(stack.metrics.memory_bytes)
    # The one that is measured at the moment.
    assert parts.pop("process") > 0
    counted.pop("process")
    assert parts == counted


def test_all_weight_types_are_measured_and_what_to_set_is_told(csm: Csm) -> None:
    found = told(csm, "--slots", "2")
    dtypes = found["dtypes"]
    assert isinstance(dtypes, list)
    assert [one["dtype"] for one in dtypes] == ["float32", "bfloat16", "int8"]
    for one in dtypes:
        assert one["times"]["dtype"] == one["dtype"]
        assert set(one["times"]["step_ms"]) <= {"1", "2"}
        assert all(ms > 0 for ms in one["times"]["step_ms"].values())
        each = one["memory"]["2"]
        certain = {k: v for k, v in each["parts"].items() if "generator" in k or k == "process"}
        assert each["generator_bytes"] == sum(certain.values())
    weights = [one["memory"]["1"]["parts"]["generator weights"] for one in dtypes]
    assert weights == sorted(weights, reverse=True)
    codec = found["codec"]
    assert isinstance(codec, dict)
    assert set(codec["decode_ms"]) == set(codec["encode_ms"]) == {"1", "2"}
    advice = found["advice"]
    assert isinstance(advice, dict)
    assert advice["settings"]["CSM_GENERATOR_DTYPE"] in ("float32", "bfloat16", "int8")
    assert advice["limits_bytes"]["generator"] % (256 << 20) == 0


def test_what_it_says_to_set_is_taken_as_settings(
    csm: Csm, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = told(csm, "--slots", "2", "--dtype", "bf16")["advice"]
    assert isinstance(advice, dict)
    for name, value in advice["settings"].items():
        monkeypatch.setenv(name, value)
    printed = csm("serve", "--print-config")
    assert printed.exit_code == 0, printed.output
    settings = json.loads(printed.stdout)
    assert settings["generator"]["dtype"] == "bfloat16"
    assert settings["generator"]["slots"] == int(advice["settings"]["CSM_GENERATOR_SLOTS"])
    streams = settings["tokenizer"]["max_streams"]
    assert streams >= settings["generator"]["slots"] + settings["generator"]["max_queue"]


def test_the_tables_name_both_limits_and_the_lines_to_copy(csm: Csm) -> None:
    result = csm("models", "fit", PICO, *FAST, "--slots", "2", "--dtype", "fp32")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stderr.split())
    for part in ("Memory, MiB", "float32", "codec, speaking", "Conversations that speak",
                 "CSM_GENERATOR_SLOTS=", "CSM_GENERATOR_MEMORY=", "Kubernetes"):  # fmt: skip
        assert part in text


def test_what_does_not_fit_the_memory_is_not_loaded_but_told(
    csm: Csm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "find_limit", lambda: MemoryLimit(64 << 20, "the limit"))
    found = told(csm, "--slots", "2", "--dtype", "int8")
    (int8,) = found["dtypes"]  # type: ignore[misc]
    assert int8["times"] is None
    assert "64 MiB are to be had" in int8["unmeasured"]
    text = csm("models", "fit", PICO, *FAST, "--slots", "2", "--dtype", "int8")
    assert "not measured: needs" in " ".join(text.stderr.split())
    assert "nothing could be measured" in text.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PICO, "--dtype", "fp8"), "--dtype: 'fp8' is not allowed, must be one of float32"),
        (("acme/voice-2b",), "csm models pull acme/voice-2b"),
        ((Path(__file__).parent,), "safetensors"),
    ],
)
def test_mistakes_are_one_line(csm: Csm, arguments: tuple[object, ...], message: str) -> None:
    result = csm("models", "fit", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
