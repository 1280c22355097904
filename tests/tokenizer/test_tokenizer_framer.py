"""Samples to frames."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.tokenizer.framer import Framer


@given(
    num_samples=st.integers(0, 500),
    cuts=st.lists(st.integers(0, 500), max_size=10),
    frame_samples=st.integers(1, 60),
)
def test_any_chunking_gives_the_samples_in_frames_with_silence_at_the_end(
    num_samples: int, cuts: list[int], frame_samples: int
) -> None:
    samples = np.arange(1, num_samples + 1, dtype=np.float32)
    edges = [0, *sorted(min(c, num_samples) for c in cuts), num_samples]
    framer = Framer(frame_samples)
    parts = [framer.feed(samples[a:b]) for a, b in itertools.pairwise(edges)]
    framed = np.concatenate([*parts, framer.finish()])
    assert framed.shape == (-(-num_samples // frame_samples), frame_samples)
    assert np.array_equal(framed.reshape(-1)[:num_samples], samples)
    assert not framed.reshape(-1)[num_samples:].any()
    assert framer.finish().shape == (0, frame_samples)
