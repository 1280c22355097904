"""Drawing codes: distributions, filters, seeds, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingRows, sample
from services.generator.model.sampling import GREEDY, SamplingParams

VOCAB = 11
SIZE = 8


def draws(logits: torch.Tensor, params: SamplingParams, count: int, seed: int = 0) -> torch.Tensor:
    """Draw `count` codes from one row of logits."""
    rows = SamplingRows(count)
    for slot in range(count):
        rows.set(slot, params)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.empty(count, VOCAB).exponential_(generator=generator)
    return sample(logits.expand(count, VOCAB), rows.temperature, rows, noise, SIZE)


LOGITS = torch.tensor([2.0, 1.0, 0.5, 1.9, -1.0, 0.0, -3.0, 1.0, 9.0, 9.0, 9.0])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_codes_are_drawn_with_the_softmax_probabilities(temperature: float) -> None:
    count = 20_000
    drawn = draws(LOGITS, SamplingParams(temperature, top_k=0), count)
    expected = (LOGITS[:SIZE] / temperature).softmax(-1) * count
    found = torch.bincount(drawn, minlength=SIZE).double()
    chi_squared = ((found - expected) ** 2 / expected).sum().item()
    # 99.99 % quantile of chi squared with seven degrees of freedom
    assert chi_squared < 29.9


def test_temperature_zero_takes_the_most_likely_code_the_codec_has() -> None:
    assert set(draws(LOGITS, GREEDY, 50).tolist()) == {0}


def test_codes_beyond_the_codecs_are_never_drawn() -> None:
    drawn = draws(torch.full((VOCAB,), 1.0), SamplingParams(5.0, top_k=0), 5000)
    assert set(drawn.tolist()) == set(range(SIZE))


def test_top_k_keeps_the_k_most_likely_and_their_ties() -> None:
    assert set(draws(LOGITS, SamplingParams(5.0, top_k=2), 3000).tolist()) == {0, 3}
    assert set(draws(LOGITS, SamplingParams(5.0, top_k=3), 3000).tolist()) == {0, 1, 3, 7}
    assert set(draws(LOGITS, SamplingParams(5.0, top_k=1000), 9000).tolist()) == set(range(SIZE))


def test_top_p_keeps_the_fewest_codes_that_reach_it() -> None:
    probabilities = torch.tensor([0.5, 0.2, 0.15, 0.08, 0.04, 0.02, 0.007, 0.003])
    logits = torch.cat((probabilities.log(), torch.full((3,), 9.0)))

    def kept(top_p: float) -> set[int]:
        return set(draws(logits, SamplingParams(1.0, top_k=0, top_p=top_p), 20_000).tolist())

    assert kept(0.01) == {0}
    assert kept(0.49) == {0}
    assert kept(0.6) == {0, 1}
    assert kept(0.84) == {0, 1, 2}
    assert kept(1.0) == set(range(SIZE))


def test_top_p_applies_after_top_k() -> None:
    probabilities = torch.tensor([0.4, 0.3, 0.2, 0.04, 0.03, 0.02, 0.007, 0.003])
    logits = torch.cat((probabilities.log(), torch.full((3,), 9.0)))
    params = SamplingParams(1.0, top_k=2, top_p=0.56)
    # Of two codes left, the first alone has 0.4 / 0.7 = 0.571.
    assert set(draws(logits, params, 2000).tolist()) == {0}


def test_each_row_has_its_own_parameters() -> None:
    rows = SamplingRows(3)
    rows.set(0, GREEDY)
    rows.set(1, SamplingParams(5.0, top_k=2))
    rows.set(2, SamplingParams(5.0, top_k=0, top_p=1.0))
    generator = torch.Generator().manual_seed(0)
    seen: list[set[int]] = [set(), set(), set()]
    for _ in range(2000):
        noise = torch.empty(3, VOCAB).exponential_(generator=generator)
        codes = sample(LOGITS.expand(3, VOCAB), rows.temperature, rows, noise, SIZE)
        for row, code in enumerate(codes.tolist()):
            seen[row].add(code)
    assert seen == [{0}, {0, 3}, set(range(SIZE))]
    rows.set(1, GREEDY)
    assert rows.max_top_k == 0


def test_code_zero_can_be_drawn_so_that_a_turn_can_end() -> None:
    logits = torch.full((VOCAB,), -5.0)
    logits[0] = 5.0
    assert set(draws(logits, SamplingParams(0.9), 100).tolist()) == {0}


def test_noise_of_a_row_depends_on_its_seed_and_its_frames_alone() -> None:
    noise = Noise(3, 2, VOCAB)
    noise.seed(0, 7)
    first = [noise.fill(torch.tensor([True, True, False]))[0].clone() for _ in range(4)]
    noise.seed(2, 7)
    noise.seed(1, 12345)
    again = []
    for step in range(8):
        # The row pauses in every other step, and takes up where it stopped.
        drawn = noise.fill(torch.tensor([False, True, step % 2 == 0]))[2].clone()
        if step % 2 == 0:
            again.append(drawn)
    assert all(torch.equal(*both) for both in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    noise.seed(0, 8)
    assert not torch.equal(noise.fill(torch.tensor([True, False, False]))[0], first[0])


def test_noise_of_inactive_rows_is_left_as_it_was() -> None:
    noise = Noise(2, 2, VOCAB)
    before = noise.fill(torch.tensor([True, True])).clone()
    after = noise.fill(torch.tensor([False, True]))
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "7"])
def test_a_seed_out_of_range_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match=r"seed: .* is not allowed, must be an integer in \[0"):
        Noise(1, 1, 4).seed(0, seed)  # type: ignore[arg-type]


def test_the_largest_seed_is_allowed() -> None:
    noise = Noise(1, 2, 4)
    noise.seed(0, 2**64 - 1)
    assert torch.isfinite(noise.fill(torch.tensor([True]))).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1.0),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", 10.5),
        ("temperature", "warm"),
        ("depth_temperature", -0.1),
        ("depth_temperature", math.nan),
        ("top_k", -1),
        ("top_k", 2.5),
        ("top_k", True),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", math.nan),
    ],
)
def test_parameters_out_of_range_are_refused_by_name_and_value(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: .* is not allowed, must be") as caught:
        SamplingParams(**{field: value})  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


def test_a_slot_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"slot: 3 is not allowed, must be in \[0, 2\]"):
        SamplingRows(3).set(3, GREEDY)
    with pytest.raises(ValueError, match=r"slot: -1 is not allowed"):
        Noise(3, 1, 4).seed(-1, 0)


def test_a_held_row_cannot_draw_the_code_that_ends_it() -> None:
    rows = SamplingRows(3)
    logits = torch.zeros(3, 8)
    logits[:, 0] = 10.0
    rows.hold(torch.tensor([False, True, False]))
    struck = rows.without_end(logits)
    assert struck.argmax(-1).tolist() == [0, 1, 0]
    assert torch.equal(struck[[0, 2]], logits[[0, 2]])
    rows.hold(torch.zeros(3, dtype=torch.bool))
    assert rows.without_end(logits) is logits
