"""One layout of a model into the other: Hugging Face's directory, Sesame's and Kyutai's files."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from services.generator.model import files, weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.generation_config import FILE_NAME as GENERATION_CONFIG
from services.generator.model.generation_config import GenerationDefaults
from services.generator.model.hub import describe
from services.model_tools.parts import CONFIG, TOKENIZER, codec_config, kyutai_file, read_json
from services.tokenizer.codec import weights as codec_weights
from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.mimi import Mimi

LayoutName = Literal["hf", "sesame"]
CODEC_FILE = "mimi.safetensors"
_CONTEXT_LIMIT = "max_context_segments"
_FLAVORS = ("llama-1B", "llama-100M")
_TORCH_OF = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def convert(
    source: Path,
    target: Path,
    layout: LayoutName,
    *,
    codec: Path | None = None,
    tokenizer: Path | None = None,
    dtype: str | None = None,
) -> dict[str, str]:
    """Writes the model at `source` into the directory `target`; returns what it is in words.

    `codec` and `tokenizer` stand in for what `source` lacks. `dtype` (torch's name) defaults to
    the file's own; the codec stays fp32. Raises `ValueError` or a ValueError that names file
    and reason.
    """
    directory = source if source.is_dir() else source.parent
    if target.resolve() == directory.resolve():
        raise ValueError(f"{target}: is the source itself; name another directory")
    found = describe(source)
    kept = _TORCH_OF[found.dtypes[0]] if len(found.dtypes) == 1 else torch.float32
    kind: torch.dtype = getattr(torch, dtype) if dtype else kept
    tokenizer_json = tokenizer or directory / TOKENIZER
    if not tokenizer_json.is_file():
        raise ValueError(
            f"{tokenizer_json}: no such file; give --tokenizer FILE, a tokenizer.json of Llama 3.2"
        )
    # The codec first: it is quickly loaded, or found missing.
    mimi = load_codec(source, codec)
    model = weights.load(source, dtype=kind)
    _check_match(model.config, mimi.config, codec or source)
    target.mkdir(parents=True, exist_ok=True)
    own = directory / GENERATION_CONFIG
    defaults = read_json(own) if own.is_file() else GenerationDefaults().to_dict()
    write = _write_hf if layout == "hf" else _write_sesame
    write(model, mimi, target, tokenizer_json, defaults)
    _keep_limits(directory / CONFIG, target / CONFIG)
    return {
        "layout": f"{found.layout} -> {'Hugging Face' if layout == 'hf' else 'Sesame'}",
        "parameters": f"{found.parameters:,} {str(kind).removeprefix('torch.')}",
        "codec": f"{mimi.config.num_codebooks} codebooks of {mimi.config.codebook_size}",
    }


def load_codec(source: Path, codec: Path | None) -> Mimi:
    """The codec at `codec`, else the one inside or beside the model at `source`.

    Sizes come from the `config.json` beside a file of Kyutai's, which has none itself.
    """
    directory = source if source.is_dir() else source.parent
    place = codec or kyutai_file(directory) or source
    beside = place if place.is_dir() else place.parent
    try:
        if place.is_file() and kyutai_file(beside) and (beside / CONFIG).is_file():
            sizes = read_json(beside / CONFIG).get("codec_config")
            if isinstance(sizes, dict):
                return codec_weights.load(place, config=codec_config(beside))
        return codec_weights.load(place)
    except codec_weights.CodecWeightsError as error:
        hint = "" if codec else "; give --codec, Kyutai's Mimi file or a directory with a codec"
        raise ValueError(f"{error}{hint}") from None


def _check_match(config: CsmConfig, codec: MimiConfig, place: Path) -> None:
    if codec.num_codebooks < config.num_codebooks or codec.codebook_size != config.codebook_size:
        raise ValueError(
            f"{place}: a codec of {codec.num_codebooks} codebooks of {codec.codebook_size} does "
            f"not fit the model's {config.num_codebooks} of {config.codebook_size}"
        )


def _keep_limits(source: Path, target: Path) -> None:
    """Carries over what the model was trained for, which no layout's own keys say."""
    values = read_json(source) if source.is_file() else {}
    if _CONTEXT_LIMIT in values:
        _write_json(target, read_json(target) | {_CONTEXT_LIMIT: values[_CONTEXT_LIMIT]})


def _write_json(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _write_hf(
    model: Csm, mimi: Mimi, target: Path, tokenizer: Path, defaults: dict[str, Any]
) -> None:
    tensors = codec_weights.state_dict_hf(mimi)
    weights.save(
        model,
        target,
        tokenizer_json=tokenizer,
        generation_config=defaults,
        extra_tensors={f"codec_model.{name}": tensor for name, tensor in tensors.items()},
        codec_config=mimi.config.to_dict(),
    )


def _write_sesame(
    model: Csm, mimi: Mimi, target: Path, tokenizer: Path, defaults: dict[str, Any]
) -> None:
    """Sesame's names; Kyutai's file beside; the config in Sesame's words where those suffice."""
    try:
        kyutai: dict[str, Tensor] = codec_weights.state_dict_kyutai(mimi)
    except ValueError as error:
        raise ValueError(f"the codec has no form in Kyutai's layout: {error}") from None
    files.write(target / files.SINGLE_NAME, weights.state_dict_sesame(model))
    files.write(target / CODEC_FILE, kyutai)
    published = MimiConfig.mimi()
    own_words = _sesame_config(model.config)
    if own_words is None or mimi.config != published:
        own_words = model.config.to_dict(mimi.config.to_dict())
    _write_json(target / CONFIG, own_words)
    _write_json(target / GENERATION_CONFIG, defaults)
    shutil.copyfile(tokenizer, target / TOKENIZER)


def _sesame_config(config: CsmConfig) -> dict[str, Any] | None:
    """Sesame's `config.json`, which knows stacks by flavor only; None for any other shape."""
    sizes = {
        "text_vocab_size": config.text_vocab_size,
        "audio_vocab_size": config.audio_vocab_size,
    }
    for backbone in _FLAVORS:
        for depth in _FLAVORS:
            flavored = CsmConfig.from_flavors(
                backbone, depth, num_codebooks=config.num_codebooks, **sizes
            )
            if (flavored.backbone, flavored.depth) == (config.backbone, config.depth):
                return {
                    "backbone_flavor": backbone,
                    "decoder_flavor": depth,
                    "audio_num_codebooks": config.num_codebooks,
                    **sizes,
                }
    return None
