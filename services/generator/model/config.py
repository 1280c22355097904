"""The shape of a whole CSM: two Llama stacks, their vocabularies, and where it is read from.

A `CsmConfig` comes from a Hugging Face `config.json` (keys of `CsmConfig` in transformers), from
Sesame's own `config.json` (flavors by name, `ModelArgs` in SesameAILabs/csm `models.py`), or from a
shape's name. It knows nothing of torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from services.generator.model.llama_config import (
    ConfigError,
    LlamaConfig,
    RopeScaling,
    positive_int,
)

__all__ = ["ConfigError", "CsmConfig", "LlamaConfig", "RopeScaling", "TokenIds"]

RESERVED_CODES = 3
"""Codes of CSM's audio vocabulary above the codec's own (2051 for a codec of 2048)."""


@dataclass(frozen=True)
class TokenIds:
    """Special ids of the text vocabulary (Llama 3.2's, by default). None: the model has none."""

    bos_token_id: int | None = 128_000
    eos_token_id: int | None = None
    pad_token_id: int | None = 128_002
    audio_token_id: int | None = 128_002
    audio_eos_token_id: int | None = 128_003


@dataclass(frozen=True)
class CsmConfig:
    """A whole CSM. `audio_vocab_size` counts the codes of one codebook, reserved ones included;
    only those below `codebook_size` mean something to the codec and may be sampled."""

    backbone: LlamaConfig
    depth: LlamaConfig
    text_vocab_size: int
    audio_vocab_size: int
    num_codebooks: int
    codebook_size: int
    token_ids: TokenIds = field(default_factory=TokenIds)

    def __post_init__(self) -> None:
        for name in ("text_vocab_size", "audio_vocab_size", "num_codebooks", "codebook_size"):
            positive_int(name, getattr(self, name))
        if self.num_codebooks < 2:
            raise ConfigError(
                f"num_codebooks: {self.num_codebooks} is not allowed, must be >= 2 "
                "(the depth decoder makes all but the first)"
            )
        if self.codebook_size > self.audio_vocab_size:
            raise ConfigError(
                f"codebook_size: {self.codebook_size} is not allowed, must be <= "
                f"audio_vocab_size ({self.audio_vocab_size})"
            )
        if self.depth.max_positions < self.num_codebooks:
            raise ConfigError(
                f"depth.max_positions: {self.depth.max_positions} is not allowed, must be >= "
                f"num_codebooks ({self.num_codebooks})"
            )

    @classmethod
    def named(cls, shape: str) -> CsmConfig:
        """Return the shape called `csm-1b` or `pico`, or the one in a JSON file of that path."""
        if shape == "csm-1b":
            return cls.from_flavors("llama-1B", "llama-100M")
        if shape == "pico":
            llama = partial(LlamaConfig, head_dim=64, rope_theta=10_000.0)
            return cls(
                backbone=llama(
                    layers=6, heads=6, kv_heads=2, width=320, ffn_width=896, max_positions=640
                ),
                depth=llama(
                    layers=3, heads=3, kv_heads=1, width=192, ffn_width=512, max_positions=8
                ),
                text_vocab_size=64,
                audio_vocab_size=1027,
                num_codebooks=7,
                codebook_size=1024,
                token_ids=TokenIds(1, 2, 0, 62, 63),
            )
        path = Path(shape)
        if path.is_file():
            return cls.from_file(path)
        raise ConfigError(
            f"shape: {shape!r} is not allowed, must be 'csm-1b', 'pico' or the path of a JSON file"
        )

    @classmethod
    def from_flavors(
        cls,
        backbone: str,
        depth: str,
        *,
        text_vocab_size: int = 128_256,
        audio_vocab_size: int = 2051,
        num_codebooks: int = 32,
    ) -> CsmConfig:
        """Build Sesame's `ModelArgs`: two flavors by name and the vocabulary sizes."""
        return cls(
            backbone=LlamaConfig.flavor(backbone),
            depth=LlamaConfig.flavor(depth),
            text_vocab_size=text_vocab_size,
            audio_vocab_size=audio_vocab_size,
            num_codebooks=num_codebooks,
            codebook_size=audio_vocab_size - RESERVED_CODES,
        )

    @classmethod
    def from_directory(cls, directory: Path) -> CsmConfig:
        """Read `config.json` of a model directory."""
        return cls.from_file(Path(directory) / "config.json")

    @classmethod
    def from_file(cls, path: Path) -> CsmConfig:
        """Read one JSON file; errors name it."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ConfigError(f"{path}: not readable as JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: must be a JSON object, is a {type(values).__name__}")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CsmConfig:
        """Read a Hugging Face CSM config, or Sesame's `ModelArgs` (recognised by its keys)."""
        if "hidden_size" not in values and "backbone_flavor" in values:
            sizes = {"audio_num_codebooks": "num_codebooks"}
            sizes |= {key: key for key in ("text_vocab_size", "audio_vocab_size")}
            given = {ours: values[key] for key, ours in sizes.items() if key in values}
            for name, value in given.items():
                positive_int(name, value)
            if "decoder_flavor" not in values:
                raise ConfigError("decoder_flavor: missing")
            return cls.from_flavors(values["backbone_flavor"], values["decoder_flavor"], **given)
        if "hidden_size" not in values:
            raise ConfigError("neither hidden_size nor backbone_flavor is there: not a CSM config")
        depth_values = values.get("depth_decoder_config")
        if not isinstance(depth_values, Mapping):
            raise ConfigError("depth_decoder_config: missing, must be an object")
        for key in ("text_vocab_size", "vocab_size", "num_codebooks"):
            if key not in values:
                raise ConfigError(f"{key}: missing")
            if key != "text_vocab_size" and depth_values.get(key, values[key]) != values[key]:
                raise ConfigError(
                    f"depth_decoder_config.{key}: {depth_values[key]!r} is not allowed, must "
                    f"equal {key} ({values[key]!r})"
                )
        backbone = LlamaConfig.from_dict(values, "config")
        depth = LlamaConfig.from_dict(depth_values, "depth_decoder_config")
        if depth_values.get("backbone_hidden_size", backbone.width) != backbone.width:
            raise ConfigError(
                f"depth_decoder_config.backbone_hidden_size: "
                f"{depth_values['backbone_hidden_size']!r} is not allowed, must equal "
                f"hidden_size ({backbone.width})"
            )
        if values.get("codebook_eos_token_id", 0) != 0:
            raise ConfigError(
                f"codebook_eos_token_id: {values['codebook_eos_token_id']!r} is not allowed, "
                "must be 0"
            )
        audio_vocab_size = positive_int("vocab_size", values["vocab_size"])
        codec = values.get("codec_config") or {}
        if not isinstance(codec, Mapping):
            raise ConfigError(f"codec_config: {codec!r} is not allowed, must be an object")
        ids = {name: values.get(name) for name in asdict(TokenIds())}
        # transformers allows a list of ids that end a text; the first is the one to write.
        ids = {name: value[0] if isinstance(value, list) else value for name, value in ids.items()}
        return cls(
            backbone=backbone,
            depth=depth,
            text_vocab_size=values["text_vocab_size"],
            audio_vocab_size=audio_vocab_size,
            num_codebooks=values["num_codebooks"],
            codebook_size=codec.get("codebook_size", audio_vocab_size - RESERVED_CODES),
            token_ids=TokenIds(**ids),
        )

    def to_dict(self, codec_config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a `config.json` that transformers' `CsmForConditionalGeneration` loads.

        Without a `codec_config` one is written that says no more than the codec's code range.
        """
        codec = dict(codec_config or {}) or {
            "codebook_size": self.codebook_size,
            "num_quantizers": self.num_codebooks,
        }
        codec.setdefault("model_type", "mimi")
        shared = {"num_codebooks": self.num_codebooks, "vocab_size": self.audio_vocab_size}
        return {
            "architectures": ["CsmForConditionalGeneration"],
            "model_type": "csm",
            **self.backbone.to_dict(),
            **shared,
            "text_vocab_size": self.text_vocab_size,
            "tie_codebooks_embeddings": True,
            "tie_word_embeddings": True,
            "codebook_eos_token_id": 0,
            "codebook_pad_token_id": self.audio_vocab_size - 1,
            **asdict(self.token_ids),
            "depth_decoder_config": {
                "model_type": "csm_depth_decoder_model",
                **self.depth.to_dict(),
                **shared,
                "backbone_hidden_size": self.backbone.width,
            },
            "codec_config": codec,
        }
