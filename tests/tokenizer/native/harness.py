"""Codecs to hold the native library against, and streams cut and mixed in every way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.tokenizer import codec
from services.tokenizer.codec import Mimi, MimiConfig
from services.tokenizer.native.codec import NativeDecoder, NativeEncoder
from tests.tokenizer.codec.cases import BIASED, FIVE, NINE
from training.codec import shape

PICO = Path(__file__).resolve().parents[3] / "models" / "pico"

# What the others lack: dilations of 1, 3 and 9, widths beside whole vectors, heads of more than two
# vectors, two channels, a frame of one position, and codebooks that are all of the latents.
ODD = MimiConfig(
    audio_channels=2,
    num_filters=20,
    num_residual_layers=3,
    residual_kernel_size=7,
    dilation_growth_rate=3,
    upsampling_ratios=(2, 1, 3),
    hidden_size=40,
    intermediate_size=50,
    num_hidden_layers=2,
    num_attention_heads=3,
    num_key_value_heads=3,
    head_dim=70,
    hidden_act="relu",
    sliding_window=20,
    layer_scale_initial_scale=0.5,
    resample_stride=1,
    upsample_groups=40,
    num_codebooks=3,
    codebook_size=30,
    codebook_dim=40,
)
CONFIGS = {"five": FIVE, "nine": NINE, "biased": BIASED, "odd": ODD, "pico": shape.pico()}

Array = NDArray[Any]


@cache
def mimi(name: str) -> Mimi:
    """The codec of a name in `CONFIGS` with random weights, or the voice that ships."""
    if name == "voice":
        return codec.load(PICO)
    return codec.create(CONFIGS[name], seed=3).requires_grad_(False)


def codes_of(config: MimiConfig, rows: int, frames: int, seed: int = 0) -> Array:
    """Random codes, int64 [rows, frames, num_codebooks]."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, config.codebook_size, (rows, frames, config.num_codebooks))


def audio_of(config: MimiConfig, rows: int, frames: int, seed: int = 0) -> Array:
    """Noise that swells, float32 [rows, frames, floats of a frame]."""
    generator = np.random.default_rng(seed)
    width = config.frame_samples * config.audio_channels
    noise = generator.standard_normal((rows, frames, width))
    return (0.2 * noise * np.sin(np.arange(frames))[None, :, None]).astype(np.float32)


def decoded(model: Mimi, codes: Array) -> Array:
    """What torch makes of codes at once, laid out as the native decoder does."""
    rows, frames, _ = codes.shape
    audio = model.decode(torch.from_numpy(codes).transpose(1, 2))
    return audio.transpose(1, 2).reshape(rows, frames, -1).numpy()


def as_torch(config: MimiConfig, audio: Array) -> torch.Tensor:
    """Native audio as `[rows, channels, samples]`."""
    whole = torch.from_numpy(audio).reshape(audio.shape[0], -1, config.audio_channels)
    return whole.transpose(1, 2).contiguous()


Maker = Callable[..., NativeDecoder | NativeEncoder]
HALVES: dict[str, tuple[Maker, Callable[..., Array]]] = {
    "decode": (NativeDecoder, codes_of),
    "encode": (NativeEncoder, audio_of),
}


def cut(model: NativeDecoder | NativeEncoder, row: int, stream: Array, sizes: list[int]) -> Array:
    """One stream [frames, width] through a fresh row in steps of `sizes`, repeated."""
    model.reset(row)
    parts, at, turn = [], 0, 0
    while at < len(stream):
        part = stream[at : at + sizes[turn % len(sizes)]]
        parts.append(model.step([row], part[None])[0])  # type: ignore[arg-type]
        at, turn = at + len(part), turn + 1
    return np.concatenate(parts)


def assert_alone_as_in_company(model: NativeDecoder | NativeEncoder, streams: Array) -> None:
    """Each of nine streams of four frames has the same bits alone as among two to nine."""
    alone = [cut(model, row, streams[row], [1]) for row in range(9)]
    for count in range(2, 10):
        rows = list(range(9 - count, 9))[::-1]
        for row in rows:
            model.reset(row)
        halves = [model.step(rows, streams[rows, at : at + 2]) for at in (0, 2)]
        for place, row in enumerate(rows):
            got = np.concatenate([half[place] for half in halves])
            assert np.array_equal(got, alone[row]), (count, row)
