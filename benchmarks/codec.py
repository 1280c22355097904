"""Milliseconds of a frame of the codec alone: streaming, all at once, by torch and natively."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import machine
from services.native.build import NativeUnavailable
from services.tokenizer.codec import weights
from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.native.codec import NativeDecoder, NativeEncoder
from services.tokenizer.native.select import weights_for


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


@torch.inference_mode()
def measure_native(mimi: Mimi, streams: int, frames: int) -> dict[str, Any]:
    """Frame times natively and by torch, streaming; and natively all at once.

    Natively the decoder's weights are what the service would choose.
    """
    config, rows = mimi.config, list(range(streams))
    samples = config.frame_samples
    sound = torch.randn(streams, 1, frames * samples) * 0.1
    codes = torch.randint(config.codebook_size, (streams, config.num_codebooks, frames))
    blocks = {
        "decode": codes.transpose(1, 2).contiguous().numpy(),
        "encode": np.ascontiguousarray(sound.numpy().reshape(streams, frames, samples)),
    }
    native = {
        "decode": NativeDecoder(
            mimi, streams, weights_for(sum(p.numel() for p in mimi.parameters()))
        ),
        "encode": NativeEncoder(mimi, streams),
    }
    decoder, encoder = mimi.decoder_state(streams), mimi.encoder_state(streams)
    by_torch = {
        "decode": lambda i: mimi.decode_step(codes[..., i : i + 1], decoder),
        "encode": lambda i: mimi.encode_step(sound[..., i * samples : (i + 1) * samples], encoder),
    }
    result: dict[str, Any] = {}
    for name, half in native.items():
        whole = blocks[name]
        # One after the other: torch's threads spin for a while behind each of its products.
        ours, theirs = [], []
        for i in range(frames):
            part = whole[:, i : i + 1]
            ours.append(machine.time_ms(lambda part=part, half=half: half.step(rows, part)))  # type: ignore[misc]
        for i in range(frames):
            theirs.append(machine.time_ms(lambda i=i, name=name: by_torch[name](i)))  # type: ignore[misc]
        at_once = [
            machine.time_ms(lambda whole=whole, half=half: half.step(rows, whole)) / frames  # type: ignore[misc]
            for _ in range(3)
        ]
        streaming, offline = machine.summary(ours[3:]), machine.summary(at_once)
        torch_ms = machine.summary(theirs[3:])
        result[name] = {
            "streaming_frame_ms": streaming,
            "torch_streaming_frame_ms": torch_ms,
            "faster_than_torch": round(torch_ms["p50"] / streaming["p50"], 2),
            "offline_frame_ms": offline,
            "streaming_over_offline": round(streaming["p50"] / offline["p50"], 2),
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
        "native": _native(mimi, streams, frames),
    }


def _native(mimi: Mimi, streams: int, frames: int) -> dict[str, Any] | None:
    """None where the native library cannot be had."""
    try:
        return measure_native(mimi, streams, frames)
    except NativeUnavailable:
        return None
