"""Watching a stage, and its checkpoints."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from training import checkpoint
from training.watch import StopRequest, Watch


def test_figures_are_kept_over_runs_and_drawn(tmp_path: Path) -> None:
    for run in range(2):
        watch = Watch(tmp_path, "codec")
        with watch.running(100.0):
            for step in range(5):
                watch.log(5 * run + step, 5.0 * run + step, loss=1.0 / (1 + step), other=2.0)
    lines = [json.loads(t) for t in (tmp_path / "logs" / "codec.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(10))
    assert (tmp_path / "curves" / "codec.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert Watch(tmp_path, "codec").draw() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop(number: signal.Signals) -> None:
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = StopRequest()
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
    finally:
        for n, handler in handlers.items():
            signal.signal(n, handler)


def test_a_checkpoint_is_whole_or_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint.path_of(tmp_path, "codec")
    assert checkpoint.load(path) is None
    checkpoint.save(path, {"weights": torch.ones(3), "step": 1})

    def cut(state: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"weights": torch.zeros(3), "step": 2})
    state = checkpoint.load(path)
    assert state is not None
    assert state["step"] == 1
    assert torch.equal(state["weights"], torch.ones(3))
