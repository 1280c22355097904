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
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.files import ModelWeightsError
from services.generator.model.layouts import Layout
from services.generator.model.reading import UnreadCsm, read_config

__all__ = [
    "ModelWeightsError",
    "create",
    "load",
    "read_config",
    "save",
    "state_dict_hf",
    "state_dict_sesame",
]


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
    return UnreadCsm(path, dtype=dtype).read(device)


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
