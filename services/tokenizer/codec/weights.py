"""Reading a codec from disk: model directories and single files, recognised by their keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor

from services import checkpoint
from services.checkpoint import SINGLE_NAME, CheckpointError
from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.layout import (
    check_kyutai,
    kyutai_to_hf,
    load_hf,
    state_dict_hf,
    state_dict_kyutai,
)
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.codec.random import create

__all__ = [
    "CodecWeightsError",
    "create",
    "load",
    "read_config",
    "state_dict_hf",
    "state_dict_kyutai",
]

# Flags of training that say nothing about the function.
_IGNORED_SUFFIXES = (".initialized", "._initialized")
_KYUTAI_CODEBOOK = re.compile(r"^quantizer\.rvq_(?:first|rest)\.vq\.layers\.\d+\._codebook\.emb")


CodecWeightsError = CheckpointError
"""A file or directory does not hold the weights of a codec as its config describes them."""


class _Layout(Enum):
    """Whose names a checkpoint uses, by the start of a key that only it has."""

    CSM = "codec_model.encoder.layers."
    HF = "encoder.layers."
    KYUTAI = "encoder.model."


@dataclass(frozen=True)
class _CodecFiles:
    """Where each tensor of a codec lies: key as in the file, to file."""

    layout: _Layout
    files: Mapping[str, Path]

    @property
    def prefix(self) -> str:
        """What stands in front of every key of the codec."""
        return "codec_model." if self.layout is _Layout.CSM else ""


def load(
    path: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    config: MimiConfig | None = None,
) -> Mimi:
    """Load a codec from `path`, in evaluation mode and with frozen parameters.

    `path` is a CSM model directory (`config.json` with `codec_config`, `codec_model.*` tensors), a
    Hugging Face `MimiModel` directory, or one safetensors file of either or of Kyutai's original
    codec. Only safetensors are read. Weights are cast to `dtype`; the quantizer stays in float32,
    for a rounded codebook gives other codes.

    `config` replaces the directory's own. Kyutai's file has none: without `config` it is taken for
    the published Mimi with as many codebooks as the file holds.

    Raises:
        CodecWeightsError: `path` holds no codec, or a tensor is missing, unknown or of another
            shape than the config says; names tensor, shapes and file.
    """
    path = Path(path)
    found = _find(path)
    kyutai = found.layout is _Layout.KYUTAI
    if config is None:
        config = _config_of(path, found)
    if kyutai:
        try:
            check_kyutai(config)
        except ValueError as error:
            raise CodecWeightsError(f"{path}: {error}") from error
    mimi = Mimi(config).eval().requires_grad_(False)
    expected = state_dict_kyutai(mimi) if kyutai else state_dict_hf(mimi)
    tensors = _read(path, found, {name: tuple(t.shape) for name, t in expected.items()})
    mimi.to(device=device, dtype=dtype).quantizer.float()
    load_hf(mimi, kyutai_to_hf(mimi, tensors) if kyutai else tensors)
    return mimi


def read_config(path: Path | str) -> MimiConfig:
    """Return the config of the codec that `load` would load, without its weights.

    Raises:
        CodecWeightsError: `path` holds no codec, or its config cannot be used.
    """
    path = Path(path)
    return _config_of(path, _find(path))


def _config_of(path: Path, found: _CodecFiles) -> MimiConfig:
    if found.layout is _Layout.KYUTAI:
        return _kyutai_config(found)
    return _config(path, found.layout)


def _find(path: Path) -> _CodecFiles:
    """The codec's layout and files at `path`, a directory or a file."""
    if path.is_file():
        if path.suffix != ".safetensors":
            raise CodecWeightsError(f"{path}: allowed: a .safetensors file or a directory of them")
        sources = [_keys_of(path)]
    elif path.is_dir():
        sources = list(_sources(path))
    else:
        raise CodecWeightsError(f"{path}: no such file or directory")
    # By layout first: a CSM directory may hold another format's codec beside its own.
    for layout in _Layout:
        for files in sources:
            if any(key.startswith(layout.value) for key in files):
                return _CodecFiles(layout, files)
    starts = ", ".join(f"{layout.value}*" for layout in _Layout)
    raise CodecWeightsError(f"{path}: no codec found; allowed: safetensors with keys {starts}")


def _sources(directory: Path) -> Iterable[dict[str, Path]]:
    """Every checkpoint a directory may hold, in the order Hugging Face prefers them."""
    single = directory / SINGLE_NAME
    if single.is_file():
        yield _keys_of(single)
    sharded: set[Path] = set()
    for index in sorted(directory.glob("*.safetensors.index.json")):
        files = checkpoint.read_index(index)
        sharded |= set(files.values())
        yield files
    for file in sorted(directory.glob("*.safetensors")):
        if file != single and file not in sharded:
            yield _keys_of(file)


def _keys_of(file: Path) -> dict[str, Path]:
    return dict.fromkeys(checkpoint.read_header(file), file)


def _json(file: Path) -> dict[str, object]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CodecWeightsError(f"{file}: not readable as JSON: {error}") from error
    if not isinstance(values, dict):
        raise CodecWeightsError(f"{file}: holds a {type(values).__name__}; allowed: an object")
    return values


def _config(path: Path, layout: _Layout) -> MimiConfig:
    file = (path if path.is_dir() else path.parent) / "config.json"
    values = _json(file)
    if layout is _Layout.CSM:
        inner = values.get("codec_config")
        if not isinstance(inner, dict):
            raise CodecWeightsError(f"{file}: codec_config is {inner!r}; allowed: an object")
        values = inner
    try:
        return MimiConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise CodecWeightsError(f"{file}: {error}") from error


def _kyutai_config(found: _CodecFiles) -> MimiConfig:
    codebooks = sum(bool(_KYUTAI_CODEBOOK.match(key)) for key in found.files)
    published = MimiConfig.mimi()
    least = published.num_semantic_codebooks + 1
    return replace(published, num_codebooks=max(codebooks, least))


def _read(
    path: Path, codec: _CodecFiles, expected: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """The tensors of the codec by name without prefix, each of the expected shape."""
    prefix = codec.prefix
    by_file: dict[Path, list[str]] = {}
    found: set[str] = set()
    for key, file in codec.files.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            found.add(name)
            if not name.endswith(_IGNORED_SUFFIXES):
                by_file.setdefault(file, []).append(name)
    for name, shape in expected.items():
        if name not in found and not name.endswith(_IGNORED_SUFFIXES):
            raise CodecWeightsError(
                f"{path}: tensor {prefix}{name} is missing; expected shape {list(shape)}"
            )
    tensors: dict[str, Tensor] = {}
    for file, names in by_file.items():
        if not file.is_file():
            raise CodecWeightsError(f"{file}: no such file, though the index names it")
        stored = checkpoint.read_header(file)
        for name in names:
            key = prefix + name
            if key not in stored:
                raise CodecWeightsError(f"{file}: tensor {key} is missing, though indexed")
            shape = stored[key].shape
            if name not in expected:
                raise CodecWeightsError(
                    f"{file}: tensor {key} of shape {list(shape)} is unknown; "
                    "expected no such tensor for this config"
                )
            if shape != expected[name]:
                raise CodecWeightsError(
                    f"{file}: tensor {key} has shape {list(shape)}; expected {list(expected[name])}"
                )
        for key, tensor in checkpoint.read_tensors(file, [prefix + name for name in names]):
            tensors[key.removeprefix(prefix)] = tensor.float()
    return tensors
