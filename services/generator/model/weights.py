"""Weights in and out: load a model directory or file, save one, or create random weights."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from services.generator.model import files, layouts
from services.generator.model.config import ConfigError, CsmConfig, LlamaConfig
from services.generator.model.csm import Csm
from services.generator.model.files import ModelWeightsError, TensorFiles
from services.generator.model.layouts import Layout

__all__ = [
    "ModelWeightsError",
    "create",
    "load",
    "read_config",
    "save",
    "state_dict_hf",
    "state_dict_sesame",
]

FLOATING = (torch.float32, torch.bfloat16, torch.float16)
"""The dtypes a model can be loaded in. Files may hold any of them; they are converted."""


def load(
    path: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Csm:
    """Load a model, in Hugging Face's or Sesame's layout, whichever the tensors' names say.

    Tensors are memory-mapped and copied one at a time: the peak is the model and one tensor. The
    codec's tensors (`codec_model.*`) are left to the tokenizer.

    Args:
        path: a model directory, or one safetensors file (`config.json` beside it).
        device: where the weights go.
        dtype: fp32, bf16 or fp16, whatever the file's.

    Raises:
        ModelWeightsError: the file, tensor and shapes that do not fit.
        ConfigError: the config's field, value and what is allowed.
    """
    if dtype not in FLOATING:
        names = ", ".join(str(kind).removeprefix("torch.") for kind in FLOATING)
        raise ValueError(f"dtype: {dtype} is not allowed, must be one of {names}")
    tensor_files = TensorFiles.find(Path(path))
    layout = _layout(tensor_files, Path(path))
    config = read_config(Path(path), tensor_files)
    _check(Csm(config, device="meta"), layout, tensor_files, Path(path))
    model = Csm(config, device=device, dtype=dtype)
    wanted = layouts.entries(model, layout)
    twins = layouts.aliases(layout)
    with torch.no_grad():
        for name, tensor in tensor_files.stream():
            if name not in wanted:
                continue
            original = twins.get(name)
            if original is not None and original in tensor_files.tensors:
                continue
            wanted[name].write(tensor)
        _check_twins(model, twins, tensor_files, dtype)
    return model.eval().requires_grad_(False)


def read_config(path: Path, tensor_files: TensorFiles | None = None) -> CsmConfig:
    """Return the config beside the weights; without a `config.json`, a shape by flavor.

    Sesame's file alone names no flavor, but its tensors' shapes fit only one.

    Raises:
        ConfigError: the config is wrong, or there is none and the shapes fit no flavor.
    """
    directory = path if path.is_dir() else path.parent
    if (directory / "config.json").is_file():
        return CsmConfig.from_directory(directory)
    tensors = (tensor_files or TensorFiles.find(path)).tensors
    needed = ("text_embeddings.weight", "audio_head")
    if any(name not in tensors or len(tensors[name].shape) < 2 for name in needed):
        raise ConfigError(f"{directory / 'config.json'}: no such file")
    heads = tensors["audio_head"].shape
    return CsmConfig.from_flavors(
        _flavor("backbone", tensors, directory),
        _flavor("decoder", tensors, directory),
        text_vocab_size=tensors["text_embeddings.weight"].shape[0],
        audio_vocab_size=heads[-1],
        num_codebooks=heads[0] + 1,
    )


def _flavor(prefix: str, tensors: Mapping[str, files.TensorInfo], directory: Path) -> str:
    layers = {name.split(".")[2] for name in tensors if name.startswith(f"{prefix}.layers.")}
    norm = tensors.get(f"{prefix}.norm.scale")
    width = norm.shape[0] if norm and norm.shape else 0
    for name in ("llama-1B", "llama-100M"):
        config = LlamaConfig.flavor(name)
        if (config.layers, config.width) == (len(layers), width):
            return name
    raise ConfigError(
        f"{directory / 'config.json'}: no such file, and {prefix} ({len(layers)} layers of width "
        f"{width}) is no flavor known by its shape (llama-1B, llama-100M)"
    )


def _layout(tensor_files: TensorFiles, path: Path) -> Layout:
    layout = layouts.detect(tensor_files.tensors)
    if layout is None:
        raise ModelWeightsError(
            f"{path}: neither embed_text_tokens.weight (Hugging Face) nor text_embeddings.weight "
            f"(Sesame) is among its {len(tensor_files.tensors)} tensors: not a CSM"
        )
    return layout


def _check(model: Csm, layout: Layout, tensor_files: TensorFiles, path: Path) -> None:
    """Compare names, shapes and dtypes with the model's before a byte of data is read."""
    wanted, twins, found = layouts.entries(model, layout), layouts.aliases(layout), tensor_files
    for name, entry in wanted.items():
        info = found.tensors.get(name)
        if info is None:
            same = {twins.get(name), *(alias for alias, to in twins.items() if to == name)}
            if any(other in found.tensors for other in same if other):
                continue
            where = found.files[0] if len(found.files) == 1 else path
            raise ModelWeightsError(
                f"{where}: tensor {name} is missing, expected shape {list(entry.shape)}"
            )
        if info.shape != entry.shape:
            raise ModelWeightsError(
                f"{info.file}: tensor {name} has shape {list(info.shape)}, expected "
                f"{list(entry.shape)}"
            )
        if info.dtype not in ("F32", "F16", "BF16"):
            raise ModelWeightsError(
                f"{info.file}: tensor {name} has dtype {info.dtype}, expected F32, F16 or BF16"
            )
    for name, info in found.tensors.items():
        if name not in wanted and not layouts.is_ignorable(name):
            raise ModelWeightsError(
                f"{info.file}: tensor {name} of shape {list(info.shape)} is unexpected in the "
                f"{layout.value} layout of this config"
            )


def _check_twins(
    model: Csm, twins: Mapping[str, str], tensor_files: TensorFiles, dtype: torch.dtype
) -> None:
    """Refuse tensors that must be one and are not: the model has one table where a file has two."""
    both = [alias for alias, name in twins.items() if {alias, name} <= tensor_files.tensors.keys()]
    if not both:
        return
    table = model.audio_embeddings
    for name, tensor in tensor_files.stream():
        if name in both and not torch.equal(tensor.to(table.device, dtype), table):
            raise ModelWeightsError(
                f"{tensor_files.tensors[name].file}: tensor {name} differs from {twins[name]}: "
                "untied code embeddings are not supported"
            )


def state_dict_hf(model: Csm) -> dict[str, Tensor]:
    """Return the tensors under Hugging Face's names, views of the model's memory.

    The code embeddings appear twice, as `transformers` has them: the same tensor.
    """
    found = layouts.entries(model, Layout.HUGGING_FACE)
    return {name: entry.read() for name, entry in found.items()}


def state_dict_sesame(model: Csm) -> dict[str, Tensor]:
    """Return the tensors under Sesame's names, q and k in neighbouring RoPE pairs (copied)."""
    return {name: entry.read() for name, entry in layouts.entries(model, Layout.SESAME).items()}


def save(
    model: Csm,
    directory: Path | str,
    *,
    tokenizer_json: Path | str | None = None,
    generation_config: Mapping[str, Any] | None = None,
    extra_tensors: Mapping[str, Tensor] | None = None,
    codec_config: Mapping[str, Any] | None = None,
    shard_of: Callable[[str], str] | None = None,
) -> None:
    """Write a model directory in Hugging Face's layout, which transformers loads too.

    Args:
        model: written in its own dtype.
        directory: made where it is missing; files of the same names are replaced.
        tokenizer_json: a `tokenizer.json` to copy beside the weights.
        generation_config: written as `generation_config.json`.
        extra_tensors: more tensors by full name, such as the codec's (`codec_model.*`).
        codec_config: the codec's config, written into `config.json`.
        shard_of: which file a tensor goes to; None: all into `model.safetensors`.

    Raises:
        ValueError: an extra tensor has the name of one of the model's.
    """
    directory = Path(directory)
    tensors = state_dict_hf(model)
    for alias in layouts.aliases(Layout.HUGGING_FACE):
        del tensors[alias]
    for name, tensor in (extra_tensors or {}).items():
        if name in layouts.entries(model, Layout.HUGGING_FACE):
            raise ValueError(f"extra_tensors: {name} is not allowed, it is the model's own")
        tensors[name] = tensor
    directory.mkdir(parents=True, exist_ok=True)
    config = model.config.to_dict(codec_config)
    config["dtype"] = str(model.dtype).removeprefix("torch.")
    _write_json(directory / "config.json", config)
    if generation_config is not None:
        _write_json(directory / "generation_config.json", generation_config)
    if tokenizer_json is not None:
        target = directory / "tokenizer.json"
        if Path(tokenizer_json).resolve() != target.resolve():
            shutil.copyfile(tokenizer_json, target)
    files.write_directory(directory, tensors, shard_of)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def create(config: CsmConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Csm:
    """Return a model of random weights on the CPU, the same for the same seed and config.

    Matrices are normal with variance 1 / fan-in, those that end a residual branch smaller by the
    square root of twice the layers, norms are one: hidden states and logits keep unit scale at any
    width.
    """
    model = Csm(config, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0)
                continue
            fan_in = 1 if name.endswith("_embeddings") else parameter.shape[-1]
            scale = 1.0 / math.sqrt(fan_in)
            if name.endswith(("attention_out.weight", "down.weight")):
                stack = config.depth if name.startswith("depth.") else config.backbone
                scale /= math.sqrt(2 * stack.layers)
            if name == "audio_embeddings":
                scale /= math.sqrt(config.num_codebooks)
            parameter.normal_(0.0, scale, generator=generator)
    return model.eval().requires_grad_(False)
