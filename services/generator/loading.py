"""A model directory, loaded: weights, text tokenizer, defaults, and what it says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from csm.errors import FailedPrecondition
from csm.serving.process import cores
from services.generator.engine.protocol import Model
from services.generator.graphs.graphed_csm import GraphedCsm
from services.generator.model import hub
from services.generator.model.characters import readable_characters
from services.generator.model.generation_config import GenerationDefaults
from services.generator.model.hub import ModelDescription
from services.generator.model.reading import UnreadCsm
from services.generator.model.text import TextTokenizer
from services.generator.native.native_csm import NativeCsm
from services.generator.native.select import NativeMode, accelerate
from services.generator.settings import GeneratorSettings
from services.generator.voices import ModelVoice, load_voices
from services.model_directory import missing
from services.native.build import NativeUnavailable

DtypeName = Literal["auto", "float32", "bfloat16", "int8"]
"""What weights are held as; int8 is for CPUs and native frames alone."""

GraphsMode = Literal["auto", "off", "buckets"]
"""Whether frames are CUDA graphs, and of how many shapes (`graphs.graphed_csm`)."""

FAST_FLOAT32_PARAMETERS = 500_000_000
"""From here on a CPU reads bfloat16 weights: a step is bound by memory."""
THREADED_PARAMETERS = 100_000_000
"""Products of a smaller model gain nothing from a second thread, and where codec and generator
share two cores the threads' waiting for each other costs a third of the speed
(docs/performance.md)."""


DEFAULT_FRAME_MS = 80.0
"""Of Mimi's 12.5 frames a second, where the config does not say."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """All that the service needs of a model directory. `frame_ms`: milliseconds of audio in a
    frame; `voices`: the speakers that it names, empty where it names none; `characters`: those that
    it can read, empty where it can read any."""

    name: str
    model: Model
    tokenizer: TextTokenizer
    defaults: GenerationDefaults
    description: ModelDescription
    max_context_segments: int | None
    frame_ms: float = DEFAULT_FRAME_MS
    voices: tuple[ModelVoice, ...] = ()
    characters: str = ""

    @property
    def dtype_name(self) -> str:
        """What the weights are held as, e.g. "bfloat16"."""
        if isinstance(self.model, NativeCsm):
            return _NATIVE_NAMES[self.model.weights]
        return str(self.model.dtype).removeprefix("torch.")


def load_for(settings: GeneratorSettings) -> LoadedModel:
    """As `load`, with what the settings of a generator say."""
    return load(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        native=settings.native,
        graphs=settings.graphs,
        compiled=settings.compiled,
        threads=settings.threads,
        slots=settings.slots,
    )


def load(
    path: Path,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    dtype: DtypeName = "auto",
    native: NativeMode = "off",
    graphs: GraphsMode = "off",
    compiled: bool = False,
    threads: int = 0,
    slots: int = 1,
) -> LoadedModel:
    """Loads everything; blocks for as long as that takes.

    Args:
        path: the model directory, or its safetensors file.
        device: where it runs; auto: CUDA where there is one.
        dtype: of the weights; auto: by device and size.
        native: whether frames are made natively (`native.select`); int8 takes auto and off as
            required.
        graphs: whether frames are CUDA graphs; without effect on CPUs.
        compiled: whether torch.compile fuses their kernels.
        threads: of native frames; 0: see `threads_for`.
        slots: turns at once, for which the fastest native level is chosen.

    Raises:
        FailedPrecondition: what is wrong with which file, that there is no such device, or that
            native frames are required and cannot be had.
    """
    if not path.exists():
        raise FailedPrecondition(missing(path))
    if device == "cuda" and not torch.cuda.is_available():
        raise FailedPrecondition("device: cuda is not available on this machine; use cpu or auto")
    directory = path if path.is_dir() else path.parent
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        description = hub.describe(path)
        unread = UnreadCsm(path, dtype=torch_dtype(dtype, place, description.parameters))
        tokenizer = TextTokenizer.from_directory(directory, unread.config.token_ids)
        if tokenizer.vocab_size > unread.config.text_vocab_size:
            raise ValueError(
                f"{directory / 'tokenizer.json'}: {tokenizer.vocab_size} tokens; the model has "
                f"{unread.config.text_vocab_size} (text_vocab_size)"
            )
        is_int8 = dtype == "int8"
        model: Model
        by_torch = native in ("auto", "off")
        if place == "cuda" and graphs != "off" and by_torch and not is_int8:
            model = GraphedCsm(unread.read(place), buckets=graphs == "buckets", compiled=compiled)
        else:
            model = accelerate(
                unread if place == "cpu" else unread.read(place),
                "required" if is_int8 and by_torch else native,
                "int8" if is_int8 else None,
                threads=threads_for(description.parameters, threads),
                slots=slots,
            )
        return LoadedModel(
            name=directory.resolve().name,
            model=model,
            tokenizer=tokenizer,
            defaults=GenerationDefaults.from_directory(directory),
            description=description,
            max_context_segments=_max_context_segments(directory / "config.json"),
            frame_ms=_frame_ms(directory / "config.json"),
            voices=load_voices(directory),
            characters=readable_characters(tokenizer),
        )
    except NativeUnavailable as error:
        what = "dtype: int8" if dtype == "int8" else f"native: {native}"
        raise FailedPrecondition(f"{what} cannot be had here: {error}") from error
    except (ValueError, OSError) as error:
        raise FailedPrecondition(f"model: {path} cannot be used: {error}") from error


_NATIVE_NAMES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}


def threads_for(parameters: int, asked: int) -> int:
    """Return how many threads a model of so many parameters runs on; `asked` 0 leaves it open."""
    large = parameters >= THREADED_PARAMETERS
    return cores.threads_for(asked, large=large, most=torch.get_num_threads())


def use_threads(loaded: LoadedModel, asked: int) -> None:
    """Set torch's threads for a model's frames, in the thread that makes them."""
    # Of this thread, and of whichever thread of the process first uses torch after it. Native
    # frames have threads of their own: torch's would spin beside them behind every small copy.
    count = 1
    if not isinstance(loaded.model, NativeCsm):
        count = threads_for(loaded.description.parameters, asked)
    torch.set_num_threads(count)


def torch_dtype(name: DtypeName, place: str, parameters: int) -> torch.dtype:
    """Return what the weights of a model of so many parameters are read as on "cpu" or "cuda"."""
    # int8 is packed from what "auto" loads, which stays for the embeddings and the KV cache.
    if name in ("auto", "int8"):
        large = place == "cuda" or parameters >= FAST_FLOAT32_PARAMETERS
        return torch.bfloat16 if large else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def _frame_ms(path: Path) -> float:
    """From the codec's config: `_frame_rate` in transformers' present files, `frame_rate` in older
    ones."""
    codec = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    codec = codec.get("codec_config") or {}
    name = "_frame_rate" if codec.get("_frame_rate") is not None else "frame_rate"
    rate_hz = codec.get(name)
    if rate_hz is None:
        return DEFAULT_FRAME_MS
    is_number = isinstance(rate_hz, int | float) and not isinstance(rate_hz, bool)
    if not is_number or not 1 <= rate_hz <= 1000:
        raise ValueError(
            f"{path}: codec_config.{name}: {rate_hz!r} is not allowed, must be in [1, 1000]"
        )
    return 1000 / rate_hz


def _max_context_segments(path: Path) -> int | None:
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8")).get("max_context_segments")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(
            f"{path}: max_context_segments: {value!r} is not allowed, must be an integer >= 0"
        )
    return value
