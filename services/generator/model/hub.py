"""What a model directory on disk is, by its headers alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from services.generator.model import layouts, weights
from services.generator.model.config import CsmConfig
from services.generator.model.files import ModelWeightsError, TensorFiles


@dataclass(frozen=True)
class ModelDescription:
    """What `csm models info` tells. Read from headers alone.

    `digest` is sha256 over the safetensors' headers and sizes: it tells models of different names,
    shapes, dtypes or sizes apart, not different values of the same shapes.
    """

    path: Path
    layout: str
    config: CsmConfig
    parameters: int
    parameters_by_part: dict[str, int]
    codec_parameters: int
    weight_bytes: int
    dtypes: tuple[str, ...]
    files: tuple[Path, ...]
    has_tokenizer: bool
    digest: str


def describe(path: Path | str) -> ModelDescription:
    """Describe a model directory or safetensors file without loading it.

    Raises:
        ModelWeightsError, ConfigError: it is no CSM, or broken; as `weights.load`.
    """
    path = Path(path)
    found = TensorFiles.find(path)
    layout = layouts.detect(found.tensors)
    if layout is None:
        raise ModelWeightsError(f"{path}: no text embedding among its tensors: not a CSM")
    config = weights.read_config(path, found)
    twins = layouts.aliases(layout)
    parts: Counter[str] = Counter()
    codec_parameters, dtypes = 0, set()
    for name, info in found.tensors.items():
        count = info.elements
        if name.startswith("codec_model."):
            codec_parameters += count
            continue
        dtypes.add(info.dtype)
        if not layouts.is_ignorable(name) and twins.get(name) not in found.tensors:
            parts[layouts.part(name)] += count
    directory = path if path.is_dir() else path.parent
    return ModelDescription(
        path=path,
        layout=layout.value,
        config=config,
        parameters=sum(parts.values()),
        parameters_by_part=dict(sorted(parts.items())),
        codec_parameters=codec_parameters,
        weight_bytes=sum(file.stat().st_size for file in found.files),
        dtypes=tuple(sorted(dtypes)),
        files=found.files,
        has_tokenizer=(directory / "tokenizer.json").is_file(),
        digest=found.digest(),
    )
