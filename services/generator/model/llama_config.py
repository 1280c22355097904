"""The shape of one Llama stack, and where its keys are read from. Knows nothing of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ConfigError(ValueError):
    """A field of a model's configuration is missing or out of range; the message names it."""


def positive_int(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name}: {value!r} is not allowed, must be an integer >= 1")
    return value


def positive_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name}: {value!r} is not allowed, must be a number > 0")
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{name}: {value!r} is not allowed, must be finite and > 0")
    return float(value)


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3's stretching of the rotary wavelengths.

    Wavelengths above `original_max_positions / low_freq_factor` are multiplied by `factor`, those
    below `original_max_positions / high_freq_factor` stay, those between are interpolated. Sesame
    writes (32, 1, 4, 8192); transformers writes the same thing with other numbers.
    """

    factor: float = 32.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_positions: int = 8192

    def __post_init__(self) -> None:
        for name in ("factor", "low_freq_factor", "high_freq_factor"):
            positive_number(f"rope_scaling.{name}", getattr(self, name))
        positive_int("rope_scaling.original_max_positions", self.original_max_positions)
        if self.high_freq_factor <= self.low_freq_factor:
            raise ConfigError(
                f"rope_scaling.high_freq_factor: {self.high_freq_factor} is not allowed, must be "
                f"> low_freq_factor ({self.low_freq_factor})"
            )


@dataclass(frozen=True)
class LlamaConfig:
    """One Llama stack: `layers` of grouped-query attention and SwiGLU between RMSNorms."""

    layers: int
    heads: int
    kv_heads: int
    width: int
    head_dim: int
    ffn_width: int
    max_positions: int
    norm_eps: float = 1e-5
    rope_theta: float = 500_000.0
    rope_scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        names = ("layers", "heads", "kv_heads", "width", "head_dim", "ffn_width", "max_positions")
        for name in names:
            positive_int(name, getattr(self, name))
        positive_number("norm_eps", self.norm_eps)
        positive_number("rope_theta", self.rope_theta)
        if self.heads % self.kv_heads:
            raise ConfigError(
                f"kv_heads: {self.kv_heads} is not allowed, must divide heads ({self.heads})"
            )
        if self.head_dim % 2:
            raise ConfigError(
                f"head_dim: {self.head_dim} is not allowed, must be even (RoPE turns pairs)"
            )

    @classmethod
    def flavor(cls, name: str) -> LlamaConfig:
        """Return the stack Sesame calls `llama-1B` or `llama-100M` (their `models.py`)."""
        shapes = {
            "llama-1B": {"layers": 16, "heads": 32, "kv_heads": 8, "width": 2048, "head_dim": 64},
            "llama-100M": {"layers": 4, "heads": 8, "kv_heads": 2, "width": 1024, "head_dim": 128},
        }
        if name not in shapes:
            raise ConfigError(f"flavor: {name!r} is not allowed, must be one of {sorted(shapes)}")
        return cls(**shapes[name], ffn_width=8192, max_positions=2048, rope_scaling=RopeScaling())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "config") -> LlamaConfig:
        """Read the stack's keys of a Hugging Face config; `where` prefixes names in errors."""

        def take(key: str) -> Any:
            if key not in values:
                raise ConfigError(f"{where}.{key}: missing")
            return values[key]

        for key in ("attention_bias", "mlp_bias"):
            if values.get(key, False):
                raise ConfigError(f"{where}.{key}: {values[key]!r} is not allowed, must be false")
        if values.get("hidden_act", "silu") != "silu":
            raise ConfigError(
                f"{where}.hidden_act: {values['hidden_act']!r} is not allowed, must be 'silu'"
            )
        heads = positive_int(f"{where}.num_attention_heads", take("num_attention_heads"))
        width = positive_int(f"{where}.hidden_size", take("hidden_size"))
        kv_heads = values.get("num_key_value_heads")
        head_dim = values.get("head_dim")
        theta, scaling = _rope_from_dict(values, where)
        try:
            return cls(
                layers=take("num_hidden_layers"),
                heads=heads,
                kv_heads=heads if kv_heads is None else kv_heads,
                width=width,
                head_dim=width // heads if head_dim is None else head_dim,
                ffn_width=take("intermediate_size"),
                max_positions=take("max_position_embeddings"),
                norm_eps=values.get("rms_norm_eps", 1e-5),
                rope_theta=theta,
                rope_scaling=scaling,
            )
        except ConfigError as error:
            message = str(error)
            raise ConfigError(
                message if message.startswith(where) else f"{where}.{message}"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the stack's keys as transformers names them."""
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": self.rope_theta}
        if self.rope_scaling is not None:
            rope |= {
                "rope_type": "llama3",
                "factor": self.rope_scaling.factor,
                "low_freq_factor": self.rope_scaling.low_freq_factor,
                "high_freq_factor": self.rope_scaling.high_freq_factor,
                "original_max_position_embeddings": self.rope_scaling.original_max_positions,
            }
        return {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.width,
            "intermediate_size": self.ffn_width,
            "max_position_embeddings": self.max_positions,
            "mlp_bias": False,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": self.norm_eps,
            "rope_parameters": rope,
        }


def _rope_from_dict(values: Mapping[str, Any], where: str) -> tuple[float, RopeScaling | None]:
    """Read `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before)."""
    key = "rope_parameters" if values.get("rope_parameters") else "rope_scaling"
    rope = values.get(key) or {}
    if not isinstance(rope, Mapping):
        raise ConfigError(f"{where}.{key}: {rope!r} is not allowed, must be an object")
    theta = rope.get("rope_theta", values.get("rope_theta", 500_000.0))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind != "llama3":
        raise ConfigError(
            f"{where}.{key}.rope_type: {kind!r} is not allowed, must be 'default' or 'llama3'"
        )
    names = {
        "factor": "factor",
        "low_freq_factor": "low_freq_factor",
        "high_freq_factor": "high_freq_factor",
        "original_max_position_embeddings": "original_max_positions",
    }
    missing = [name for name in names if name not in rope]
    if missing:
        raise ConfigError(f"{where}.{key}.{missing[0]}: missing")
    return theta, RopeScaling(**{ours: rope[theirs] for theirs, ours in names.items()})
