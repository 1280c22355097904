"""What `csm models info` tells of a model directory."""

from pathlib import Path
from typing import Any

from services.checkpoint import read_header
from services.generator.model.hub import describe
from services.generator.model.llama_config import LlamaConfig
from services.model_tools.parts import codec_config, kyutai_file


def figures(path: Path) -> dict[str, Any]:
    """Names and plain values. Raises the errors of `hub.describe` where it is no CSM."""
    found = describe(path)
    config = found.config
    directory = path if path.is_dir() else path.parent
    return {
        "layout": found.layout,
        "parameters": found.parameters,
        "parts": found.parameters_by_part,
        "dtypes": list(found.dtypes),
        "bytes": found.weight_bytes,
        "backbone": _stack(config.backbone),
        "depth_decoder": _stack(config.depth),
        "text_vocabulary": config.text_vocab_size,
        "codebooks": {"count": config.num_codebooks, "size": config.codebook_size},
        "max_positions": config.backbone.max_positions,
        "codec": _codec(directory, found.codec_parameters),
        "tokenizer": found.has_tokenizer,
        "files": [file.name for file in found.files],
        "digest": found.digest,
    }


def _stack(stack: LlamaConfig) -> dict[str, int]:
    return {
        "layers": stack.layers,
        "heads": stack.heads,
        "kv_heads": stack.kv_heads,
        "width": stack.width,
        "ffn_width": stack.ffn_width,
    }


def _codec(directory: Path, parameters: int) -> dict[str, Any] | str:
    """The codec's sizes; where it is not inside, the file of Kyutai's beside, or `none`."""
    if parameters:
        config = codec_config(directory)
        return {
            "parameters": parameters,
            "sample_rate_hz": config.sampling_rate_hz,
            "frame_rate_hz": f"{config.frame_rate_hz:g}",
            "codebooks": config.num_codebooks,
        }
    if file := kyutai_file(directory):
        count = sum(info.elements for info in read_header(file).values())
        return {"parameters": count, "file": file.name}
    return "none"
