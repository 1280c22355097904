"""What a model takes is known before it is read, and loading it takes little more than that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from csm.serving.metrics import Metrics
from services.generator import bounds, loading
from services.generator.model import hub, weights
from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.reading import UnreadCsm
from services.generator.native.native_csm import NativeCsm
from services.generator.service import GeneratorService
from services.generator.settings import GeneratorSettings
from services.model_directory import default_model_directory
from tests.generator.sparse import sparse_model
from tests.generator.tiny import tiny_csm

WIDE = CsmConfig(
    backbone=LlamaConfig(
        layers=8, heads=16, kv_heads=4, width=1024, head_dim=64, ffn_width=4096, max_positions=64
    ),
    depth=LlamaConfig(
        layers=1, heads=2, kv_heads=2, width=64, head_dim=32, ffn_width=64, max_positions=4
    ),
    text_vocab_size=50,
    audio_vocab_size=16,
    num_codebooks=3,
    codebook_size=13,
)
"""Nearly all of it is eight equal layers: 126 million weights."""


# Memory of its own, the file's pages not counted: those the kernel takes back.
_MEASURE = """
import sys, threading, torch
from services.generator.native.select import accelerate
from services.generator.model.reading import UnreadCsm

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024

model = UnreadCsm(sys.argv[1], dtype=torch.bfloat16)
before, peak, done = anonymous(), 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.001):
        peak = max(peak, anonymous())

watching = threading.Thread(target=watch)
watching.start()
native = accelerate(model, "required", sys.argv[2], threads=1)
done.set()
watching.join()
print(peak - before, anonymous() - before, native.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", ["int8", pytest.param("bf16", marks=pytest.mark.slow)])
def test_loading_takes_what_is_packed_and_one_layer_more(kind: str, tmp_path: Path) -> None:
    sparse_model(tmp_path, WIDE)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path), kind],
        capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak, after, packed = map(int, done.stdout.split())
    layer = bounds._largest_part_bytes(WIDE, 2)
    whole = 2 * WIDE.backbone.layers * 15 * 2**20
    assert packed * 0.9 < after < packed + 64 * 2**20
    assert peak < packed + layer + 80 * 2**20
    # A model that is read whole and packed beside that is well above this.
    assert peak < 0.8 * (whole + packed)


def test_an_unread_model_is_the_model_part_by_part_and_as_a_whole(tmp_path: Path) -> None:
    original = tiny_csm()
    weights.save(original, tmp_path)
    unread = UnreadCsm(tmp_path)
    whole = unread.read()
    for name, parameter in original.named_parameters():
        assert torch.equal(whole.get_parameter(name), parameter), name
    assert {parameter.device.type for parameter in unread.model.parameters()} == {"meta"}

    def same(part: str) -> bool:
        return all(
            torch.equal(parameter, original.get_parameter(name))
            for name, parameter in unread.model.named_parameters()
            if name.startswith(part)
        )

    for part in ("backbone.layers.0", "backbone.layers.1", "depth.llama", "lm_head"):
        with unread.part(unread.model.get_submodule(part)):
            assert same(part), part
            there = {n for n, p in unread.model.named_parameters() if p.device.type == "cpu"}
            assert {name.startswith(part) for name in there} == {True}
    with unread.part(unread.model.depth, recurse=False):
        assert torch.equal(unread.model.depth.heads, original.depth.heads)
    audio, text = unread.embeddings()
    assert torch.equal(audio, original.audio_embeddings)
    assert torch.equal(text, original.text_embeddings)
    assert {parameter.device.type for parameter in unread.model.parameters()} == {"meta"}


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_a_native_model_is_the_same_read_part_by_part(kind: str, tmp_path: Path) -> None:
    original = tiny_csm()
    weights.save(original, tmp_path)

    def state(model: NativeCsm) -> Tensor:
        frames = torch.arange(5 * (model.config.num_codebooks + 1)).view(5, -1) % 7
        return model.prefill(frames, 0, 0, model.allocate_cache(1, 8))

    ours = NativeCsm(UnreadCsm(tmp_path), kind, threads=1)  # type: ignore[arg-type]
    theirs = NativeCsm(original, kind, threads=1)  # type: ignore[arg-type]
    assert torch.equal(state(ours), state(theirs))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_weights_and_cache_take_what_was_said(dtype: str) -> None:
    path = default_model_directory()
    settings = GeneratorSettings(model=path, dtype=dtype, slots=3, max_positions=100, device="cpu")  # type: ignore[arg-type]
    told = bounds.memory_bytes(hub.describe(path), settings)
    loaded = loading.load(path, device="cpu", dtype=dtype, native="required", threads=1)  # type: ignore[arg-type]
    native = loaded.model
    assert isinstance(native, NativeCsm)
    tables = native._packed._audio.nbytes + native._packed._text.nbytes
    assert told["weights"] == pytest.approx(native.nbytes + tables, rel=0.05)
    cache = native.allocate_cache(3, 100)
    assert told["KV cache"] == cache.keys.nbytes + cache.values.nbytes


def test_csm_1b_fits_the_limits_that_deployments_give_it(tmp_path: Path) -> None:
    sparse_model(tmp_path, CsmConfig.named("csm-1b"))
    described = hub.describe(tmp_path)

    def total(dtype: str) -> int:
        settings = GeneratorSettings(device="cpu", dtype=dtype)  # type: ignore[arg-type]
        return sum(bounds.memory_bytes(described, settings).values())

    sums = {dtype: total(dtype) for dtype in ("auto", "int8", "float32")}
    assert sums["auto"] < 3.7 * 2**30
    assert sums["int8"] < 2.5 * 2**30
    assert sums["float32"] > 6 * 2**30


def test_a_service_says_what_it_takes_and_nothing_where_the_model_is_none(tmp_path: Path) -> None:
    service = GeneratorService(GeneratorSettings(device="cpu"), Metrics())
    assert set(service.memory_bytes()) == {"weights", "KV cache", "loading"}
    service = GeneratorService(GeneratorSettings(device="cpu", model=tmp_path), Metrics())
    assert service.memory_bytes() == {}
