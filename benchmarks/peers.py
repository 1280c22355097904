"""The same work in transformers and moshi beside ours, in one run: `python -m benchmarks.peers`.

Ratios are peer over ours: 3 means that ours takes a third of the time.
"""

import argparse
import gc
import json
import os
from typing import Any

os.environ.setdefault("NO_TORCH_COMPILE", "1")

import torch

from benchmarks import codec as codec_benchmark
from benchmarks import hugging_face, machine
from benchmarks.model import DTYPES, Loop
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.tokenizer.codec import weights as codec_weights
from services.tokenizer.codec.config import MimiConfig


@torch.inference_mode()
def model(shape: str, dtype: str, batch: int, frames: int, rounds: int) -> dict[str, Any]:
    """A frame of csm against `CsmForConditionalGeneration.generate`, prefill subtracted."""
    config = CsmConfig.named(shape)
    ours = weights.create(config, seed=0, dtype=DTYPES[dtype])
    loop = Loop(ours, batch)
    peer: Any = hugging_face.oracle(ours)
    prompt = torch.randint(1, min(1000, config.text_vocab_size), (batch, 20))

    def generate(count: int, peer: Any = peer) -> float:
        return machine.time_ms(
            lambda: peer.generate(
                input_ids=prompt,
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=True,
                temperature=0.9,
                top_k=50,
            )
        )

    loop.prefill(20)
    loop.step()
    generate(2)
    ours_ms, peer_ms = [], []
    for _ in range(rounds):
        ours_ms += [machine.time_ms(loop.step) for _ in range(frames)]
        peer_ms.append((generate(frames + 2) - generate(2)) / frames)
    result = {
        "ours_frame_ms": machine.summary(ours_ms),
        "transformers_frame_ms": machine.summary(peer_ms),
        "ratio": round(machine.percentile(peer_ms, 0.5) / machine.percentile(ours_ms, 0.5), 2),
        "ours_frames_per_s": round(1000 * batch / machine.percentile(ours_ms, 0.5), 1),
        "transformers_frames_per_s": round(1000 * batch / machine.percentile(peer_ms, 0.5), 1),
    }
    del ours, loop, peer
    gc.collect()
    return result


@torch.inference_mode()
def codec(frames: int) -> dict[str, Any]:
    """A streamed frame of Mimi at full size against moshi's streaming, on the same weights."""
    from moshi.models import loaders

    ours = codec_weights.create(MimiConfig.mimi(), seed=0)
    peer = loaders.get_mimi(None, num_codebooks=ours.config.num_codebooks)
    peer.load_state_dict(codec_weights.state_dict_kyutai(ours), strict=False)
    samples = ours.config.frame_samples
    audio = torch.randn(1, 1, frames * samples) * 0.1
    codes = torch.randint(ours.config.codebook_size, (1, ours.config.num_codebooks, frames))
    result: dict[str, Any] = {}
    mine = codec_benchmark.measure(ours, 1, frames)
    native = codec_benchmark.measure_native(ours, 1, frames)
    with peer.streaming(1):
        theirs: dict[str, list[float]] = {"decode": [], "encode": []}
        for i in range(frames):
            part, sound = codes[..., i : i + 1], audio[..., i * samples : (i + 1) * samples]
            theirs["decode"].append(machine.time_ms(lambda part=part: peer.decode(part)))  # type: ignore[misc]
            theirs["encode"].append(machine.time_ms(lambda sound=sound: peer.encode(sound)))  # type: ignore[misc]
    again = codec_benchmark.measure(ours, 1, frames)
    native_again = codec_benchmark.measure_native(ours, 1, frames)
    for name in ("decode", "encode"):
        runs = [r[name]["streaming_frame_ms"]["p50"] for r in (mine, again)]
        peer_ms = machine.summary(theirs[name][3:])
        natively = [r[name]["streaming_frame_ms"]["p50"] for r in (native, native_again)]
        result[name] = {
            "ours_frame_ms": runs,
            "moshi_frame_ms": peer_ms,
            "ratio": round(peer_ms["p50"] / (sum(runs) / 2), 2),
            "native_frame_ms": natively,
            "native_ratio": round(peer_ms["p50"] / (sum(natively) / 2), 2),
        }
    return result


def run(
    *, shape: str = "csm-1b", dtype: str = "bf16", frames: int = 8, rounds: int = 3,
    batches: tuple[int, ...] = (1, 8),
) -> dict[str, Any]:  # fmt: skip
    """All comparisons."""
    return {
        "benchmark": "peers",
        "machine": machine.describe(),
        "shape": shape,
        "dtype": dtype,
        "codec": codec(40),
        "model": {f"batch_{b}": model(shape, dtype, b, frames, rounds) for b in batches},
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.add_argument("--shape", default="csm-1b")
    parser.add_argument("--dtype", default="bf16", choices=DTYPES)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    result = run(
        shape=arguments.shape,
        dtype=arguments.dtype,
        frames=arguments.frames,
        rounds=arguments.rounds,
    )
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print("ratio = peer / ours, medians of one run\n")
    for name, figures in result["codec"].items():
        ratios = f"{figures['ratio']} times faster than moshi, natively {figures['native_ratio']}"
        print(f"mimi streaming {name}: {ratios}  {figures}")
    for name, figures in result["model"].items():
        print(f"{shape_line(result)} {name}: {figures['ratio']} times faster  {figures}")


def shape_line(result: dict[str, Any]) -> str:
    """Which model, for a line of text."""
    return f"{result['shape']} {result['dtype']}"


if __name__ == "__main__":
    main()
