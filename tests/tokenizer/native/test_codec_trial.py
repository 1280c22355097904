"""What is timed for a choice: a frame of the codec each way, of one stream and of several."""

from __future__ import annotations

import dataclasses

import numpy as np

from services.native import levels
from services.tokenizer.native.trial import MAX_ROWS, CodecTrial
from tests.tokenizer.codec.cases import FIVE
from tests.tokenizer.native.harness import mimi

BEST = levels.available()[0]


def test_both_ways_do_the_same_work() -> None:
    made = CodecTrial(mimi("five"), "fp32", 1, 3)
    by_torch, native = made.works(None), made.works(BEST)
    assert list(by_torch) == list(native) == ["decode 1", "decode 3", "encode 1", "encode 3"]
    for name, way in native.items():
        ours, theirs = way.step(), by_torch[name].step()
        assert isinstance(ours, list)
        assert isinstance(theirs, list)
        assert len(ours) == len(theirs) == int(name.split()[1])
        if name.startswith("decode"):
            np.testing.assert_allclose(np.stack(ours), np.stack(theirs), atol=1e-4)
            assert ours[0].shape == (1, FIVE.frame_samples)


def test_what_is_remembered_depends_on_codec_format_threads_and_rows() -> None:
    one = CodecTrial(mimi("five"), "fp32", 1, 4)
    others = [
        dataclasses.replace(one, mimi=mimi("nine")),
        dataclasses.replace(one, weights="bf16"),
        dataclasses.replace(one, threads=2),
        dataclasses.replace(one, rows=1),
    ]
    assert all(other.subject != one.subject for other in others)
    assert dataclasses.replace(one, rows=500).subject["rows"] == [1, MAX_ROWS]
