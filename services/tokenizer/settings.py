"""Settings of the tokenizer: environment `CSM_TOKENIZER_<NAME>`, the same names as flags."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from csm.serving.settings import Port, ServiceSettings
from services.model_directory import default_model_directory
from services.native.select import NativeMode


class TokenizerSettings(ServiceSettings):
    """What the tokenizer adds to what all services share."""

    model_config = SettingsConfigDict(env_prefix="CSM_TOKENIZER_", protected_namespaces=())

    port: Port = Field(50051, description="gRPC port; 0 picks a free one")
    metrics_port: Port | None = Field(9465, description="Prometheus port; none: no endpoint")
    model: Path = Field(
        default_factory=default_model_directory,
        description="model directory with a codec in it, or a codec's safetensors file",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where the codec runs; auto: cuda where there is one"
    )
    native: NativeMode = Field(
        "auto",
        description="the codec in C++ on CPUs; auto: by the level or by torch, whichever is "
        "fastest here; off: by torch; required: or do not start; a level: that one, whichever is "
        "fastest, or do not start",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="weights of the native decoder; auto: bfloat16 from 20 million parameters on, "
        "else float32; codes are always found in float32",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="threads of the codec; 0: all cores it has, or one below 20 M parameters",
    )
    max_streams: int = Field(
        24,
        ge=1,
        le=512,
        description="streams that hold a codec state at once, of each direction; more wait. As "
        "many as a generator's slots and queue, or a turn that was accepted waits for its sound",
    )
    stream_wait_s: float = Field(
        10.0,
        ge=0,
        le=3600,
        description="seconds that a stream waits for a codec state before it is refused",
    )
    decode_wait_s: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="seconds at most that a stream to be decoded does; less than the gateways' "
        "decode_timeout_s, which take who is silent so long for one that hangs",
    )
    max_waiting_streams: int = Field(
        64,
        ge=0,
        le=10_000,
        description="streams of each direction that wait for a codec state; more are refused",
    )
    max_idle_s: float = Field(
        300.0,
        gt=0,
        le=86_400,
        description="seconds that a call may send nothing, or read nothing while it holds a codec "
        "state, before it is ended",
    )
    max_audio_s: float = Field(
        300.0, ge=1, le=7200, description="longest recording of Encode and Decode in seconds"
    )
    max_file_bytes: int = Field(
        64 << 20, ge=1 << 10, le=1 << 30, description="largest audio file that Encode takes"
    )
    max_files_bytes: int = Field(
        128 << 20,
        ge=1 << 10,
        le=64 << 30,
        description="audio files that are held at once, in all; more are refused",
    )
    stuck_after_s: float = Field(
        60.0, gt=0, le=3600, description="seconds of one step after which liveness fails"
    )
