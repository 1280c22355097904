"""The same work in transformers and moshi beside ours, in one run: `python -m benchmarks.peers`.

Ratios are peer over ours, medians: 3 means that ours takes a third of the time. `bars` are the
project's own (docs/performance.md), each with what was measured. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("NO_TORCH_COMPILE", "1")

import torch
from rich.console import Console

from benchmarks import codec as codec_benchmark
from benchmarks import hugging_face, machine, serve, turns
from benchmarks.bars import Bar, judge
from benchmarks.model import Loop
from services.generator.engine.protocol import Model
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.native.native_csm import NativeCsm
from services.tokenizer.codec import weights as codec_weights
from services.tokenizer.codec.config import MimiConfig

PARTS = ("codec", "model", "second_turn", "pico")
_PROMPT = 20
_CODEC_FRAMES = 40
_LISTENERS = (1, 8, 16)
BARS = (
    Bar(
        "int8_batch_1",
        "csm-1b int8, one stream, times faster than transformers bf16",
        bar=3.5, stretch=5.3, at_most=False, form=".2f",
    ),
    Bar(
        "int8_batch_8",
        "csm-1b int8, 8 streams, times the frames of transformers' static batch",
        bar=2.8, stretch=4.0, at_most=False, form=".2f",
    ),
    Bar(
        "bf16_batch_1",
        "csm-1b bf16, one stream, times faster than transformers bf16",
        bar=1.3, stretch=1.8, at_most=False, form=".2f",
    ),
    Bar(
        "mimi_decode",
        "Mimi streaming decode, times faster than moshi",
        bar=4.0, stretch=6.0, at_most=False, form=".2f",
    ),
    Bar(
        "mimi_decode_streamed",
        "Mimi decode, a streamed frame of ours, of moshi's cost of one at once",
        bar=1.5, stretch=1.0, at_most=True, form=".2f",
    ),
    Bar(
        "mimi_encode_streamed",
        "Mimi encode, the same",
        bar=1.5, stretch=1.0, at_most=True, form=".2f",
    ),
    Bar(
        "second_turn",
        "first frame behind a long history, of a first turn's time",
        bar=1.2, stretch=1.0, at_most=True, form=".2f",
    ),
    Bar(
        "pico_real_time",
        "pico all in one, one listener: real-time factor",
        bar=0.25, stretch=0.1, at_most=True, form=".3f",
    ),
    Bar(
        "pico_first_audio",
        "pico all in one, one listener: first audio, ms",
        bar=150.0, stretch=80.0, at_most=True, form=".0f",
    ),
    Bar(
        "underruns_listeners_8",
        "pico, 8 listeners at once: utterances with an underrun",
        bar=0.0, stretch=0.0, at_most=True, form=".0f",
    ),
    Bar(
        "underruns_listeners_16",
        "pico, 16 listeners at once: utterances with an underrun",
        bar=0.0, stretch=0.0, at_most=True, form=".0f",
    ),
)  # fmt: skip


class Peer:
    """transformers' `generate` on the weights of a `Csm`; a frame is what more of them cost."""

    def __init__(self, oracle: Any, config: CsmConfig, batch: int) -> None:
        self._oracle = oracle
        high = min(1000, config.text_vocab_size)
        self._prompt = torch.randint(1, high, (batch, _PROMPT))

    def frame_ms(self, frames: int) -> float:
        """Milliseconds a frame, prefill and start taken off."""
        return (self._generate(frames + 2) - self._generate(2)) / frames

    def _generate(self, count: int) -> float:
        return machine.time_ms(
            lambda: self._oracle.generate(
                input_ids=self._prompt,
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=True,
                temperature=0.9,
                top_k=50,
            )
        )


@torch.inference_mode()
def model(
    ours: dict[str, Model], oracle: Any, batch: int, frames: int, rounds: int
) -> dict[str, Any]:
    """A frame of every way of ours, in turn with transformers."""
    config = next(iter(ours.values())).config
    loops = {name: Loop(way, batch) for name, way in ours.items()}
    peer = Peer(oracle, config, batch)
    for loop in loops.values():
        loop.prefill(_PROMPT)
    times: dict[str, list[float]] = {name: [] for name in loops}
    peer_ms = []
    for _ in range(rounds):
        for name, loop in loops.items():
            times[name] += loop.times_ms(frames)
        peer_ms.append(peer.frame_ms(frames))
    theirs = machine.summary(peer_ms, 1)
    return {
        "transformers_frame_ms": theirs,
        "transformers_frames_per_s": round(1000 * batch / theirs["p50"], 1),
        "ours": {
            name: {
                "frame_ms": (summary := machine.summary(each, 1)),
                "frames_per_s": round(1000 * batch / summary["p50"], 1),
                "ratio": round(theirs["p50"] / summary["p50"], 2),
            }
            for name, each in times.items()
        },
    }


@torch.inference_mode()
def codec(frames: int) -> dict[str, Any]:
    """A streamed frame of Mimi at full size against moshi's, streamed and of all at once, on the
    same weights."""
    from moshi.models import loaders

    ours = codec_weights.create(MimiConfig.mimi(), seed=0)
    peer = loaders.get_mimi(None, num_codebooks=ours.config.num_codebooks)
    peer.load_state_dict(codec_weights.state_dict_kyutai(ours), strict=False)
    samples = ours.config.frame_samples
    audio = torch.randn(1, 1, frames * samples) * 0.1
    codes = torch.randint(ours.config.codebook_size, (1, ours.config.num_codebooks, frames))
    result: dict[str, Any] = {}
    native = codec_benchmark.measure_native(ours, 1, frames)
    at_once = machine.alternate(
        {"decode": lambda: peer.decode(codes), "encode": lambda: peer.encode(audio)}, rounds=5
    )
    with peer.streaming(1):
        theirs: dict[str, list[float]] = {"decode": [], "encode": []}
        for i in range(frames):
            part, sound = codes[..., i : i + 1], audio[..., i * samples : (i + 1) * samples]
            theirs["decode"].append(machine.time_ms(lambda part=part: peer.decode(part)))  # type: ignore[misc]
            theirs["encode"].append(machine.time_ms(lambda sound=sound: peer.encode(sound)))  # type: ignore[misc]
    again = codec_benchmark.measure_native(ours, 1, frames)
    for name in ("decode", "encode"):
        peer_ms = machine.summary(theirs[name][3:])
        runs = {
            way: [run[name][key]["p50"] for run in (native, again)]
            for way, key in (
                ("native", "streaming_frame_ms"),
                ("torch", "torch_streaming_frame_ms"),
                ("native_at_once", "offline_frame_ms"),
            )
        }
        offline_ms = machine.summary([ms / frames for ms in at_once[name]])
        result[name] = {
            "moshi_frame_ms": peer_ms,
            "moshi_at_once_frame_ms": offline_ms,
            "ours_of_moshi_at_once": round(sum(runs["native"]) / 2 / offline_ms["p50"], 2),
            "ours_frame_ms": runs,
            "ratio": {way: round(2 * peer_ms["p50"] / sum(ms), 2) for way, ms in runs.items()},
        }
    return result


def run(
    *,
    shape: str = "csm-1b",
    frames: int = 8,
    rounds: int = 3,
    batches: Sequence[int] = (1, 8),
    parts: Sequence[str] = PARTS,
    history: int = 1800,
    told: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """The parts asked for, and what they say of the bars; `told` hears what is under way."""
    result: dict[str, Any] = {"benchmark": "peers", "machine": machine.describe(), "shape": shape}
    if "codec" in parts:
        told("Mimi beside moshi")
        result["codec"] = codec(_CODEC_FRAMES)
    if {"model", "second_turn"} & set(parts):
        told(f"{shape}: weights")
        csm = weights.create(CsmConfig.named(shape), seed=0, dtype=torch.bfloat16)
        int8 = NativeCsm(csm, "int8")
        if "model" in parts:
            ours: dict[str, Model] = {"int8": int8, "bf16": NativeCsm(csm, "bf16"), "torch": csm}
            oracle = hugging_face.oracle(csm)
            result["model"] = {}
            for batch in batches:
                told(f"{shape}: {batch} streams beside transformers")
                found = model(ours, oracle, batch, frames, rounds)
                result["model"][f"batch_{batch}"] = found
            del ours, oracle
            gc.collect()
        del csm
        if "second_turn" in parts:
            told(f"{shape}: a second turn behind {history} positions")
            result["second_turn"] = turns.second_turn(int8, history=history)
        del int8
        gc.collect()
    if "pico" in parts:
        result["pico"] = {}
        for listeners in _LISTENERS:
            told(f"pico: {listeners} listeners")
            result["pico"][f"listeners_{listeners}"] = serve.run(streams=listeners)
    return result | {"bars": judge(BARS, figures(result))}


def figures(result: dict[str, Any]) -> dict[str, float | None]:
    """What the parts of a result say of `BARS`, by name."""
    found: dict[str, float | None] = {}
    for batch, figure in result.get("model", {}).items():
        for weight in ("int8", "bf16"):
            found[f"{weight}_{batch}"] = figure["ours"][weight]["ratio"]
    if "codec" in result:
        found["mimi_decode"] = result["codec"]["decode"]["ratio"]["native"]
        for name in ("decode", "encode"):
            found[f"mimi_{name}_streamed"] = result["codec"][name]["ours_of_moshi_at_once"]
    if "second_turn" in result:
        found["second_turn"] = result["second_turn"]["ratio"]
    for listeners, figure in result.get("pico", {}).items():
        found[f"underruns_{listeners}"] = figure["utterances_with_underrun"]
    one = result.get("pico", {}).get("listeners_1")
    if one:
        found["pico_real_time"] = one["real_time_factor"]["p50"]
        found["pico_first_audio"] = one["first_audio_ms"]["p50"]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.add_argument("--shape", default="csm-1b")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--history", type=int, default=1800)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args(arguments)
    console = Console(stderr=True)
    with console.status("measuring") as status:
        result = run(
            shape=given.shape,
            frames=given.frames,
            rounds=given.rounds,
            parts=given.parts,
            history=given.history,
            told=status.update,
        )
    if given.json:
        print(json.dumps(result, indent=2))
        return 0
    for bar in result["bars"]:
        figure = "" if bar["figure"] is None else f"{bar['figure']:{bar['form']}} "
        print(f"{bar['title']}: {figure}(bar {bar['bar']:g}, stretch {bar['stretch']:g}): "
              f"{bar['state']}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
