"""Freed memory is kept, and given back when asked."""

import subprocess
import sys

import pytest

_PROGRAM = """
import numpy as np
from services.native.malloc import give_back
from training.memory import keep_freed_memory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

keep_freed_memory()
before = resident_mb()
kept = []
for number in range(40):
    large = np.ones(2_000_000 + number)
    kept.append(np.ones(5000))
    del large
many = [np.ones(2_000_000) for _ in range(10)]
kept.append(np.ones(5000))
del many
held = resident_mb() - before
give_back()
print(held, resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_what_is_freed_is_kept_until_it_is_released() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    held_mb, left_mb = map(float, done.stdout.split())
    assert held_mb > 100
    assert left_mb < held_mb / 3
