"""A generator that starts takes no more of the memory, at any moment, than was said before."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from services.generator.model.config import TokenIds
from services.model_tools.making import byte_tokenizer
from tests.generator.sparse import sparse_model
from tests.generator.test_generator_memory import WIDE

MIB = 2**20
SPELLING = replace(WIDE, text_vocab_size=300, token_ids=TokenIds(256, 257, None, None, None))
"""For a tokenizer of bytes."""
TOLD_ABOVE_BYTES = 256 * MIB
"""What is said is not further above what is taken: of the process all pages are counted, those of
the libraries' files too, which the kernel takes back."""

# Memory of its own, the file's pages not counted: those the kernel takes back. From the moment at
# which the host asks what the model takes to the end of the warm-up.
_START = """
import asyncio, sys, threading
from csm.serving.process import memory
from csm.serving.metrics import Metrics
from services.generator.service import GeneratorService
from services.generator.settings import GeneratorSettings

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024

path, dtype, native = sys.argv[1:]
settings = GeneratorSettings(
    model=path, dtype=dtype, native=native, device="cpu", threads=1, slots=4
)
service = GeneratorService(settings, Metrics())
# As the host adds it up, and refuses what is above the limit.
parts = {"process": memory.resident_bytes()} | memory.of_service(
    service.name, service.memory_bytes()
)
told = memory.certain_bytes(parts)
peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.001):
        peak = max(peak, anonymous())

async def start():
    await service.start()
    await service.stop()

watching = threading.Thread(target=watch)
watching.start()
asyncio.run(start())
done.set()
watching.join()
print(peak, told)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("stored", "dtype", "native"),
    [
        ("BF16", "bfloat16", "required"),
        ("F32", "int8", "required"),
        ("F32", "bfloat16", "off"),
    ],
)
def test_the_peak_of_loading_is_not_above_what_was_said(
    stored: str, dtype: str, native: str, tmp_path: Path
) -> None:
    sparse_model(tmp_path, SPELLING, stored)
    byte_tokenizer().save(str(tmp_path / "tokenizer.json"))
    done = subprocess.run(
        [sys.executable, "-c", _START, str(tmp_path), dtype, native],
        capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak, told = map(int, done.stdout.split())
    assert peak < told
    assert told < peak + TOLD_ABOVE_BYTES
