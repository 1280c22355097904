"""Milliseconds of a frame of the codec alone, streaming against all at once."""

from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from services.tokenizer.codec import weights
from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.mimi import Mimi


def build(shape: str) -> Mimi:
    """`mimi` at full size with random weights, or the codec of a model directory."""
    if shape == "mimi":
        return weights.create(MimiConfig.mimi(), seed=0)
    return weights.load(Path(shape))


@torch.inference_mode()
def measure(mimi: Mimi, streams: int, frames: int) -> dict[str, Any]:
    """Frame times of streaming and offline, encode and decode, of `streams` rows."""
    config = mimi.config
    samples = config.frame_samples
    audio = torch.randn(streams, 1, frames * samples) * 0.1
    codes = torch.randint(config.codebook_size, (streams, config.num_codebooks, frames))
    decoder, encoder = mimi.decoder_state(streams), mimi.encoder_state(streams)
    decode, encode = [], []
    for i in range(frames):
        part = codes[..., i : i + 1]
        decode.append(machine.time_ms(lambda part=part: mimi.decode_step(part, decoder)))  # type: ignore[misc]
        sound = audio[..., i * samples : (i + 1) * samples]
        encode.append(machine.time_ms(lambda sound=sound: mimi.encode_step(sound, encoder)))  # type: ignore[misc]
    offline = machine.alternate(
        {"decode": lambda: mimi.decode(codes), "encode": lambda: mimi.encode(audio)}, rounds=3
    )
    result: dict[str, Any] = {}
    for name, times in (("decode", decode), ("encode", encode)):
        streaming = machine.summary(times[3:])
        at_once = machine.summary([t / frames for t in offline[name]])
        result[name] = {
            "streaming_frame_ms": streaming,
            "offline_frame_ms": at_once,
            "streaming_over_offline": round(streaming["p50"] / at_once["p50"], 2),
        }
    return result


def run(*, shape: str = "mimi", streams: int = 1, frames: int = 60) -> dict[str, Any]:
    """Streaming and offline cost of a frame."""
    mimi = build(shape)
    return {
        "benchmark": "codec",
        "machine": machine.describe(),
        "shape": shape,
        "streams": streams,
        **measure(mimi, streams, frames),
    }
