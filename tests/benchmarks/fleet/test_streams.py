"""Simulated services behind real gateway processes."""

import pytest

from benchmarks.fleet.stack import REDIS, StackOptions
from benchmarks.fleet.streams import Phases, measure


async def test_twenty_conversations_through_two_real_gateways() -> None:
    options = StackOptions(
        gateways=2,
        generators=2,
        tokenizers=1,
        slots=16,
        step_ms=10.0,
        redis=REDIS is not None,
        streams=20,
    )
    phases = Phases(measured_s=3.0, warm_up_s=0.2, idle_s=0.2)
    (told,) = await measure(options, [8], phases, lead_ms=0)
    assert told["turns"] > 0
    assert told["failed"] == told["refused"] == told["failovers"] == 0
    assert told["frames_per_s"] > 8
    assert told["first_audio_ms"]["p50"] > 0
    kinds = {"gateway", "generator", "tokenizer", "client"} | ({"redis"} if REDIS else set())
    assert set(told["cpu_cores"]) == kinds
    assert told["cpu_cores"]["gateway"] > 0
    assert told["gateway_rss_mb_empty"] > 20


@pytest.mark.slow
async def test_turns_that_a_generator_fails_go_on_elsewhere() -> None:
    options = StackOptions(
        generators=3, tokenizers=1, step_ms=5.0, fail_share=0.3, redis=False, streams=6
    )
    phases = Phases(measured_s=3.0, warm_up_s=0.1, idle_s=0.1)
    (told,) = await measure(options, [6], phases, lead_ms=0)
    assert told["turns"] > 0
    assert told["failovers"] > 0
