"""A model directory, loaded: weights, text tokenizer, defaults, and what it says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from csm.serving.errors import FailedPrecondition
from services.generator.model import hub, weights
from services.generator.model.csm import Csm
from services.generator.model.generation_config import GenerationDefaults
from services.generator.model.hub import ModelDescription
from services.generator.model.text import TextTokenizer

FAST_FLOAT32_PARAMETERS = 500_000_000
"""From here on a CPU reads bfloat16 weights: a step is bound by memory."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """All that the service needs of a model directory."""

    name: str
    model: Csm
    tokenizer: TextTokenizer
    defaults: GenerationDefaults
    description: ModelDescription
    max_context_segments: int | None

    @property
    def dtype_name(self) -> str:
        """E.g. "bfloat16"."""
        return str(self.model.dtype).removeprefix("torch.")


def load(
    path: Path,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
) -> LoadedModel:
    """Loads everything; blocks for as long as that takes.

    Raises:
        FailedPrecondition: what is wrong with which file, or that there is no such device.
    """
    if not path.exists():
        raise FailedPrecondition(f"model: {path} does not exist; it must be a model directory")
    if device == "cuda" and not torch.cuda.is_available():
        raise FailedPrecondition("device: cuda is not available on this machine; use cpu or auto")
    directory = path if path.is_dir() else path.parent
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        description = hub.describe(path)
        model = weights.load(path, device=place, dtype=_dtype(dtype, place, description.parameters))
        tokenizer = TextTokenizer.from_directory(directory, model.config.token_ids)
        if tokenizer.vocab_size > model.config.text_vocab_size:
            raise ValueError(
                f"{directory / 'tokenizer.json'}: {tokenizer.vocab_size} tokens; the model has "
                f"{model.config.text_vocab_size} (text_vocab_size)"
            )
        return LoadedModel(
            name=directory.resolve().name,
            model=model,
            tokenizer=tokenizer,
            defaults=GenerationDefaults.from_directory(directory),
            description=description,
            max_context_segments=_max_context_segments(directory / "config.json"),
        )
    except (ValueError, OSError) as error:
        raise FailedPrecondition(f"model: {path} cannot be used: {error}") from error


def _dtype(name: str, place: str, parameters: int) -> torch.dtype:
    if name == "auto":
        large = place == "cuda" or parameters >= FAST_FLOAT32_PARAMETERS
        return torch.bfloat16 if large else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def _max_context_segments(path: Path) -> int | None:
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8")).get("max_context_segments")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(
            f"{path}: max_context_segments: {value!r} is not allowed, must be an integer >= 0"
        )
    return value
