"""Large tensors leave no holes behind while weights are packed."""

import subprocess
import sys

import pytest

_PROGRAM = """
import contextlib, sys
import numpy as np
from services.native.malloc import large_blocks_go_back

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

before, kept = resident_mb(), []
with large_blocks_go_back() if sys.argv[1] == "packing" else contextlib.nullcontext():
    # The first that is freed raises glibc's own threshold.
    large = np.ones(3_500_000)
    for number in range(8):
        large = [np.ones(2_000_000) for _ in range(4)]
        kept.append(np.ones(5000))
    del large
    print(resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_what_is_freed_while_weights_are_packed_is_given_back_at_once() -> None:
    left_mb = {
        way: float(
            subprocess.run(
                [sys.executable, "-c", _PROGRAM, way], capture_output=True, text=True, check=True
            ).stdout
        )
        for way in ("as ever", "packing")
    }
    assert left_mb["as ever"] > 50
    assert left_mb["packing"] < 10
