"""The generator of Kokoro-82M (an iSTFTNet) in torch: most of its arithmetic.

Two stages of upsampling with three residual blocks each, harmonics added in, and an inverse STFT of
20 samples every 5. Arrays are float32, `[frames, channels]`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.corpus.teachers.kokoro_model import GENERATOR
from training.corpus.teachers.overlap_save import OverlapSave

_PREFIX = "decoder.decoder.generator."
_FFT, _HOP = 20, 5
_BINS = _FFT // 2 + 1
# Upsampling and its kernel; the stride of the harmonics' convolution and its padding.
_STAGES = ((10, 20, 6, 3), (6, 12, 1, 0))
_DILATIONS = (1, 3, 5)
_BLOCKS = 3
# Kernels up to it are as fast without a way to the frequency domain and back.
_SHORT_KERNEL = 3


class KokoroGenerator:
    """Hidden frames and harmonics to audio at 24 kHz."""

    def __init__(self, weights: Path) -> None:
        """`weights` is what `kokoro_model.prepare` leaves."""
        self._arrays = np.load(weights)
        multiplied = [self._array(f"{GENERATOR}Mul{n}_output_0") for n in ("", "_1", "_2")]
        self._up = [
            (w.unsqueeze(2), self._named(f"ups.{i}.bias")) for i, w in enumerate(multiplied[:2])
        ]
        self._post = _convolution(multiplied[2], self._named("conv_post.bias"), 1)
        self._harmonics = [
            (self._weight(f"noise_convs.{i}").unsqueeze(2), self._named(f"noise_convs.{i}.bias"))
            for i in range(2)
        ]
        self._noise_blocks = [_Block(self, f"noise_res.{i}") for i in range(2)]
        self._blocks = [_Block(self, f"resblocks.{i}") for i in range(2 * _BLOCKS)]
        self._window = torch.hann_window(_FFT)
        del self._arrays

    @torch.inference_mode()
    def __call__(self, hidden: np.ndarray, harmonics: np.ndarray, style: np.ndarray) -> np.ndarray:
        """Audio, float32 `[samples]`; all arguments float32 as the front gives them."""
        x = torch.from_numpy(hidden)[0].T.contiguous()
        source = _image(torch.from_numpy(harmonics)[0].T.contiguous())
        voice = torch.from_numpy(style)
        for stage, (factor, kernel, stride, padding) in enumerate(_STAGES):
            weight, bias = self._harmonics[stage]
            added = functional.conv2d(
                source, weight, bias, stride=(1, stride), padding=(0, padding)
            )
            added = self._noise_blocks[stage](_rows(added), voice)
            weight, bias = self._up[stage]
            x = functional.conv_transpose2d(
                _image(functional.leaky_relu(x, 0.1)),
                weight,
                bias,
                stride=(1, factor),
                padding=(0, (kernel - factor) // 2),
            )
            x = _rows(x)
            if stage == len(_STAGES) - 1:
                x = torch.cat([x[1:2], x])
            x = x + added
            of_stage = self._blocks[stage * _BLOCKS : (stage + 1) * _BLOCKS]
            x = sum((block(x, voice) for block in of_stage[1:]), of_stage[0](x, voice)) / _BLOCKS
        x = self._post(functional.leaky_relu(x)).T[None]
        spectrum = torch.exp(x[:, :_BINS]) * torch.exp(1j * torch.sin(x[:, _BINS:]))
        audio = torch.istft(spectrum, _FFT, _HOP, _FFT, window=self._window)
        return np.asarray(audio[0].numpy())

    def _array(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self._arrays[name]))

    def _named(self, name: str) -> Tensor:
        return self._array(_PREFIX + name)

    def _weight(self, name: str) -> Tensor:
        return self._array(f"{GENERATOR}{name.replace('.convs', '/convs')}/Conv_quant_weight")


class _Block:
    """Three residual units: norm by the voice's style, snake, convolution, twice."""

    def __init__(self, of: KokoroGenerator, name: str) -> None:
        self._units = []
        for unit in range(_BLOCKS):
            halves = []
            for half, dilation in ((1, _DILATIONS[unit]), (2, 1)):
                style = f"{name}/adain{half}.{unit}/fc/Gemm_MatMul_quant_weight"
                convolution = f"{name}.convs{half}.{unit}"
                halves.append(
                    (
                        of._array(f"{GENERATOR}{style}"),
                        of._named(f"{name}.adain{half}.{unit}.fc.bias"),
                        of._named(f"{name}.alpha{half}.{unit}").flatten(),
                        _convolution(
                            of._weight(convolution), of._named(f"{convolution}.bias"), dilation
                        ),
                    )
                )
            self._units.append(halves)

    def __call__(self, x: Tensor, voice: Tensor) -> Tensor:
        for unit in self._units:
            y = x
            for weight, bias, alpha, convolution in unit:
                gain, shift = (voice @ weight + bias)[0].chunk(2)
                y = convolution(_norm_and_snake(y, 1 + gain, shift, alpha))
            x = x + y
        return x


def _norm_and_snake(x: Tensor, gain: Tensor, shift: Tensor, alpha: Tensor) -> Tensor:
    mean = x.mean(0)
    variance = (x.square().mean(0) - mean * mean).clamp_(min=0)
    scale = gain / torch.sqrt(variance + 1e-5)
    return _snake()(x, scale, shift - mean * scale, alpha)


@cache
def _snake() -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Scaled and shifted, then `x + sin(alpha x)^2 / alpha`, in one pass over memory."""

    def snake(x: Tensor, scale: Tensor, shift: Tensor, alpha: Tensor) -> Tensor:
        x = x * scale + shift
        return x + torch.sin(x * alpha).square() / alpha

    return torch.compile(snake, dynamic=True)


def _convolution(weight: Tensor, bias: Tensor, dilation: int) -> Callable[[Tensor], Tensor]:
    """A convolution of `[frames, in]` that keeps the length; `weight` is `[out, in, kernel]`."""
    if weight.shape[-1] > _SHORT_KERNEL:
        return OverlapSave(weight, bias, dilation)
    weight = weight.unsqueeze(2)
    padding = (weight.shape[-1] - 1) * dilation // 2

    def convolve(x: Tensor) -> Tensor:
        made = functional.conv2d(
            _image(x), weight, bias, padding=(0, padding), dilation=(1, dilation)
        )
        return _rows(made)

    return convolve


def _image(x: Tensor) -> Tensor:
    """`[frames, channels]` as an image of one row, channels last: convolutions like that."""
    return x.T[None, :, None]


def _rows(image: Tensor) -> Tensor:
    """The other way; no copy where `image` has its channels last."""
    return image[0, :, 0].T.contiguous()
