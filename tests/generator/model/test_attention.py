"""Attention's two ways to read grouped queries give one answer."""

from __future__ import annotations

import pytest
import torch

from services.generator.model.attention import KVCacheTensors, PrefillAttention

LAYERS, SLOTS, POSITIONS, HEAD_DIM = 2, 3, 40, 8


@pytest.mark.parametrize(("heads", "kv_heads"), [(6, 2), (4, 4), (3, 1)])
def test_folded_queries_are_told_what_unfolded_ones_are(heads: int, kv_heads: int) -> None:
    random = torch.Generator().manual_seed(3)
    shape = (LAYERS, SLOTS, kv_heads, POSITIONS, HEAD_DIM)
    past = [torch.randn(shape, generator=random) for _ in range(2)]
    q = torch.randn(7, heads, HEAD_DIM, generator=random)
    k, v = (torch.randn(7, kv_heads, HEAD_DIM, generator=random) for _ in range(2))
    told = []
    for folded in (False, True):
        cache = KVCacheTensors(*(each.clone() for each in past))
        attend = PrefillAttention(cache, 1, 12, 7, folded=folded)
        told.append((attend(1, q, k, v), cache.keys, cache.values))
    torch.testing.assert_close(told[1][0], told[0][0], rtol=1e-5, atol=1e-6)
    assert torch.equal(told[1][1], told[0][1])
    assert torch.equal(told[1][2], told[0][2])
