"""Safetensors read for both models: headers without their data, indexes of shards, tensors.

Only safetensors are read, since a pickle can run code. A file is memory-mapped, and its tensors
come one at a time, so that nobody holds a model twice.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

SUFFIX = ".safetensors"
SINGLE_NAME = "model.safetensors"
"""What Hugging Face calls the file of a model that is not cut into shards."""

_MAX_HEADER_BYTES = 100 * 2**20


class CheckpointError(ValueError):
    """Weights cannot be used; the message names the file, and where it is one, the tensor."""


@dataclass(frozen=True)
class TensorInfo:
    """What a safetensors header says of one tensor. `dtype` is safetensors' own name (`BF16`)."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, TensorInfo]:
    """Return what one safetensors file holds, by tensor name.

    Raises:
        CheckpointError: there is no such file, it is no safetensors file, or it is cut short.
    """
    raw = header_bytes(file)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        result, end = {}, 0
        for name, value in header.items():
            begin, stop = value["data_offsets"]
            shape = tuple(int(size) for size in value["shape"])
            if not 0 <= begin <= stop or any(size < 0 for size in shape):
                raise ValueError(f"tensor {name} lies at {begin} to {stop}, shape {list(shape)}")
            end = max(end, stop)
            result[name] = TensorInfo(Path(file), str(value["dtype"]), shape, stop - begin)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file: {error!r}") from None
    data = file.stat().st_size - 8 - len(raw)
    if data < end:
        raise CheckpointError(f"{file}: cut short, {data} bytes of data where {end} are announced")
    return result


def header_bytes(file: Path) -> bytes:
    """Return the header of one safetensors file as it stands there: JSON, perhaps with blanks.

    Raises:
        CheckpointError: there is no such file, or no header in it.
    """
    try:
        with open(file, "rb") as stream:
            prefix = stream.read(8)
            if len(prefix) < 8:
                raise CheckpointError(f"{file}: not a readable safetensors file: too short")
            (length,) = struct.unpack("<Q", prefix)
            if length > _MAX_HEADER_BYTES:
                raise CheckpointError(f"{file}: not a readable safetensors file: header too large")
            raw = stream.read(length)
            if len(raw) < length:
                raise CheckpointError(f"{file}: not a readable safetensors file: cut short")
            return raw
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{file}: not a readable safetensors file: {error}") from None


def read_index(index: Path) -> dict[str, Path]:
    """Return which file beside it an index of shards names for each tensor; none is opened.

    Raises:
        CheckpointError: it is no such index, or names something else than a file beside it.
    """
    try:
        values = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{index}: not readable as JSON: {error}") from None
    weight_map = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(weight_map, dict):
        raise CheckpointError(f"{index}: not an index of shards: weight_map is missing")
    for shard in weight_map.values():
        # A model directory comes from somebody else: it may not point at other files of ours.
        if not _is_plain(shard):
            raise CheckpointError(
                f"{index}: shard {shard!r} is not a plain file name that ends in {SUFFIX}"
            )
    return {tensor: index.parent / shard for tensor, shard in weight_map.items()}


def _is_plain(shard: object) -> bool:
    if not isinstance(shard, str) or not shard.endswith(SUFFIX):
        return False
    return Path(shard).name == shard and "\\" not in shard


def read_tensors(file: Path, names: Iterable[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Yield the named tensors of a file, by default all, memory-mapped, one at a time.

    Raises:
        CheckpointError: the file cannot be read, or has no such tensor.
    """
    try:
        with safe_open(file, framework="pt") as handle:
            for name in handle.keys() if names is None else names:
                yield name, handle.get_tensor(name)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file: {error}") from None


def read_headers(files: Iterable[Path]) -> Mapping[str, TensorInfo]:
    """Return what several files hold together, by tensor name; of two the later.

    Raises:
        CheckpointError: as `read_header`.
    """
    tensors: dict[str, TensorInfo] = {}
    for file in files:
        tensors |= read_header(file)
    return tensors
