"""How long a training has trained."""

import pytest
import torch

from training import clock
from training.clock import training_clock


def test_time_on_a_cpu_is_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock.time, "process_time", lambda: 60.0)
    monkeypatch.setattr(clock.torch, "get_num_threads", lambda: 2)
    assert training_clock(torch.device("cpu"))() == 30.0
    monkeypatch.setattr(clock.time, "monotonic", lambda: 7.0)
    assert training_clock(torch.device("cuda"))() == 7.0
