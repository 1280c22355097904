"""How many conversations speak in real time at once, from milliseconds a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

USED_SHARE = 0.8
"""Of a frame's time that steps may take: the rest is for prefill, for longer contexts than those
measured, and for what else the machine does."""
SERVING_MS = 1.0
"""CPU of a frame beside model and codec, of one conversation, with all services in one process:
gRPC, queues, pacing. The gateway's is 0.47 ms (docs/performance.md); as much is taken for the two
others together, which is not measured."""


@dataclass(frozen=True)
class Capacity:
    """Conversations that speak at once. `is_least`: as many were measured, and more may do."""

    conversations: int
    frame_used_ms: float
    is_least: bool = False


def generator_capacity(step_ms: Mapping[int, float], frame_ms: float) -> Capacity:
    """Of a generator with a machine like this for itself."""
    return _capacity(lambda n: between(step_ms, n), max(step_ms, default=0), frame_ms)


def together_capacity(
    step_ms: Mapping[int, float],
    decode_ms: Mapping[int, float],
    frame_ms: float,
    *,
    generator_threads: int,
    tokenizer_threads: int,
    cores: int,
) -> Capacity:
    """Of all services on this machine.

    Generator and codec work at the same time, each in threads of its own: a frame takes what the
    slower one takes, or what all of them ask of the cores, whichever is more.
    """

    def used_ms(n: int) -> float:
        step, decode = between(step_ms, n), between(decode_ms, n)
        asked = step * min(cores, generator_threads) + decode * min(cores, tokenizer_threads)
        return max(step, decode, (asked + SERVING_MS * n) / cores)

    most = min(max(step_ms, default=0), max(decode_ms, default=0))
    return _capacity(used_ms, most, frame_ms)


def between(measured: Mapping[int, float], n: int) -> float:
    """What was measured at `n`, or lies on a line between its neighbours."""
    if n in measured:
        return measured[n]
    below = max(k for k in measured if k < n)
    above = min(k for k in measured if k > n)
    share = (n - below) / (above - below)
    return measured[below] + share * (measured[above] - measured[below])


def _capacity(used_ms: Callable[[int], float], most: int, frame_ms: float) -> Capacity:
    room_ms = USED_SHARE * frame_ms
    count, used = 0, 0.0
    while count < most and (next_ms := used_ms(count + 1)) <= room_ms:
        count, used = count + 1, next_ms
    if not count:
        return Capacity(0, used_ms(1) if most else float("nan"))
    return Capacity(count, used, is_least=count == most)
