"""Where the numbers of an array lie, for a library that is called by ctypes."""

from __future__ import annotations

from typing import Any


def address(array: Any, dtype: Any) -> int:
    """Return where the data of a numpy array or a torch tensor begin.

    The caller keeps the array alive for as long as the library uses it.

    Raises:
        ValueError: it is not contiguous, on the CPU and of that dtype, as the library takes it
            to be.
    """
    is_tensor = hasattr(array, "data_ptr")
    contiguous = array.is_contiguous() if is_tensor else array.flags.c_contiguous
    place = array.device.type if is_tensor else "cpu"
    if array.dtype != dtype or not contiguous or place != "cpu":
        strides = array.stride() if is_tensor else array.strides
        raise ValueError(
            f"array: {array.dtype} of strides {strides} on {place} is not allowed, must be "
            f"{dtype}, contiguous, on the CPU"
        )
    return int(array.data_ptr() if is_tensor else array.ctypes.data)
