"""A model on disk, checked before a number of it is read, and read whole or part by part."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from services import checkpoint
from services.checkpoint import TensorInfo
from services.generator.model import layouts
from services.generator.model.config import ConfigError, CsmConfig, LlamaConfig
from services.generator.model.csm import Csm
from services.generator.model.files import ModelWeightsError, TensorFiles
from services.generator.model.layouts import Layout

FLOATING = (torch.float32, torch.bfloat16, torch.float16)
"""The dtypes a model can be loaded in. Files may hold any of them; they are converted."""


class UnreadCsm:
    """A model on disk whose tensors fit its config, and of which no number is read yet.

    It is read as a whole, or part by part by who makes something else of each part: then there is
    never more than one part of the original in memory.

    Args:
        path: a model directory, or one safetensors file (`config.json` beside it).
        dtype: what it is read as, fp32, bf16 or fp16, whatever the file's.

    Raises:
        ModelWeightsError: the file, tensor and shapes that do not fit.
        ConfigError: the config's field, value and what is allowed.
    """

    def __init__(self, path: Path | str, *, dtype: torch.dtype = torch.float32) -> None:
        if dtype not in FLOATING:
            names = ", ".join(str(kind).removeprefix("torch.") for kind in FLOATING)
            raise ValueError(f"dtype: {dtype} is not allowed, must be one of {names}")
        self.dtype = dtype
        self._files = TensorFiles.find(Path(path))
        self._layout = _layout(self._files, Path(path))
        self.config = read_config(Path(path), self._files)
        self.model = Csm(self.config, device="meta", dtype=dtype).eval().requires_grad_(False)
        """Its parts weigh nothing but within `part`."""
        _check(self.model, self._layout, self._files, Path(path))

    def read(self, device: torch.device | str = "cpu") -> Csm:
        """Return the whole model, on a device.

        Raises:
            ModelWeightsError: a tensor is not as it must be.
        """
        model = Csm(self.config, device=device, dtype=self.dtype).eval().requires_grad_(False)
        self._copy(self._entries(model))
        self._check_twins(model.audio_embeddings)
        return model

    @contextlib.contextmanager
    def part(self, module: nn.Module, *, recurse: bool = True) -> Iterator[None]:
        """Within this block the parameters of a module of `model` are on the CPU, and as on disk.

        Args:
            module: `model` itself, or one in it.
            recurse: whether those of the modules in it are, too.
        """
        others = self._present()
        _place(module, "cpu", recurse=recurse)
        try:
            wanted = self._entries(self.model)
            self._copy({name: wanted[name] for name in self._present() - others})
            yield
        finally:
            _place(module, "meta", recurse=recurse)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Return the tables of codes and of text on the CPU, for good.

        Raises:
            ModelWeightsError: a file has two tables of codes, and they differ.
        """
        with self.part(self.model, recurse=False):
            audio, text = self.model.audio_embeddings.detach(), self.model.text_embeddings.detach()
        self._check_twins(audio)
        return audio, text

    def _entries(self, model: Csm) -> dict[str, layouts.Entry]:
        return layouts.entries(model, self._layout)

    def _present(self) -> set[str]:
        entries = self._entries(self.model).items()
        return {name for name, entry in entries if entry.view.device.type != "meta"}

    def _copy(self, wanted: Mapping[str, layouts.Entry]) -> None:
        twins, tensors = layouts.aliases(self._layout), self._files.tensors
        by_file: dict[Path, list[str]] = {}
        for name in wanted:
            if name in tensors and twins.get(name) not in tensors:
                by_file.setdefault(tensors[name].file, []).append(name)
        with torch.no_grad():
            for file, names in by_file.items():
                for name, tensor in checkpoint.read_tensors(file, names):
                    wanted[name].write(tensor)

    def _check_twins(self, table: Tensor) -> None:
        """Refuse tensors that must be one and are not: the model has one table, a file has two."""
        twins, tensors = layouts.aliases(self._layout), self._files.tensors
        for alias, name in twins.items():
            if not {alias, name} <= tensors.keys():
                continue
            for _, tensor in checkpoint.read_tensors(tensors[alias].file, [alias]):
                if not torch.equal(tensor.to(table.device, self.dtype), table):
                    raise ModelWeightsError(
                        f"{tensors[alias].file}: tensor {alias} differs from {name}: "
                        "untied code embeddings are not supported"
                    )


def _place(module: nn.Module, device: str, *, recurse: bool) -> None:
    """Make a module's parameters anew on a device, of any values.

    `Module.to_empty` does the same by way of torch's compiler, which takes two seconds to import.
    """
    for owner in module.modules() if recurse else (module,):
        for name, old in list(owner.named_parameters(recurse=False)):
            new = torch.empty(old.shape, dtype=old.dtype, device=device)
            setattr(owner, name, nn.Parameter(new, requires_grad=False))


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


def _flavor(prefix: str, tensors: Mapping[str, TensorInfo], directory: Path) -> str:
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
