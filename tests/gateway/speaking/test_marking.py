"""Marking in a thread: order, what is known of each piece, and closed whenever it fails."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from csm import errors
from gateway.speaking import marking
from gateway.speaking.marking import Marked
from tests.gateway.sound import spread


class Out:
    def __init__(self, watermark: Any) -> None:
        self.pieces: list[tuple[np.ndarray, int, int]] = []
        self.errors: list[errors.ServiceError] = []
        self.taken = 0
        self.marked = Marked(watermark, 24_000, self.sound, self.took, self.errors.append)

    def sound(self, samples: np.ndarray, num_frames: int, text_chars: int) -> None:
        self.pieces.append((samples, num_frames, text_chars))

    def took(self) -> None:
        self.taken += 1


async def test_pieces_come_out_in_order_with_what_is_known_of_them() -> None:
    out = Out(spread.make("k"))
    for number in range(1, 6):
        out.marked.feed(np.full(1000, number / 10, np.float32), number, 10 * number)
    assert out.marked.pending
    while out.marked.pending:
        assert out.taken == 0
        await asyncio.sleep(0.001)
    # It may go on holding some back: who gives credit for what was put is told.
    assert out.taken == 1
    await out.marked.finish()
    whole = np.concatenate([samples for samples, _, _ in out.pieces])
    assert len(whole) == 5000
    at = 0
    for samples, num_frames, text_chars in out.pieces:
        number = at // 1000 + 1
        assert (num_frames, text_chars) == (number, 10 * number)
        assert np.abs(samples - number / 10).max() == pytest.approx(spread.LEVEL, rel=1e-3)
        at += len(samples)
    assert out.errors == []


async def test_nothing_comes_after_a_failure() -> None:
    out = Out(spread.make_broken("k"))
    out.marked._watermark.stream(24_000)  # type: ignore[attr-defined]
    for number in range(1, 9):
        out.marked.feed(np.zeros(1000, np.float32), number, 0)
    await out.marked.finish()
    assert sum(len(samples) for samples, _, _ in out.pieces) <= 2000
    (error,) = out.errors
    assert isinstance(error, errors.Internal)
    out.marked.feed(np.zeros(1000, np.float32), 9, 0)
    await asyncio.sleep(0.02)
    assert len(out.errors) == 1
    assert not out.marked.pending


async def test_a_watermark_that_hangs_fails_and_holds_up_no_one_who_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    class Hanging(spread.Spread):
        def stream(self, rate_hz: int) -> Any:
            released.wait(10)
            return super().stream(rate_hz)

    try:
        stopped = Out(Hanging("k"))
        stopped.marked.feed(np.zeros(100, np.float32), 1, 0)
        await asyncio.sleep(0.01)
        stopped.marked.stop()
        await asyncio.wait_for(stopped.marked.finish(), 1)
        assert stopped.errors == []
        monkeypatch.setattr(marking, "CHUNK_TIMEOUT_S", 0.05)
        late = Out(Hanging("k"))
        late.marked.feed(np.zeros(100, np.float32), 1, 0)
        await asyncio.wait_for(late.marked.finish(), 1)
        assert len(late.errors) == 1
        assert late.pieces == []
    finally:
        released.set()
