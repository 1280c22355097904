"""Where the parts of a model lie on disk: its codec, its config, its tokenizer."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.checkpoint import SINGLE_NAME, CheckpointError, read_header
from services.generator.model.files import INDEX_NAMES
from services.generator.model.generation_config import FILE_NAME as GENERATION_CONFIG
from services.generator.model.hub import describe
from services.generator.model.llama_config import LlamaConfig
from services.tokenizer.codec.config import MimiConfig

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
KYUTAI_KEY = "encoder.model."
"""How the names of Kyutai's original Mimi begin, and no other checkpoint's."""


def shipped_voice() -> Path:
    """`models/pico` of this source tree, whatever the environment says."""
    return Path(__file__).resolve().parents[2] / "models" / "pico"


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises ValueError naming the file."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{file}: holds a {type(values).__name__}; an object is needed")
    return values


def codec_config(directory: Path) -> MimiConfig:
    """The codec's sizes by `config.json`; the published Mimi where it says nothing."""
    file = directory / CONFIG
    values = read_json(file).get("codec_config") if file.is_file() else None
    if not isinstance(values, dict):
        return MimiConfig.mimi()
    try:
        return MimiConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: codec_config: {error}") from None


def kyutai_file(directory: Path) -> Path | None:
    """Kyutai's Mimi file in a directory, recognised by its keys; None where there is none."""
    for file in sorted(directory.glob("*.safetensors")):
        try:
            names = read_header(file)
        except CheckpointError:
            continue
        if any(name.startswith(KYUTAI_KEY) for name in names):
            return file
    return None


@contextlib.contextmanager
def runnable(
    weights: Path, flavor: str | None, codec: Path | None, tokenizer: Path | None
) -> Iterator[Path]:
    """A model directory that the services can run, of weights in whichever layout.

    Where parts come from different places, they are linked together in a temporary directory for
    as long as the body runs; nothing is copied. Raises `ValueError` naming what is missing, and
    the errors of `hub.describe` where the weights are no CSM.
    """
    found = describe(weights)
    if flavor is not None and found.config.backbone != LlamaConfig.flavor(flavor):
        stack = found.config.backbone
        raise ValueError(
            f"{weights}: its backbone ({stack.layers} layers of width {stack.width}) is not "
            f"{flavor}; give the flavor that it has, or none"
        )
    home = weights if weights.is_dir() else weights.parent
    text = tokenizer or home / TOKENIZER
    if not text.is_file():
        raise ValueError(f"{text}: no such file; give --tokenizer, a tokenizer.json")
    beside = None if found.codec_parameters else codec or kyutai_file(home)
    if not found.codec_parameters and beside is None:
        raise ValueError(f"{weights}: has no codec; give --codec, Kyutai's Mimi file")
    if beside is not None and not beside.is_file():
        raise ValueError(f"{beside}: no such file")
    if weights.is_dir() and tokenizer is None and (beside is None or beside.parent == home):
        yield home
        return
    parts = {file.name: file for file in found.files}
    if len(found.files) == 1:
        parts = {SINGLE_NAME: found.files[0]}
    names = [CONFIG, GENERATION_CONFIG, *(INDEX_NAMES if len(found.files) > 1 else ())]
    parts |= {name: home / name for name in names if (home / name).is_file()}
    parts[TOKENIZER] = text
    if beside is not None:
        parts["codec.safetensors"] = beside
    with tempfile.TemporaryDirectory(prefix="csm-") as directory:
        for name, file in parts.items():
            (Path(directory) / name).symlink_to(file.resolve())
        yield Path(directory)
