"""Settings of the generator: environment `CSM_GENERATOR_<NAME>`, the same names as flags."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from csm.serving.settings import Port, ServiceSettings
from services.model_directory import default_model_directory
from services.native.select import NativeMode


class GeneratorSettings(ServiceSettings):
    """What the generator adds to what all services share."""

    model_config = SettingsConfigDict(env_prefix="CSM_GENERATOR_", protected_namespaces=())

    port: Port = Field(50052, description="gRPC port; 0 picks a free one")
    metrics_port: Port | None = Field(9466, description="Prometheus port; none: no endpoint")
    model: Path = Field(
        default_factory=default_model_directory, description="model directory, or safetensors file"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where the model runs; auto: cuda where there is one"
    )
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="weight type; auto: bfloat16 on cuda and for 500 million parameters and more, "
        "else float32; int8: on CPUs, natively",
    )
    native: NativeMode = Field(
        "auto",
        description="frames in C++ on CPUs; auto: by the level or by torch, whichever is fastest "
        "here; off: by torch; required: or do not start; a level: that one, whichever is fastest, "
        "or do not start",
    )
    graphs: Literal["auto", "off", "buckets"] = Field(
        "auto",
        description="frames as CUDA graphs; auto: on CUDA, in one shape for all slots; buckets: "
        "by batch size and length, faster with many idle slots, but a seed's codes may change with "
        "what else runs; off: kernel by kernel",
    )
    compiled: bool = Field(
        False,
        description="let torch.compile fuse the kernels of CUDA graphs: needs Triton and a C "
        "compiler, and starts a minute later",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="threads of the model; 0: all cores it has, or one below 100 M parameters",
    )
    slots: int = Field(8, ge=1, le=512, description="turns that run at once")
    max_positions: int = Field(
        0, ge=0, le=1 << 20, description="positions of a slot; 0: as many as the model has"
    )
    max_queue: int = Field(16, ge=0, le=10_000, description="turns that may wait for a slot")
    prefill_chunk: int = Field(
        64, ge=1, le=4096, description="positions of prefill in one step beside running turns"
    )
    max_text_chars: int = Field(
        4096, ge=1, le=1_000_000, description="longest text of a turn or segment in characters"
    )
    max_audio_ms: Annotated[int, Field(ge=80, le=600_000)] | None = Field(
        None, description="longest turn where a call does not say; none: the model's own default"
    )
    max_stall_s: float = Field(
        300.0, gt=0, le=86_400, description="seconds that a turn may wait for credit"
    )
    stall_slot_s: float = Field(
        2.0,
        gt=0,
        le=86_400,
        description="seconds of that in a slot that other turns wait for; then it is theirs, and "
        "the turn comes back in its place when credit comes",
    )
    reservation_idle_s: float = Field(
        15.0,
        gt=0,
        le=86_400,
        description="seconds that a stream between two turns keeps its place from others",
    )
    max_idle_s: float = Field(
        300.0,
        gt=0,
        le=86_400,
        description="seconds that a stream may be without a turn and without input",
    )
    stuck_after_s: float = Field(
        60.0, gt=0, le=3600, description="seconds of one step after which liveness fails"
    )
