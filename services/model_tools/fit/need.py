"""What serving a model takes of the memory: asked of the services, as their host asks at start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from csm.serving.metrics import Metrics
from csm.serving.process import memory
from services.all_in_one import make_settings
from services.generator.settings import GeneratorSettings
from services.tokenizer.settings import TokenizerSettings

_STEP_BYTES = 256 << 20
_SPARE = 1.15
"""A limit is so much above the sum: what an allocator holds back, and what Python comes to."""


@dataclass(frozen=True)
class Need:
    """Bytes by part of a process; `process` itself is one."""

    process: int
    generator: dict[str, int]
    tokenizer: dict[str, int]
    gateway: dict[str, int]

    @property
    def parts(self) -> dict[str, int]:
        """All in one process, by the names that `csm serve` tells."""
        return {"process": self.process, **self.generator, **self.tokenizer, **self.gateway}

    @property
    def together_bytes(self) -> int:
        """What is certain of all in one process: `csm serve` refuses a smaller limit."""
        return memory.certain_bytes(self.parts)

    @property
    def generator_bytes(self) -> int:
        """What is certain of a generator in a process of its own."""
        return memory.certain_bytes({"process": self.process, **self.generator})

    @property
    def tokenizer_bytes(self) -> int:
        """What is certain of a tokenizer in a process of its own."""
        return memory.certain_bytes({"process": self.process, **self.tokenizer})

    @property
    def most_bytes(self) -> int:
        """All in one process when clients use all that the settings allow them."""
        return sum(self.parts.values())

    @property
    def generator_limit_bytes(self) -> int:
        """A container's limit for a generator."""
        return _limit(self.process + sum(self.generator.values()))

    @property
    def tokenizer_limit_bytes(self) -> int:
        """A container's limit for a tokenizer."""
        return _limit(self.process + sum(self.tokenizer.values()))

    @property
    def together_limit_bytes(self) -> int:
        """A container's limit for all in one."""
        return _limit(self.most_bytes)


def settings_for(
    model: Path,
    *,
    dtype: str,
    slots: int,
    device: str | None = None,
    threads: int | None = None,
    max_streams: int | None = None,
) -> tuple[GeneratorSettings, TokenizerSettings]:
    """Return the settings of both model services: these, then the environment's, then defaults.

    Raises:
        ValueError: names each setting that is wrong.
    """  # fmt: skip
    both = {"model": model, "device": device, "threads": threads}
    return (
        make_settings(GeneratorSettings, both, {"dtype": dtype, "slots": slots}),
        make_settings(TokenizerSettings, both, {"max_streams": max_streams}),
    )


def need(process: int, generator: GeneratorSettings, tokenizer: TokenizerSettings) -> Need:
    """Return what services of these settings take; `process` is what one takes without a model."""
    from gateway.memory_bounds import memory_bytes
    from gateway.settings import GatewaySettings
    from services.generator.service import GeneratorService
    from services.tokenizer.service import TokenizerService

    metrics = Metrics()
    model, codec = GeneratorService(generator, metrics), TokenizerService(tokenizer, metrics)
    # As `csm serve` has it.
    gateway = memory_bytes(make_settings(GatewaySettings, {"http_port": 8080}))
    return Need(
        process,
        memory.of_service(model.name, model.memory_bytes()),
        memory.of_service(codec.name, codec.memory_bytes()),
        memory.of_service("SpeechService", gateway),
    )


def _limit(bytes_: int) -> int:
    return -(-int(bytes_ * _SPARE) // _STEP_BYTES) * _STEP_BYTES
