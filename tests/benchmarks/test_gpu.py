"""The GPU's script, on the CPU: the lines that will run the day a card is there."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import floors, gpu
from services.generator.model import weights
from services.generator.model.config import CsmConfig

SMALL = ("--device", "cpu", "--shape", "pico", "--batches", "1", "2", "--positions", "50")


@pytest.mark.slow
def test_every_part_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # What torch.compile makes on a CPU is no part of this.
    ways = ("--ways", "eager", "one_shape", "buckets")
    out = tmp_path / "gpu.json"
    given = [*SMALL, "--frames", "2", "--codec-streams", "1", *ways, "--out", str(out)]
    assert gpu.main(given) == 0
    result = json.loads(capsys.readouterr().out)
    assert json.loads(out.read_text())["company_buckets"] == result["company_buckets"]
    assert not [
        name for name, part in result.items() if isinstance(part, dict) and "failed" in part
    ]
    assert result["same_as_cpu"]["equal_frames"] > 0.9
    assert result["same_as_cpu"]["state_difference_max"] < 1e-3
    assert result["same_as_eager"]["equal_frames"] > 0.9
    assert result["same_as_eager"]["noise_difference_max"] < 1e-6
    for way in ("eager", "one_shape", "buckets"):
        assert [row["batch"] for row in result[way]["frames"]] == [1, 2]
        assert all(row["frame_ms"]["p50"] > row["floor_ms"] > 0 for row in result[way]["frames"])
    assert result["company_one_shape"]["equal_share_by_batch"] == {"1": 1.0, "2": 1.0}
    assert result["codec_float32"][0]["decode_frame_ms"]["p50"] > 0


def test_no_time_leaves_everything_out(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main([*SMALL, "--seconds", "-1"])
    result = json.loads(capsys.readouterr().out)
    assert result["buckets"] == result["codec_float32"] == {"left_out": "out of time"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "cuda is not available" in capsys.readouterr().err


def test_the_floor_counts_the_matrices_of_the_model() -> None:
    config = CsmConfig.named("pico")
    model, floor = weights.create(config), floors.of(config)
    layers = [p.numel() for p in model.backbone.layers.parameters() if p.ndim == 2]
    assert floor.backbone_weights == sum(layers) + model.lm_head.weight.numel()
    stack = sum(p.numel() for p in model.depth.llama.layers.parameters() if p.ndim == 2)
    passes = config.num_codebooks - 1
    each = stack + model.depth.projection.weight.numel()
    assert floor.depth_weights == passes * each + model.depth.heads.numel()
    cache = model.allocate_cache(1, 1)
    assert floor.cache_elements == cache.keys.numel() + cache.values.numel()
    assert floor.bytes_read(2, 2, 3, 100) == 2 * floor.weights + 600 * floor.cache_elements
    assert floor.operations(3) == 6 * floor.weights
