"""The random numbers that codes are drawn with: Exp(1) draws of every slot, by its own seed.

`Noise` draws from torch's generators, one a slot. `CountedNoise` computes each number from seed and
place (a counter-based generator, as in Salmon et al., "Parallel random numbers: as easy as 1, 2,
3", 2011; the mixing is SplitMix64's, Steele et al., "Fast splittable pseudorandom number
generators", 2014): on a GPU a launch for each of some hundred slots would take longer than the
frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Draws(Protocol):
    """What the engine asks of either."""

    def seed(self, slot: int, seed: int) -> None:
        """Start a slot's sequence of draws; `seed` in [0, 2**64 - 1]."""

    def state(self, slot: int) -> object:
        """Where a slot's sequence stands, for `restore`."""

    def restore(self, slot: int, state: object) -> None:
        """Go on in a slot, the same or another, where `state` was taken."""

    def after(self, seed: int, draws: int) -> object:
        """Return what `state` is behind `seed` and so many draws; touches no slot, so that any
        thread may ask."""

    def fill(self, active: Tensor) -> Tensor:
        """Draw anew for the rows where `active` (bool [slots], on the host); return all rows'."""


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name}: {value} is not allowed, must be >= 1")


def _check_seed(slot: int, seed: int, slots: int) -> None:
    if not 0 <= slot < slots:
        raise ValueError(f"slot: {slot} is not allowed, must be in [0, {slots - 1}]")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ValueError(f"seed: {seed!r} is not allowed, must be an integer in [0, 2**64 - 1]")


TORCH_SEEDS = 2**32
"""What torch's generator on a CPU tells apart: of a larger seed it takes the lower 32 bits."""


@dataclass(frozen=True)
class NoiseState:
    """A slot's generators as they stood; `second` None: its seed needs but one."""

    first: Tensor
    second: Tensor | None


def _torch_seeds(seed: int) -> tuple[int, int | None]:
    """The seeds of a slot's generators; the second where the seed needs one."""
    upper, lower = divmod(seed, TORCH_SEEDS)
    # Never the first one's own seed, whose draws would be the same.
    return lower, (lower + upper) % TORCH_SEEDS if upper else None


class Noise:
    """Exp(1) draws for every slot, each from generators of its own.

    Row r of `fill` depends only on the seed last given to slot r and on how often it was filled
    since: neither the neighbours nor the slot's number come in. The upper half of a seed, where it
    is not 0, goes to a second generator: of two draws the smaller one, doubled, is Exp(1) again.
    """

    def __init__(
        self, slots: int, num_codebooks: int, vocab_size: int, *, device: torch.device | str = "cpu"
    ) -> None:
        _check_sizes(slots=slots, num_codebooks=num_codebooks, vocab_size=vocab_size)
        self._first = [torch.Generator(device=device) for _ in range(slots)]
        self._second = [torch.Generator(device=device) for _ in range(slots)]
        self._halved = [False] * slots
        self._draws = torch.ones(slots, num_codebooks, vocab_size, device=device)
        # Drawn at one address whatever the slot: vector code may round by alignment.
        self._scratch = torch.empty(num_codebooks, vocab_size, device=device)
        self._other = torch.empty_like(self._scratch)
        for slot in range(slots):
            self.seed(slot, 0)

    def seed(self, slot: int, seed: int) -> None:
        """Start a slot's sequence of draws; `seed` in [0, 2**64 - 1].

        Raises:
            ValueError: the slot or the seed is out of range.
        """
        _check_seed(slot, seed, len(self._first))
        first, second = _torch_seeds(seed)
        self._first[slot].manual_seed(first)
        self._halved[slot] = second is not None
        if second is not None:
            self._second[slot].manual_seed(second)

    def state(self, slot: int) -> NoiseState:
        """Where a slot's sequence stands, for `restore`; some kilobytes."""
        second = self._second[slot].get_state() if self._halved[slot] else None
        return NoiseState(self._first[slot].get_state(), second)

    def restore(self, slot: int, state: object) -> None:
        """Go on in a slot, the same or another, where `state` was taken."""
        if not isinstance(state, NoiseState):
            raise ValueError(f"state: {type(state).__name__} is not allowed, must be `state`'s own")
        self._first[slot].set_state(state.first)
        self._halved[slot] = state.second is not None
        if state.second is not None:
            self._second[slot].set_state(state.second)

    def after(self, seed: int, draws: int) -> NoiseState:
        """Return what `state` is behind `seed` and so many draws; touches no slot.

        A draw takes as long as in `fill`: torch's generator cannot skip.

        Raises:
            ValueError: the seed is out of range.
        """
        _check_seed(0, seed, len(self._first))
        scratch = torch.empty_like(self._scratch)
        states: list[Tensor] = []
        for one in _torch_seeds(seed):
            if one is None:
                continue
            generator = torch.Generator(device=scratch.device)
            generator.manual_seed(one)
            for _ in range(draws):
                scratch.exponential_(generator=generator)
            states.append(generator.get_state())
        return NoiseState(states[0], states[1] if len(states) > 1 else None)

    def fill(self, active: Tensor) -> Tensor:
        """Draw anew for the rows where `active` (bool [slots]) and return all rows' draws.

        fp32 [slots, num_codebooks, vocab_size], one buffer, overwritten by the next call.
        """
        for slot, wanted in enumerate(active.tolist()):
            if wanted:
                self._scratch.exponential_(generator=self._first[slot])
                if self._halved[slot]:
                    self._other.exponential_(generator=self._second[slot])
                    torch.minimum(self._scratch, self._other, out=self._scratch).mul_(2)
                self._draws[slot] = self._scratch
        return self._draws


_GOLDEN = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_DRAWN_BITS = 23


def _signed(value: int) -> int:
    """A 64 bit pattern as the int64 that torch has for it."""
    return (value + 2**63) % 2**64 - 2**63


def _shifted(x: Tensor, bits: int) -> Tensor:
    """`x >> bits` of the pattern, zeros moving in: torch's own shift keeps the sign."""
    return (x >> bits) & (2 ** (64 - bits) - 1)


def _mixed(x: Tensor) -> Tensor:
    """SplitMix64's finaliser: every bit of int64 `x` changes about half of the result's."""
    for bits, factor in _MIX:
        x = (x ^ _shifted(x, bits)) * _signed(factor)
    return x ^ _shifted(x, _LAST_SHIFT)


class CountedNoise:
    """The same without a state on the device but a key and a count of draws a slot.

    Row r of `fill` depends only on the seed last given to slot r and on how often it was filled
    since. The numbers are other ones than `Noise` draws from the same seed.
    """

    def __init__(
        self, slots: int, num_codebooks: int, vocab_size: int, *, device: torch.device | str = "cpu"
    ) -> None:
        _check_sizes(slots=slots, num_codebooks=num_codebooks, vocab_size=vocab_size)
        self._shape = (num_codebooks, vocab_size)
        self._keys = torch.zeros(slots, dtype=torch.int64)
        self._counts = torch.zeros(slots, dtype=torch.int64)
        places = torch.arange(1, num_codebooks * vocab_size + 1, dtype=torch.int64)
        self._places = (places * _signed(_GOLDEN)).to(device)
        self._draws = torch.ones(slots, num_codebooks, vocab_size, device=device)
        for slot in range(slots):
            self.seed(slot, 0)

    def seed(self, slot: int, seed: int) -> None:
        """Start a slot's sequence of draws; `seed` in [0, 2**64 - 1].

        Raises:
            ValueError: the slot or the seed is out of range.
        """
        _check_seed(slot, seed, len(self._keys))
        self._keys[slot] = _signed(seed)
        self._counts[slot] = 0

    def state(self, slot: int) -> tuple[int, int]:
        """Where a slot's sequence stands, for `restore`: its key and its count."""
        return int(self._keys[slot]), int(self._counts[slot])

    def restore(self, slot: int, state: object) -> None:
        """Go on in a slot, the same or another, where `state` was taken."""
        if not isinstance(state, tuple):
            raise ValueError(f"state: {type(state).__name__} is not allowed, must be `state`'s own")
        self._keys[slot], self._counts[slot] = state

    def after(self, seed: int, draws: int) -> tuple[int, int]:
        """Return what `state` is behind `seed` and so many draws; touches no slot.

        Raises:
            ValueError: the seed is out of range.
        """
        _check_seed(0, seed, len(self._keys))
        return _signed(seed), draws

    def fill(self, active: Tensor) -> Tensor:
        """Draw anew for the rows where `active` (bool [slots], on the host) and return all rows'.

        fp32 [slots, num_codebooks, vocab_size], one buffer, overwritten by the next call; rows that
        are not active mean nothing. No wait for the device.
        """
        rows = int(active.nonzero().max()) + 1 if active.any() else 0
        self._counts += active
        # Two mixings between seed and place, so that neighbouring seeds share nothing.
        streams = _mixed(_mixed(self._keys[:rows] + _signed(_GOLDEN)) + self._counts[:rows])
        streams = streams.to(self._places.device, non_blocking=True)
        bits = _shifted(_mixed(streams[:, None] + self._places), 64 - _DRAWN_BITS)
        # In the middle of its step, so never 0 or 1: a draw of 0 would win against any logit.
        uniform = (bits.to(torch.float32) + 0.5) * 2.0**-_DRAWN_BITS
        self._draws[:rows] = uniform.log_().neg_().view(rows, *self._shape)
        return self._draws


def noise_for(
    slots: int, num_codebooks: int, vocab_size: int, *, device: torch.device | str
) -> Draws:
    """Return the noise of an engine's slots: counted on CUDA, torch's own elsewhere."""
    kind = CountedNoise if torch.device(device).type == "cuda" else Noise
    return kind(slots, num_codebooks, vocab_size, device=device)
