"""The generator of Kokoro-82M (an iSTFTNet) in torch: most of its arithmetic, in bfloat16.

Two stages of upsampling with three residual blocks each, harmonics added in, and an inverse STFT of
20 samples every 5. Means over time are float32: in bfloat16 they are heard.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.corpus.teachers.kokoro_model import GENERATOR

_PREFIX = "decoder.decoder.generator."
_FFT, _HOP = 20, 5
_BINS = _FFT // 2 + 1
# Upsampling and its kernel; the stride of the harmonics' convolution and its padding.
_STAGES = ((10, 20, 6, 3), (6, 12, 1, 0))
_DILATIONS = (1, 3, 5)
_BLOCKS = 3


def _fast_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies in it: ten times slower than float32 elsewhere."""
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


_DTYPE = _fast_dtype()


class KokoroGenerator:
    """Hidden frames and harmonics to audio at 24 kHz."""

    def __init__(self, weights: Path) -> None:
        """`weights` is what `kokoro_model.prepare` leaves."""
        self._arrays = np.load(weights)
        multiplied = [self._array(f"{GENERATOR}Mul{n}_output_0") for n in ("", "_1", "_2")]
        self._up = [
            (w.to(_DTYPE).unsqueeze(2), self._named(f"ups.{i}.bias"))
            for i, w in enumerate(multiplied[:2])
        ]
        self._post = multiplied[2].to(_DTYPE).unsqueeze(2), self._named("conv_post.bias")
        self._harmonics = [self._convolution(f"noise_convs.{i}") for i in range(2)]
        self._noise_blocks = [_Block(self, f"noise_res.{i}") for i in range(2)]
        self._blocks = [_Block(self, f"resblocks.{i}") for i in range(2 * _BLOCKS)]
        self._window = torch.hann_window(_FFT)
        del self._arrays

    @torch.inference_mode()
    def __call__(self, hidden: np.ndarray, harmonics: np.ndarray, style: np.ndarray) -> np.ndarray:
        """Audio, float32 `[samples]`; all arguments float32 as the front gives them."""
        x, source = _image(hidden), _image(harmonics)
        voice = torch.from_numpy(style)
        for stage, (factor, kernel, stride, padding) in enumerate(_STAGES):
            x = functional.leaky_relu(x, 0.1)
            weight, bias = self._harmonics[stage]
            added = functional.conv2d(
                source, weight, bias, stride=(1, stride), padding=(0, padding)
            )
            added = self._noise_blocks[stage](added, voice)
            weight, bias = self._up[stage]
            x = functional.conv_transpose2d(
                x, weight, bias, stride=(1, factor), padding=(0, (kernel - factor) // 2)
            )
            if stage == len(_STAGES) - 1:
                x = torch.cat([x[..., 1:2], x], -1)
            x = x + added
            of_stage = self._blocks[stage * _BLOCKS : (stage + 1) * _BLOCKS]
            x = sum((block(x, voice) for block in of_stage[1:]), of_stage[0](x, voice)) / _BLOCKS
        x = _convolve(functional.leaky_relu(x), self._post)[:, :, 0].float()
        spectrum = torch.exp(x[:, :_BINS]) * torch.exp(1j * torch.sin(x[:, _BINS:]))
        audio = torch.istft(spectrum, _FFT, _HOP, _FFT, window=self._window)
        return np.asarray(audio[0].numpy())

    def _array(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self._arrays[name]))

    def _named(self, name: str) -> Tensor:
        return self._array(_PREFIX + name).to(_DTYPE)

    def _convolution(self, name: str) -> tuple[Tensor, Tensor]:
        weight = self._array(f"{GENERATOR}{name.replace('.convs', '/convs')}/Conv_quant_weight")
        return weight.to(_DTYPE).unsqueeze(2), self._named(f"{name}.bias")


class _Block:
    """Three residual units: norm by the voice's style, snake, convolution, twice."""

    def __init__(self, of: KokoroGenerator, name: str) -> None:
        self._units = []
        for unit in range(_BLOCKS):
            halves = []
            for half, dilation in ((1, _DILATIONS[unit]), (2, 1)):
                style = f"{name}/adain{half}.{unit}/fc/Gemm_MatMul_quant_weight"
                halves.append(
                    (
                        of._array(f"{GENERATOR}{style}"),
                        of._array(f"{_PREFIX}{name}.adain{half}.{unit}.fc.bias"),
                        of._named(f"{name}.alpha{half}.{unit}").unsqueeze(2),
                        of._convolution(f"{name}.convs{half}.{unit}"),
                        dilation,
                    )
                )
            self._units.append(halves)

    def __call__(self, x: Tensor, voice: Tensor) -> Tensor:
        for unit in self._units:
            y = x
            for weight, bias, alpha, convolution, dilation in unit:
                gain, shift = (voice @ weight + bias)[0].chunk(2)
                y = _normalized(y, 1 + gain, shift)
                y = y + torch.sin(y * alpha).square_() / alpha
                y = _convolve(y, convolution, dilation)
            x = x + y
        return x


def _image(array: np.ndarray) -> Tensor:
    """`[1, channels, frames]` as an image of one row, channels last: convolutions like that."""
    made = torch.from_numpy(array).to(_DTYPE).unsqueeze(2)
    return made.to(memory_format=torch.channels_last)


def _normalized(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()
    mean = rows.mean(0)
    variance = (rows.square().mean(0) - mean * mean).clamp_(min=0)
    scale = gain / torch.sqrt(variance + 1e-5)
    offset = (shift - mean * scale).view(1, -1, 1, 1)
    return torch.addcmul(offset.to(x.dtype), x, scale.view(1, -1, 1, 1).to(x.dtype))


def _convolve(x: Tensor, convolution: tuple[Tensor, Tensor], dilation: int = 1) -> Tensor:
    weight, bias = convolution
    padding = (weight.shape[-1] - 1) * dilation // 2
    return functional.conv2d(x, weight, bias, padding=(0, padding), dilation=(1, dilation))
