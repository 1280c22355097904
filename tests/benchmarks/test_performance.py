"""The benchmarks' figures become bars and pictures."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import drawing, hugging_face, peers, performance
from benchmarks.bars import judge
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.native.native_csm import NativeCsm
from tests.generator.tiny import tiny_csm


def summary(value: float) -> dict[str, float]:
    return {"p50": value, "p95": 1.5 * value, "min": value, "max": value, "count": 1}


def measured() -> dict[str, Any]:
    """A result of the shape of `performance.run`, quick to make, curves of a tiny model."""
    native = NativeCsm(tiny_csm(), "int8", threads=1)
    curves = {
        "weights_a_frame": 5000,
        "conversation": {"positions": 256, "mib": 1.0},
        "ways": {
            "int8": {
                "packed_mib": 1.0,
                "by_batch": performance.by_batch(native, (1, 2), 2),
                "by_positions": performance.by_positions(native, 2),
            }
        },
    }
    listeners = [
        {
            "streams": n,
            "real_time_factor": summary(0.04 * n),
            "first_audio_ms": summary(20.0 * n),
            "utterances_with_underrun": 0 if n < 16 else 2,
        }
        for n in (1, 8, 16)
    ]
    model = {
        f"batch_{batch}": {
            "transformers_frame_ms": summary(400.0),
            "ours": {"int8": {"ratio": 5.4}, "bf16": {"ratio": 1.2}},
        }
        for batch in (1, 8)
    }
    return {
        "machine": {"cpu": "A processor", "cores": 2},
        "read_gb_per_s": 60.0,
        "peers": {"model": model, "pico": {f"listeners_{x['streams']}": x for x in listeners}},
        "csm-1b": curves,
        "pico": curves,
        "listeners": listeners,
    }


def test_what_was_measured_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    drawing.draw(json.loads(json.dumps(measured())), path)
    assert path.stat().st_size > 20_000
    # What was not measured leaves its place empty.
    drawing.draw({"machine": {"cpu": "x", "cores": 1}, "read_gb_per_s": 1.0}, path)
    assert path.stat().st_size > 5_000


def test_positions_grow_and_stay_within_the_cache() -> None:
    native = NativeCsm(tiny_csm(), "fp32", threads=1)
    at = [point["positions"] for point in performance.by_positions(native, 2)]
    assert at == sorted(at)
    assert at[-1] < native.config.backbone.max_positions


def test_figures_meet_their_bars_by_name() -> None:
    states = {b["name"]: b["state"] for b in judge(peers.BARS, peers.figures(measured()["peers"]))}
    assert states == {
        "int8_batch_1": "stretch met",
        "int8_batch_8": "stretch met",
        "bf16_batch_1": "missed",
        "mimi_decode": "not measured",
        "mimi_decode_streamed": "not measured",
        "mimi_encode_streamed": "not measured",
        "second_turn": "not measured",
        "pico_real_time": "stretch met",
        "pico_first_audio": "stretch met",
        "underruns_listeners_8": "stretch met",
        "underruns_listeners_16": "missed",
    }


@pytest.mark.filterwarnings("ignore")
def test_a_peer_runs_beside_every_way_of_ours() -> None:
    csm = weights.create(CsmConfig.named("pico"), dtype=torch.bfloat16)
    ours = {"int8": NativeCsm(csm, "int8", threads=1), "torch": csm}
    result = peers.model(ours, hugging_face.oracle(csm), batch=2, frames=2, rounds=1)  # type: ignore[arg-type]
    assert set(result["ours"]) == {"int8", "torch"}
    for figures in result["ours"].values():
        assert figures["frames_per_s"] > 0
        assert figures["ratio"] == pytest.approx(
            result["transformers_frame_ms"]["p50"] / figures["frame_ms"]["p50"], rel=0.2
        )
