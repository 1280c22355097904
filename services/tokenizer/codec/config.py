"""The sizes that define a Mimi codec, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ACTIVATIONS = ("gelu", "relu", "silu")
_PAD_MODES = ("constant", "replicate")
# Rates are floats in the files: a stride is taken as whole within this relative error.
_RATE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class MimiConfig:
    """Sizes of a Mimi codec; the defaults are the published model at its full 32 codebooks.

    Names are this project's where Hugging Face's differ (a code is one integer of one codebook):
    `num_codebooks` is their `num_quantizers`, `num_semantic_codebooks` their
    `num_semantic_quantizers`, `codebook_dim` their `vector_quantization_hidden_dimension` as well.
    Source of the defaults: kyutai-labs/moshi, `models/loaders.py`.

    Raises:
        ValueError: a field is out of range; the message names field, value and what is allowed.
    """

    sampling_rate_hz: int = 24000
    audio_channels: int = 1
    # SEANet
    num_filters: int = 64
    num_residual_layers: int = 1
    upsampling_ratios: tuple[int, ...] = (8, 6, 5, 4)
    kernel_size: int = 7
    last_kernel_size: int = 3
    residual_kernel_size: int = 3
    dilation_growth_rate: int = 2
    compress: int = 2
    use_conv_shortcut: bool = False
    pad_mode: str = "constant"
    # Both transformers
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    num_key_value_heads: int = 8
    head_dim: int = 64
    hidden_act: str = "gelu"
    attention_bias: bool = False
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    sliding_window: int = 250
    layer_scale_initial_scale: float = 0.01
    # Between the transformers' rate and the frame rate
    resample_stride: int = 2
    upsample_groups: int = 512
    # Quantizer
    num_codebooks: int = 32
    num_semantic_codebooks: int = 1
    codebook_size: int = 2048
    codebook_dim: int = 256

    def __post_init__(self) -> None:
        for name in _POSITIVE_INTS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; allowed: a whole number of at least 1")
        for name in ("norm_eps", "rope_theta"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value!r}; allowed: a finite number above 0")
        if not self.upsampling_ratios or any(
            isinstance(r, bool) or not isinstance(r, int) or r < 1 for r in self.upsampling_ratios
        ):
            raise ValueError(
                f"upsampling_ratios is {self.upsampling_ratios!r}; "
                "allowed: one or more whole numbers of at least 1"
            )
        if self.pad_mode not in _PAD_MODES:
            raise ValueError(f"pad_mode is {self.pad_mode!r}; allowed: {', '.join(_PAD_MODES)}")
        if self.hidden_act not in _ACTIVATIONS:
            raise ValueError(
                f"hidden_act is {self.hidden_act!r}; allowed: {', '.join(_ACTIVATIONS)}"
            )
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim is {self.head_dim}; allowed: an even number (RoPE turns pairs)"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads is {self.num_key_value_heads}; "
                f"allowed: a divisor of num_attention_heads ({self.num_attention_heads})"
            )
        if self.num_semantic_codebooks >= self.num_codebooks:
            raise ValueError(
                f"num_semantic_codebooks is {self.num_semantic_codebooks}; "
                f"allowed: 1 to {self.num_codebooks - 1}, below num_codebooks"
            )
        if self.num_filters % self.compress:
            raise ValueError(
                f"compress is {self.compress}; "
                f"allowed: a divisor of num_filters ({self.num_filters})"
            )
        if self.hidden_size % self.upsample_groups:
            raise ValueError(
                f"upsample_groups is {self.upsample_groups}; "
                f"allowed: a divisor of hidden_size ({self.hidden_size})"
            )

    @classmethod
    def mimi(cls) -> MimiConfig:
        """The published Mimi: 24 kHz, 12.5 frames a second, 32 codebooks of 2048."""
        return cls()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MimiConfig:
        """Read a Hugging Face `MimiConfig` dictionary, alone or as a CSM `codec_config`.

        Absent keys take Hugging Face's defaults; keys that do not change the mathematics are
        ignored. Settings this codec does not implement (non-causal convolutions, another trim,
        scaled RoPE, no window) are refused instead of being ignored.

        Raises:
            ValueError: a value is out of range or not implemented; names key, value and range.
        """
        _require(values, "use_causal_conv", True, [True])
        _require(values, "trim_right_ratio", 1.0, [1.0])
        fields: dict[str, Any] = {
            ours: values[theirs] for theirs, ours in _RENAMED.items() if theirs in values
        }
        fields |= {name: values[name] for name in _SAME_NAME if name in values}
        if values.get("upsampling_ratios") is not None:
            fields["upsampling_ratios"] = tuple(values["upsampling_ratios"])
        codebook_dim = values.get("codebook_dim", 256)
        quantizer_dim = values.get("vector_quantization_hidden_dimension", 256)
        if codebook_dim is None:
            codebook_dim = quantizer_dim
        if codebook_dim != quantizer_dim:
            raise ValueError(
                f"codebook_dim is {codebook_dim!r}; allowed: the value of "
                f"vector_quantization_hidden_dimension ({quantizer_dim!r})"
            )
        fields["codebook_dim"] = codebook_dim
        if values.get("head_dim") is None:
            hidden, heads = fields.get("hidden_size", 512), fields.get("num_attention_heads", 8)
            if not (isinstance(heads, int) and heads > 0) or hidden % heads:
                raise ValueError(
                    f"num_attention_heads is {heads!r}; "
                    f"allowed: a divisor of hidden_size ({hidden!r}) where head_dim is absent"
                )
            fields["head_dim"] = hidden // heads
        fields["rope_theta"] = _rope_theta(values)
        config = cls(**fields)
        rate = values.get("frame_rate", values.get("_frame_rate"))
        if rate is not None:
            stride = _resample_stride(config, float(rate))
            config = cls(**(fields | {"resample_stride": stride}))
        return config

    def to_dict(self) -> dict[str, Any]:
        """The same sizes as a Hugging Face `MimiConfig` dictionary (`codec_config` of a CSM)."""
        values: dict[str, Any] = {
            theirs: getattr(self, ours)
            for theirs, ours in _RENAMED.items()
            if theirs != "num_codebooks"
        }
        values |= {name: getattr(self, name) for name in _SAME_NAME}
        values |= {
            "model_type": "mimi",
            "architectures": ["MimiModel"],
            "upsampling_ratios": list(self.upsampling_ratios),
            "codebook_dim": self.codebook_dim,
            "vector_quantization_hidden_dimension": self.codebook_dim,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "use_causal_conv": True,
            "trim_right_ratio": 1.0,
            "_frame_rate": self.frame_rate_hz,
        }
        return values

    @property
    def hop_samples(self) -> int:
        """Samples to one position of the transformers (960 at full size)."""
        return math.prod(self.upsampling_ratios)

    @property
    def frame_samples(self) -> int:
        """Samples to one frame (1920 at full size)."""
        return self.hop_samples * self.resample_stride

    @property
    def frame_rate_hz(self) -> float:
        """Frames to one second of audio (12.5 at full size)."""
        return self.sampling_rate_hz / self.frame_samples

    @property
    def num_acoustic_codebooks(self) -> int:
        """Codebooks after the semantic ones."""
        return self.num_codebooks - self.num_semantic_codebooks

    def num_frames(self, num_samples: int) -> int:
        """Frames that `num_samples` samples become: the last partial frame counts as one."""
        return -(-num_samples // self.frame_samples)


_POSITIVE_INTS = tuple(
    name for name, field in MimiConfig.__dataclass_fields__.items() if field.type == "int"
)
# Hugging Face's name -> ours. `num_codebooks` is an alias some files carry.
_RENAMED = {
    "sampling_rate": "sampling_rate_hz",
    "num_codebooks": "num_codebooks",
    "num_quantizers": "num_codebooks",
    "num_semantic_quantizers": "num_semantic_codebooks",
}
_SAME_NAME = tuple(
    name
    for name in MimiConfig.__dataclass_fields__
    if name
    not in {*_RENAMED.values(), "upsampling_ratios", "codebook_dim", "rope_theta"}
    | {"resample_stride"}
)


def _require(values: Mapping[str, Any], key: str, default: Any, allowed: list[Any]) -> None:
    value = values.get(key, default)
    if value not in allowed:
        raise ValueError(f"{key} is {value!r}; allowed: {', '.join(map(repr, allowed))}")


def _rope_theta(values: Mapping[str, Any]) -> float:
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(f"rope_parameters.rope_type is {kind!r}; allowed: 'default'")
    theta = rope.get("rope_theta", values.get("rope_theta", 10000.0))
    return float(theta)


def _resample_stride(config: MimiConfig, frame_rate_hz: float) -> int:
    """Positions of the transformers to one frame, from the rate a file states."""
    if not (math.isfinite(frame_rate_hz) and frame_rate_hz > 0):
        raise ValueError(f"frame_rate is {frame_rate_hz!r}; allowed: a finite number above 0")
    # Hugging Face rounds the transformers' rate up to a whole number before dividing; files of
    # codecs whose ratios do not divide the sampling rate carry either value.
    exact = config.sampling_rate_hz / config.hop_samples
    for positions_hz in (exact, math.ceil(exact)):
        stride = round(positions_hz / frame_rate_hz)
        if stride >= 1 and math.isclose(
            stride * frame_rate_hz, positions_hz, rel_tol=_RATE_TOLERANCE
        ):
            return stride
    raise ValueError(
        f"frame_rate is {frame_rate_hz!r}; allowed: {exact} (sampling_rate / product of "
        "upsampling_ratios) divided by a whole number"
    )
