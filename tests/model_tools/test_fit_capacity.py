"""How many conversations, from milliseconds a frame: by hand."""

import math

import pytest

from services.model_tools.fit.capacity import (
    SERVING_MS,
    between,
    generator_capacity,
    together_capacity,
)


def test_between_two_measured_ones_lies_a_line() -> None:
    measured = {1: 10.0, 4: 40.0, 8: 48.0}
    assert [between(measured, n) for n in (1, 3, 4, 6, 8)] == [10, 30, 40, 44, 48]


@pytest.mark.parametrize(
    ("step_ms", "conversations", "is_least"),
    [
        # 64 ms of the 80 may be used.
        ({1: 90.0}, 0, False),
        ({1: 65.0, 2: 66.0}, 0, False),
        ({1: 64.0, 2: 65.0}, 1, False),
        ({1: 10.0, 8: 80.0}, 6, False),
        ({1: 5.0, 8: 20.0}, 8, True),
        ({}, 0, False),
    ],
)
def test_a_generator_serves_what_fits_into_a_frame(
    step_ms: dict[int, float], conversations: int, is_least: bool
) -> None:
    found = generator_capacity(step_ms, 80.0)
    assert (found.conversations, found.is_least) == (conversations, is_least)
    if step_ms and not conversations:
        assert found.frame_used_ms == step_ms[1]
    if not step_ms:
        assert math.isnan(found.frame_used_ms)


def test_together_the_slower_one_or_the_cores_are_the_limit() -> None:
    model, codec = {1: 10.0, 16: 160.0}, {1: 4.0, 16: 64.0}

    def together(cores: int, threads: int = 1) -> int:
        return together_capacity(
            model, codec, 80.0, generator_threads=threads, tokenizer_threads=1, cores=cores
        ).conversations

    # Cores enough: the model's 10 ms each.
    assert together(8) == 6
    # One core for both: 10 + 4 ms each, and what serving takes.
    assert together(1) == int(64 / (14 + SERVING_MS))
    # Threads beyond the cores do not count: both cores for a step of the model.
    assert together(2, threads=8) == int(64 / ((20 + 4 + SERVING_MS) / 2))
