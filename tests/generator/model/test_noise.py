"""Counted noise: random enough, and a function of seed and count alone."""

import numpy as np
import pytest
import torch

from services.generator.model.noise import _GOLDEN, CountedNoise, Noise, _mixed, _signed, noise_for

EVERY = torch.ones(3, dtype=torch.bool)


def test_the_mixing_is_splitmix64() -> None:
    # The first numbers of the published generator from the state 1234567.
    states = [_signed(1234567 + n * _GOLDEN) for n in (1, 2, 3)]
    got = [int(x) % 2**64 for x in _mixed(torch.tensor(states))]
    assert got == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_exponential_and_independent() -> None:
    noise = CountedNoise(3, 8, 1000)
    for slot in range(3):
        noise.seed(slot, slot)
    draws = np.stack([noise.fill(EVERY).numpy().copy() for _ in range(20)])
    assert draws.shape == (20, 3, 8, 1000)
    assert draws.min() > 0
    assert np.isfinite(draws).all()
    assert abs(draws.mean() - 1) < 0.01
    assert abs(draws.var() - 1) < 0.02
    # Kolmogorov and Smirnov: at 480,000 draws 0.0025 is passed once in a thousand.
    ordered = np.sort(draws.ravel())
    empirical = np.arange(1, ordered.size + 1) / ordered.size
    assert np.abs(empirical - (1 - np.exp(-ordered))).max() < 0.003
    for axis in range(4):
        ahead = np.roll(draws, 1, axis=axis)
        assert abs(np.corrcoef(draws.ravel(), ahead.ravel())[0, 1]) < 0.006


def test_draws_depend_on_seed_and_count_alone() -> None:
    first, other = CountedNoise(3, 2, 50), CountedNoise(1, 2, 50)
    first.seed(2, 2**64 - 1)
    other.seed(0, 2**64 - 1)
    only = torch.tensor([False, False, True])
    for mask in (only, EVERY, only):
        assert torch.equal(first.fill(mask)[2], other.fill(torch.ones(1).bool())[0])
    # A slot that was passed over drew nothing: its second draw is the one after its first.
    first.seed(0, 5)
    before = first.fill(EVERY)[0].clone()
    first.fill(only)
    again = first.fill(EVERY)[0].clone()
    first.seed(0, 5)
    assert torch.equal(first.fill(EVERY)[0], before)
    assert torch.equal(first.fill(EVERY)[0], again)
    assert not torch.equal(before, again)


def test_nobody_active_draws_nothing() -> None:
    noise = CountedNoise(3, 2, 50)
    before = noise.fill(EVERY).clone()
    assert torch.equal(noise.fill(~EVERY), before)


def test_a_cpu_draws_by_torch() -> None:
    assert isinstance(noise_for(2, 3, 4, device="cpu"), Noise)


@pytest.mark.parametrize("seed", [-1, 2**64, True, 1.0])
def test_seeds_out_of_range_are_refused(seed: object) -> None:
    with pytest.raises(ValueError, match=r"seed: .* is not allowed"):
        CountedNoise(1, 1, 4).seed(0, seed)  # type: ignore[arg-type]


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="vocab_size: 0 is not allowed"):
        CountedNoise(1, 1, 0)
    with pytest.raises(ValueError, match=r"slot: 1 is not allowed, must be in \[0, 0\]"):
        CountedNoise(1, 1, 4).seed(1, 0)


@pytest.mark.parametrize("kind", [Noise, CountedNoise])
def test_every_bit_of_a_seed_counts(kind: type[Noise | CountedNoise]) -> None:
    def draws(seed: int) -> torch.Tensor:
        noise = kind(1, 2, 50)
        noise.seed(0, seed)
        return noise.fill(torch.ones(1).bool())[0].clone()

    assert torch.equal(draws(1), draws(1))
    seeds = [1, *(1 + (1 << bit) for bit in range(1, 64))]
    found = torch.stack([draws(seed) for seed in seeds])
    assert len(torch.unique(found, dim=0)) == len(seeds)


def test_a_seed_of_32_bits_draws_as_torch_does_from_it() -> None:
    noise = Noise(1, 3, 40)
    noise.seed(0, 2**32 - 1)
    generator = torch.Generator().manual_seed(2**32 - 1)
    expected = torch.empty(3, 40).exponential_(generator=generator)
    assert torch.equal(noise.fill(torch.ones(1).bool())[0], expected)


def test_draws_of_a_large_seed_are_exponential() -> None:
    noise = Noise(1, 100, 1000)
    noise.seed(0, (7 << 32) + 7)
    ordered = np.sort(noise.fill(torch.ones(1).bool()).numpy().ravel())
    empirical = np.arange(1, ordered.size + 1) / ordered.size
    # At 100,000 draws 0.006 is passed once in a thousand.
    assert np.abs(empirical - (1 - np.exp(-ordered))).max() < 0.006


@pytest.mark.parametrize("kind", [Noise, CountedNoise])
@pytest.mark.parametrize("seed", [5, 5 + 2**40])
def test_a_sequence_goes_on_in_another_slot_where_its_state_was_taken(
    kind: type[Noise | CountedNoise], seed: int
) -> None:
    alone, moved = kind(1, 2, 50), kind(3, 2, 50)
    alone.seed(0, seed)
    moved.seed(2, seed)
    one, third = torch.ones(1).bool(), torch.tensor([False, False, True])
    for _ in range(3):
        assert torch.equal(alone.fill(one)[0], moved.fill(third)[2])
    state = moved.state(2)
    moved.seed(2, 99)
    moved.fill(third)
    moved.restore(0, state)
    assert torch.equal(alone.fill(one)[0], moved.fill(torch.tensor([True, False, False]))[0])
    with pytest.raises(ValueError, match="state: int is not allowed"):
        moved.restore(0, 3)
