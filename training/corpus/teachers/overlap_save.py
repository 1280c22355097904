"""Long convolutions over time by overlap-save: a third of the multiplications, on matrices.

A tile of `TILE` samples goes to the frequency domain by a matrix, is multiplied there, channels by
channels, and comes back as `TILE - kernel + 1` samples of the result. A product of two complex
numbers takes three real ones, and what is added up for it is in the three matrices as well.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

TILE = 32
_BLOCK_TILES = 128
"""At once: what they take stays in the cache of a core."""


@cache
def _matrices(kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """Samples `[products, TILE]`, weights `[products, kernel]` and the way back `[out, products]`.

    Row by row of `products`: correlating a tile with weights is the third applied to the product,
    element by element, of the first applied to the tile and the second to the weights.
    """
    times = np.arange(TILE)
    samples, weights, back = [], [], []
    for bin_ in range(TILE // 2 + 1):
        angle = 2 * np.pi * bin_ * times / TILE
        cos, sin = np.cos(angle), np.sin(angle)
        tap_cos, tap_sin = cos[:kernel], sin[:kernel]
        out_cos, out_sin = (part[: TILE - kernel + 1] / TILE for part in (cos, sin))
        if bin_ in (0, TILE // 2):
            samples.append(cos)
            weights.append(tap_cos)
            back.append(out_cos)
            continue
        # (a + ib)(c + id): c(a + b) - b(c + d) and c(a + b) + a(d - c). Here b is -sin, d is sin,
        # and a bin stands for its conjugate too.
        samples += [cos - sin, cos, -sin]
        weights += [tap_cos, tap_sin - tap_cos, tap_sin + tap_cos]
        back += [2 * (out_cos - out_sin), -2 * out_sin, -2 * out_cos]
    made = [torch.from_numpy(np.array(rows)) for rows in (samples, weights, back)]
    return made[0], made[1], made[2].T.contiguous()


class OverlapSave:
    """A convolution of stride 1 that keeps the length, with zeros beyond both ends."""

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int) -> None:
        """`weight` is float32 `[out, in, kernel]` with an odd kernel below `TILE`, `bias` `[out]`.

        Raises:
            ValueError: the kernel is even, or `TILE` and more.
        """
        self._kernel, self._dilation, self._bias = weight.shape[-1], dilation, bias
        if self._kernel % 2 == 0 or self._kernel >= TILE:
            raise ValueError(f"kernel is {self._kernel}; allowed: odd, below {TILE}")
        samples, weights, back = _matrices(self._kernel)
        self._samples, self._back = samples.float(), back.float()
        self._weight = torch.einsum("pk,oik->pio", weights, weight.double()).float().contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """`[frames, in]` to `[frames, out]`, both float32."""
        frames, channels = x.shape
        dilation, hop = self._dilation, TILE - self._kernel + 1
        # Every `dilation`-th frame makes a signal of its own, all of them in the same tiles.
        tiles = -(-frames // (dilation * hop))
        padded = x.new_zeros(((tiles * hop + self._kernel - 1) * dilation, channels))
        start = (self._kernel - 1) * dilation // 2
        padded[start : start + frames] = x
        row = dilation * channels
        seen = padded.as_strided((TILE, tiles, row), (row, hop * row, 1))
        made = x.new_empty((tiles, hop, dilation, len(self._bias)))
        step = max(1, _BLOCK_TILES // dilation)
        for first in range(0, tiles, step):
            block = seen[:, first : first + step]
            rows = block.shape[1] * dilation
            parts = self._samples @ block.reshape(TILE, rows * channels)
            parts = torch.bmm(parts.view(-1, rows, channels), self._weight)
            parts = self._back @ parts.view(len(parts), -1)
            made[first : first + step] = parts.view(hop, -1, *made.shape[2:]).transpose(0, 1)
        return made.view(-1, len(self._bias))[:frames].add_(self._bias)
