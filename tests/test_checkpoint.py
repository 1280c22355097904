"""Safetensors are read by one reader, which trusts no file and no index."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from services import checkpoint
from services.checkpoint import CheckpointError
from services.generator.model import weights as generator_weights
from services.tokenizer import codec
from services.tokenizer.codec.weights import state_dict_hf
from tests.generator.tiny import tiny_csm
from tests.tokenizer.codec.cases import FIVE

OUTSIDE = (
    "../outside.safetensors",
    "/etc/outside.safetensors",
    "a/b.safetensors",
    "..\\o",
    "..",
    7,
)


def raw(header: object, data: bytes = b"") -> bytes:
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def entry(shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def test_a_header_tells_shapes_without_reading_the_numbers(tmp_path: Path) -> None:
    file = tmp_path / "some.safetensors"
    save_file({"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}, file)
    found = checkpoint.read_header(file)
    assert {name: (info.dtype, info.shape, info.bytes) for name, info in found.items()} == {
        "a": ("F32", (2, 3), 24),
        "b": ("BF16", (4,), 8),
    }
    assert found["a"].elements == 6
    (only,) = checkpoint.read_tensors(file, ["b"])
    assert only[0] == "b"
    assert torch.equal(only[1], torch.ones(4, dtype=torch.bfloat16))
    assert dict(checkpoint.read_tensors(file)).keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short"),
        (b"\x10\0\0\0\0\0\0\0{}", "cut short"),
        (b"\xff" * 8, "header too large"),
        (raw([1]), "not a readable safetensors file"),
        (raw({"a": 3}), "not a readable safetensors file"),
        (raw({"a": entry([1], 4, 0)}, bytes(4)), "tensor a lies at 4 to 0"),
        (raw({"a": entry([-1], 0, 4)}, bytes(4)), "shape \\[-1\\]"),
        (
            raw({"a": entry([2], 0, 8)}, bytes(4)),
            "4 bytes of data where 8 are announced",
        ),
    ],
)
def test_a_broken_file_is_named_and_explained(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{file}.*{message}"):
        checkpoint.read_header(file)


def test_a_file_or_tensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "some.safetensors"
    with pytest.raises(CheckpointError, match=f"{file}: no such file"):
        checkpoint.read_header(file)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=f"{file}: .*other"):
        list(checkpoint.read_tensors(file, ["other"]))


@pytest.mark.parametrize("shard", OUTSIDE)
def test_an_index_names_only_files_beside_it(shard: object, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": shard}}))
    with pytest.raises(CheckpointError, match=re.escape(f"{shard!r} is not a plain file name")):
        checkpoint.read_index(index)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    with pytest.raises(CheckpointError, match=f"{index}: not"):
        checkpoint.read_index(index)


def test_neither_model_is_read_through_an_index_that_points_outside(tmp_path: Path) -> None:
    """The tensors of the file outside would fit: only where it lies is wrong."""
    outside = tmp_path / "outside.safetensors"
    for name, tensors, load in (
        ("csm", generator_weights.state_dict_hf(tiny_csm()), generator_weights.load),
        ("codec", state_dict_hf(codec.create(FIVE)), codec.load),
    ):
        directory = tmp_path / name
        if name == "csm":
            generator_weights.save(tiny_csm(), directory)
            (directory / "model.safetensors").unlink()
        else:
            directory.mkdir()
            (directory / "config.json").write_text(json.dumps(FIVE.to_dict()))
        save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, outside)
        weight_map = dict.fromkeys(tensors, "../outside.safetensors")
        index = directory / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": weight_map}))
        with pytest.raises(CheckpointError, match=r"'\.\./outside.safetensors' is not a plain"):
            load(directory)
