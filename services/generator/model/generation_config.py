"""The sampling a model directory asks for by default: `generation_config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.generator.model.sampling import SamplingParams

FILE_NAME = "generation_config.json"


class GenerationConfigError(ValueError):
    """A generation_config.json cannot be used; the message names the file, field and value."""


@dataclass(frozen=True)
class GenerationDefaults:
    """Defaults of a turn: how codes are drawn, and how many frames at most.

    Without a file: Sesame's own, temperature 0.9 and top_k 50 (`generator.py`), and transformers'
    125 frames (10 s).
    """

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_frames: int = 125

    @classmethod
    def from_directory(cls, directory: Path | str) -> GenerationDefaults:
        """Read a model directory's file; the defaults above where there is none.

        Raises:
            GenerationConfigError: it is no JSON object or a value is out of range.
        """
        path = Path(directory) / FILE_NAME
        if not path.is_file():
            return cls()
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError(f"must be a JSON object, is a {type(values).__name__}")
            return cls.from_dict(values)
        except (OSError, ValueError) as error:
            raise GenerationConfigError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GenerationDefaults:
        """Read the keys transformers writes; `depth_decoder_` ones are the depth decoder's.

        A key that is absent has transformers' default (temperature 1, top_k 50, top_p 1), and the
        depth decoder's temperature follows the backbone's. `do_sample` false is temperature 0. One
        top_k and top_p serve both, the backbone's.
        """

        def value(key: str, default: Any) -> Any:
            found = values.get(key)
            return default if found is None else found

        sampled = value("do_sample", True)
        temperature = value("temperature", 1.0) if sampled else 0.0
        depth_sampled = value("depth_decoder_do_sample", sampled)
        depth_temperature = value("depth_decoder_temperature", temperature or 1.0)
        max_frames = value("max_new_tokens", cls.max_frames)
        if isinstance(max_frames, bool) or not isinstance(max_frames, int) or max_frames < 1:
            raise ValueError(
                f"max_new_tokens: {max_frames!r} is not allowed, must be an integer >= 1"
            )
        sampling = SamplingParams(
            temperature=temperature,
            depth_temperature=depth_temperature if depth_sampled else 0.0,
            top_k=value("top_k", 50),
            top_p=value("top_p", 1.0),
        )
        return cls(sampling, max_frames)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys for `generation_config.json`, as transformers reads them.

        Temperatures of 0 are written as `do_sample` false, since transformers refuses 0.
        """
        sampling = self.sampling
        result: dict[str, Any] = {"max_new_tokens": self.max_frames}
        for prefix, temperature in (
            ("", sampling.temperature),
            ("depth_decoder_", sampling.depth_temperature),
        ):
            result[f"{prefix}do_sample"] = temperature > 0
            if temperature > 0:
                result[f"{prefix}temperature"] = temperature
                result[f"{prefix}top_k"] = sampling.top_k
                result[f"{prefix}top_p"] = sampling.top_p
        return result
