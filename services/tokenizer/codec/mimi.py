"""Mimi: audio to frames of codes and back, at once or as it arrives.

Défossez et al. 2024 (Moshi, arXiv 2410.00037), section 3.3. Everything in it is causal, so encoding
or decoding at once is streaming from a fresh state, and one path serves both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.conv import CausalConv1d, CausalConvTranspose1d, ConvState
from services.tokenizer.codec.quantizer import SplitQuantizer
from services.tokenizer.codec.seanet import SeanetDecoder, SeanetEncoder, StackState
from services.tokenizer.codec.streaming import row_mask
from services.tokenizer.codec.transformer import Transformer, TransformerState

# Longer steps are split: it bounds the memory of a pass, and keeps activations in the caches.
_MAX_STEP_FRAMES = 16


@dataclass
class _DirectionState:
    """What one direction of the codec remembers of `rows` streams; streams share nothing."""

    rows: int
    seanet: StackState
    transformer: TransformerState
    resample: ConvState | None

    def reset(self, mask: Tensor | None = None) -> None:
        """Make the rows where `mask` (bool `[rows]`) is True fresh; all rows when it is None.

        Raises:
            ValueError: `mask` is not bool of shape `[rows]`.
        """
        mask = row_mask(mask, self.rows, self.transformer.positions.device, "mask")
        for part in (self.seanet, self.transformer, self.resample):
            if part is not None:
                part.reset(mask)


class EncoderState(_DirectionState):
    """The state of `Mimi.encode_step`."""


class DecoderState(_DirectionState):
    """The state of `Mimi.decode_step`."""


class Mimi(nn.Module):
    """The codec. Audio is float32 in [-1, 1] at `config.sampling_rate_hz`.

    Encoding and the two steps run without gradients. For training, `latents`, `quantizer` and
    `synthesize` are differentiable, and so is `decode` while gradients are enabled and a
    parameter of the decoder asks for them (those of `weights.load` do not until told to).
    """

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = SeanetEncoder(config)
        self.encoder_transformer = Transformer(config)
        self.quantizer = SplitQuantizer(config)
        self.decoder_transformer = Transformer(config)
        self.decoder = SeanetDecoder(config)
        self.downsample: CausalConv1d | None = None
        self.upsample: CausalConvTranspose1d | None = None
        hidden, stride = config.hidden_size, config.resample_stride
        if stride > 1:
            self.downsample = CausalConv1d(
                hidden, hidden, 2 * stride, stride=stride, bias=False, replicate=True
            )
            self.upsample = CausalConvTranspose1d(
                hidden, hidden, stride, groups=config.upsample_groups, bias=False
            )

    # Once ------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """Audio `[rows, channels, samples]` to codes, int64 `[rows, num_codebooks, frames]`.

        Any number of samples from one up; the last partial frame is completed with silence.
        (transformers pads each convolution instead, so its last code differs there.)

        Raises:
            ValueError: the shape or the type is wrong, or there are no samples.
        """
        audio = self.pad(audio)
        return self.encode_step(audio, self.encoder_state(audio.shape[0]))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `[rows, k, frames]` to audio `[rows, channels, frames * frame_samples]`.

        k may be less than `num_codebooks`: the first k codebooks give coarser audio.

        Raises:
            ValueError: the shape or the type is wrong, or a code is out of range.
        """
        if torch.is_grad_enabled() and any(
            p.requires_grad
            for part in (self.upsample, self.decoder_transformer, self.decoder)
            if part is not None
            for p in part.parameters()
        ):
            self._check_codes(codes)
            self._check_range(codes)
            return self.synthesize(self.quantizer.decode(codes.to(self._device)))
        self._check_codes(codes)
        self._check_range(codes)
        return self.decode_step(codes, self.decoder_state(codes.shape[0]))

    def pad(self, audio: Tensor) -> Tensor:
        """Audio `[rows, channels, samples]` completed with silence to whole frames.

        The true length is the caller's to keep: `decode(codes)[..., :samples]` has it again.

        Raises:
            ValueError: the shape or the type is wrong, or there are no samples.
        """
        self._check_audio(audio)
        samples = audio.shape[2]
        whole = self.config.num_frames(samples) * self.config.frame_samples
        return F.pad(audio, (0, whole - samples)) if whole > samples else audio

    def latents(self, audio: Tensor) -> Tensor:
        """Audio in whole frames `[rows, channels, samples]` to `[rows, frames, hidden_size]`.

        What the quantizer reads; one differentiable pass over the whole sequence.

        Raises:
            ValueError: the shape or the type is wrong, or the samples are not whole frames.
        """
        self._check_audio(audio, whole_frames=True)
        return self._encode_latents(audio, None, None)

    def synthesize(self, latents: Tensor) -> Tensor:
        """`[rows, frames, hidden_size]`, as `quantizer.decode` gives it, to audio.

        One differentiable pass; returns float32 `[rows, channels, frames * frame_samples]`.
        """
        return self._decode_latents(latents, None, None)

    # As it arrives ---------------------------------------------------------------------------

    def encoder_state(self, rows: int) -> EncoderState:
        """A fresh state for `rows` streams, for `encode_step`.

        Raises:
            ValueError: `rows` is below 1.
        """
        _check_rows(rows)
        with torch.inference_mode(False), torch.no_grad():
            return EncoderState(
                rows,
                self.encoder.state(rows),
                self.encoder_transformer.state(rows, self._max_step),
                None if self.downsample is None else self.downsample.state(rows),
            )

    def decoder_state(self, rows: int) -> DecoderState:
        """A fresh state for `rows` streams, for `decode_step`.

        Raises:
            ValueError: `rows` is below 1.
        """
        _check_rows(rows)
        with torch.inference_mode(False), torch.no_grad():
            return DecoderState(
                rows,
                self.decoder.state(rows),
                self.decoder_transformer.state(rows, self._max_step),
                None if self.upsample is None else self.upsample.state(rows),
            )

    @torch.no_grad()
    def encode_step(
        self, audio: Tensor, state: EncoderState, exec_mask: Tensor | None = None
    ) -> Tensor:
        """Next audio `[rows, channels, n * frame_samples]` to codes `[rows, num_codebooks, n]`.

        `exec_mask` (bool `[rows]`, None: all) names the rows that advance; the others keep their
        state, and what is returned for them is garbage.

        Raises:
            ValueError: a shape or a type is wrong, or the samples are not whole frames.
        """
        self._check_audio(audio, whole_frames=True)
        exec_mask = self._check_step(audio.shape[0], state, exec_mask, "audio")
        parts = [
            self.quantizer.encode(self._encode_latents(part, state, exec_mask))
            for part in audio.split(_MAX_STEP_FRAMES * self.config.frame_samples, dim=2)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    @torch.no_grad()
    def decode_step(
        self, codes: Tensor, state: DecoderState, exec_mask: Tensor | None = None
    ) -> Tensor:
        """Next codes `[rows, k, n]` to audio, float32 `[rows, channels, n * frame_samples]`.

        `exec_mask` as in `encode_step`; rows that do not execute need codes in range all the same.
        Codes on an accelerator are not checked for their range, which would wait for the device:
        whoever takes them from outside checks them first.

        Raises:
            ValueError: a shape or a type is wrong, or a code is out of range.
        """
        self._check_codes(codes)
        exec_mask = self._check_step(codes.shape[0], state, exec_mask, "codes")
        if codes.device.type == "cpu":
            self._check_range(codes)
        parts = [
            self._decode_latents(self.quantizer.decode(part), state, exec_mask)
            for part in codes.to(self._device).split(_MAX_STEP_FRAMES, dim=2)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    # Parts -----------------------------------------------------------------------------------

    def _encode_latents(
        self, audio: Tensor, state: EncoderState | None, exec_mask: Tensor | None
    ) -> Tensor:
        weight = self.get_parameter("encoder.layers.0.weight")
        x = audio.to(weight.device, weight.dtype).transpose(1, 2)
        x = self.encoder(x, state and state.seanet, exec_mask)
        x = self.encoder_transformer(x, state and state.transformer, exec_mask)
        if self.downsample is not None:
            x = self.downsample(x, state and state.resample, exec_mask)
        return x

    def _decode_latents(
        self, latents: Tensor, state: DecoderState | None, exec_mask: Tensor | None
    ) -> Tensor:
        x = latents.to(self.get_parameter("decoder.layers.0.weight").dtype)
        if self.upsample is not None:
            x = self.upsample(x, state and state.resample, exec_mask)
        x = self.decoder_transformer(x, state and state.transformer, exec_mask)
        x = self.decoder(x, state and state.seanet, exec_mask)
        return x.transpose(1, 2).float()

    @property
    def _max_step(self) -> int:
        return _MAX_STEP_FRAMES * self.config.resample_stride

    @property
    def _device(self) -> torch.device:
        return self.get_parameter("decoder.layers.0.weight").device

    # Input -----------------------------------------------------------------------------------

    def _check_audio(self, audio: Tensor, whole_frames: bool = False) -> None:
        channels, frame_samples = self.config.audio_channels, self.config.frame_samples
        if not audio.is_floating_point():
            raise ValueError(f"audio is {audio.dtype}; allowed: a floating-point type")
        if audio.dim() != 3 or audio.shape[0] < 1 or audio.shape[1] != channels:
            raise ValueError(
                f"audio has shape {list(audio.shape)}; allowed: [rows, {channels}, samples]"
            )
        samples = audio.shape[2]
        if samples < 1:
            raise ValueError("audio has 0 samples; allowed: at least 1")
        if whole_frames and samples % frame_samples:
            raise ValueError(
                f"audio has {samples} samples; allowed: a multiple of {frame_samples}, one frame"
            )

    def _check_codes(self, codes: Tensor) -> None:
        most = self.config.num_codebooks
        if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
            raise ValueError(f"codes is {codes.dtype}; allowed: an integer type")
        if codes.dim() != 3 or min(codes.shape) < 1 or codes.shape[1] > most:
            raise ValueError(
                f"codes has shape {list(codes.shape)}; "
                f"allowed: [rows, 1 to {most} codebooks, at least 1 frame]"
            )

    def _check_range(self, codes: Tensor) -> None:
        low, high = (int(bound) for bound in codes.aminmax())
        size = self.config.codebook_size
        if low < 0 or high >= size:
            wrong = low if low < 0 else high
            raise ValueError(f"codes has the value {wrong}; allowed: 0 to {size - 1}")

    def _check_step(
        self, rows: int, state: _DirectionState, exec_mask: Tensor | None, name: str
    ) -> Tensor | None:
        if rows != state.rows:
            raise ValueError(f"{name} has {rows} rows; allowed: {state.rows}, those of the state")
        return row_mask(exec_mask, rows, self._device, "exec_mask")


def _check_rows(rows: int) -> None:
    if rows < 1:
        raise ValueError(f"rows is {rows}; allowed: at least 1")
