"""Addresses are given out only of memory that is as the library takes it to be."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch

from services.native.memory import address


@pytest.mark.parametrize(
    ("array", "dtype"),
    [(np.arange(6, dtype=np.int32), np.int32), (torch.arange(6, dtype=torch.int32), torch.int32)],
    ids=["numpy", "torch"],
)
def test_the_numbers_are_where_the_address_says(array, dtype) -> None:
    there = (ctypes.c_int32 * 3).from_address(address(array[2:5], dtype))
    assert list(there) == [2, 3, 4]


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((2, 2), np.float32), np.int32),
        (np.zeros((2, 2), np.float32).T, np.float32),
        (np.zeros(4, np.float32)[::2], np.float32),
        (torch.zeros(2, 2), torch.float64),
        (torch.arange(4.0).view(2, 2).t(), torch.float32),
        (torch.zeros(2, device="meta"), torch.float32),
    ],
)
def test_what_lies_otherwise_is_refused(array, dtype) -> None:
    with pytest.raises(ValueError, match="is not allowed, must be"):
        address(array, dtype)
