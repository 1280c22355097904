"""Where a model directory keeps its tensors, and how they are written there."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from services import checkpoint
from services.checkpoint import SINGLE_NAME, CheckpointError, TensorInfo

INDEX_NAMES = ("model.safetensors.index.json", "transformers.safetensors.index.json")

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


ModelWeightsError = CheckpointError
"""A model's weights cannot be used; the message names the file, the tensor and the shapes."""


@dataclass(frozen=True)
class TensorFiles:
    """The tensors of a model, from one file or several shards, none of them read yet."""

    files: tuple[Path, ...]
    tensors: Mapping[str, TensorInfo]

    @classmethod
    def find(cls, path: Path) -> TensorFiles:
        """Look in a model directory, or take one safetensors file.

        An index of shards comes first (`model.` or `transformers.safetensors.index.json`), then
        `model.safetensors`, then the only safetensors file there is.

        Raises:
            ModelWeightsError: there is no such path, no safetensors file, a shard is missing, or a
                file's header is broken.
        """
        path = Path(path)
        if path.is_dir():
            files = _files_of_directory(path)
        elif not path.exists():
            raise ModelWeightsError(f"{path}: no such file or directory")
        elif path.suffix == ".safetensors":
            files = [path]
        else:
            raise ModelWeightsError(f"{path}: not a safetensors file. {_HOW_TO_CONVERT}")
        return cls(tuple(files), checkpoint.read_headers(files))

    def stream(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor, memory-mapped, file by file; hold none of them for long."""
        for file in self.files:
            yield from checkpoint.read_tensors(file)

    def digest(self) -> str:
        """Return sha256 over every file's header and size, as hex.

        It tells two models apart by names, shapes, dtypes and sizes without reading gigabytes; it
        does not notice changed values.
        """
        total = hashlib.sha256()
        for file in self.files:
            total.update(checkpoint.header_bytes(file))
            total.update(str(file.stat().st_size).encode())
        return total.hexdigest()


_HOW_TO_CONVERT = (
    "Only safetensors are read, since a pickle can run code. Load a .pt you trust with "
    "torch.load(..., weights_only=True) and write it with safetensors.torch.save_file, or use the "
    "model.safetensors of the same repository"
)


def _files_of_directory(directory: Path) -> list[Path]:
    incomplete = None
    for name in INDEX_NAMES:
        index = directory / name
        if not index.is_file():
            continue
        shards = sorted({file.name for file in checkpoint.read_index(index).values()})
        missing = [shard for shard in shards if not (directory / shard).is_file()]
        if not missing and shards:
            return [directory / shard for shard in shards]
        incomplete = incomplete or f"{index}: shard {', '.join(missing) or '(none)'} is missing"
    single = directory / SINGLE_NAME
    if single.is_file():
        return [single]
    if incomplete:
        raise ModelWeightsError(incomplete)
    found = sorted(directory.glob("*.safetensors"))
    if len(found) == 1:
        return found
    if found:
        names = ", ".join(file.name for file in found)
        raise ModelWeightsError(f"{directory}: several safetensors ({names}), name one of them")
    pickles = sorted(directory.glob("*.pt")) + sorted(directory.glob("*.bin"))
    if pickles:
        raise ModelWeightsError(f"{pickles[0]}: not a safetensors file. {_HOW_TO_CONVERT}")
    raise ModelWeightsError(f"{directory}: no {SINGLE_NAME} and no index of shards")


def write(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file tensor by tensor, so that no second copy of a model is needed.

    The format is eight bytes of header length, a JSON header, and the tensors' bytes.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [end, end + size],
        }
        end += size
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    # Beside it first: the tensors may be memory-mapped from the very file that is replaced.
    partial = file.with_name(file.name + ".partial")
    try:
        with open(partial, "wb") as stream:
            stream.write(struct.pack("<Q", len(encoded)))
            stream.write(encoded)
            for tensor in tensors.values():
                flat = tensor.detach().cpu().contiguous().reshape(-1)
                stream.write(flat.view(torch.uint8).numpy().data)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def write_directory(
    directory: Path,
    tensors: Mapping[str, Tensor],
    shard_of: Callable[[str], str] | None = None,
) -> None:
    """Write all tensors as `SINGLE_NAME`, or each into the file `shard_of` names, with an index.

    What lies there of the other kind is removed, so that nothing old is read in its place.

    Args:
        directory: is there already.
        tensors: by full name.
        shard_of: a tensor's name to a file name that ends in `.safetensors`.
    """
    index, single = directory / INDEX_NAMES[0], directory / SINGLE_NAME
    if shard_of is None:
        write(single, tensors)
        index.unlink(missing_ok=True)
        return
    shards: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        shards.setdefault(shard_of(name), {})[name] = tensor
    for file, part in shards.items():
        write(directory / file, part)
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    weight_map = {name: file for file, part in shards.items() for name in part}
    content = {"metadata": {"total_size": size}, "weight_map": weight_map}
    index.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    single.unlink(missing_ok=True)
