"""What is timed for a choice: a cut of the model, by torch and by each level, as it is run."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from services.generator.model.config import CsmConfig
from services.generator.native import trial
from services.generator.native.build import LIBRARY
from services.generator.native.native_csm import NativeCsm, WeightFormat
from services.generator.native.select import accelerate
from services.generator.native.trial import ModelTrial
from services.native import levels, select
from services.native.timing import compare
from tests.generator.tiny import tiny_csm

BEST = levels.available()[0]
PICO, CSM_1B = CsmConfig.named("pico"), CsmConfig.named("csm-1b")


def test_the_cut_keeps_widths_and_bounds_what_it_takes() -> None:
    cut = ModelTrial(CSM_1B, torch.bfloat16, "int8", 2, 8)._cut
    for ours, whole in ((cut.backbone, CSM_1B.backbone), (cut.depth, CSM_1B.depth)):
        assert (ours.width, ours.ffn_width, ours.heads) == (
            whole.width,
            whole.ffn_width,
            whole.heads,
        )
        assert ours.layers == 1
    assert cut.num_codebooks == trial.MAX_CODEBOOKS
    assert cut.audio_vocab_size == CSM_1B.audio_vocab_size
    assert ModelTrial(PICO, torch.float32, "fp32", 1, 8)._cut.backbone.layers == trial.MAX_LAYERS


@pytest.mark.parametrize(
    ("dtype", "weights"),
    [(torch.float32, "fp32"), (torch.bfloat16, "bf16"), (torch.bfloat16, "int8")],
)
def test_both_ways_do_the_same_work_with_finite_numbers(
    dtype: torch.dtype, weights: WeightFormat
) -> None:
    made = ModelTrial(tiny_csm().config, dtype, weights, 1, 3)
    by_torch, native = made.works(None), made.works(BEST)
    assert list(by_torch) == list(native) == ["1 row", "3 rows"]
    for name, rows in (("1 row", 1), ("3 rows", 3)):
        for works in (by_torch, native):
            works[name].prepare()
            codes = works[name].step()
            assert isinstance(codes, torch.Tensor)
            assert codes.shape == (rows, made._cut.num_codebooks)
    assert all(torch.isfinite(each).all() for each in made._csm.parameters())
    assert compare(native["1 row"], by_torch["1 row"]).ratio > 0


def test_what_is_remembered_depends_on_shape_dtype_threads_and_rows() -> None:
    one = ModelTrial(PICO, torch.float32, "fp32", 1, 8)
    others = [
        dataclasses.replace(one, config=CSM_1B),
        dataclasses.replace(one, dtype=torch.bfloat16),
        dataclasses.replace(one, weights="int8"),
        dataclasses.replace(one, threads=2),
        dataclasses.replace(one, slots=4),
    ]
    assert all(other.subject != one.subject for other in others)
    # Beyond some rows no ratio changes.
    assert dataclasses.replace(one, slots=100).subject == dataclasses.replace(one, slots=16).subject


def test_a_named_level_runs_and_torch_has_its_threads_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        native = accelerate(tiny_csm(), "generic", threads=1)
        assert isinstance(native, NativeCsm)
        monkeypatch.setattr(select.choice.choice_cache, "recall", lambda *_: None)
        accelerate(tiny_csm(), "auto", threads=1, slots=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_the_level_that_is_taken_is_not_slower_than_torch() -> None:
    """Really timed, twice: what was taken the first time holds the second."""
    made = ModelTrial(PICO, torch.float32, "fp32", 1, 8)
    level = select.level_for("pico", LIBRARY, "auto", made.subject, made.works)
    by_torch, native = made.works(None), made.works(level)
    for name, way in native.items():
        assert compare(way, by_torch[name]).ratio < 1.05
