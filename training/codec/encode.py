"""The corpus as codes: what the language model is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from services.tokenizer.codec.mimi import Mimi
from training.arguments import parser
from training.codec.train import trained_codec
from training.corpus.store import Corpus
from training.memory import keep_freed_memory

SPLITS = ("validation", "train")
"""What the language model reads."""

_ROWS = 16


def codes_path(work: Path, split: str) -> Path:
    """Where the codes of a split lie."""
    return work / "codes" / f"{split}.npz"


def codes_of(mimi: Mimi, audio: Tensor) -> Tensor:
    """Whole crops `[rows, 1, samples]` to codes `[rows, codebooks, frames]`, by a frozen codec.

    With gradients enabled, though none is asked for, a convolution runs as one: over whole
    utterances twice as fast as the gathered windows of a step. In fp32: in bf16 a third of the last
    codebook's codes would be others than those the service finds.
    """
    with torch.enable_grad():
        latents = mimi.latents(audio)
    return mimi.quantizer.encode(latents)


@torch.no_grad()
def encode(mimi: Mimi, corpus: Corpus, path: Path) -> None:
    """Write `path` (npz): `codes` uint16 `[frames, codebooks]`, all utterances one after another,
    and `offset` int64 `[utterances + 1]`, where each starts. The last partial frame of an
    utterance is completed with silence.
    """
    config = mimi.config
    device = next(mimi.parameters()).device
    counts = [config.num_frames(u.samples) for u in corpus.utterances]
    offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    codes = np.zeros((int(offset[-1]), config.num_codebooks), dtype=np.uint16)
    # By length, so that a batch holds little silence; the codec is causal, so what is appended to
    # a row does not change the codes before it.
    order = np.argsort(counts, kind="stable")
    groups = [order[start : start + _ROWS] for start in range(0, len(order), _ROWS)]
    for group in track(groups, description=f"encode {path.stem}"):
        longest = max(counts[i] for i in group) * config.frame_samples
        audio = np.zeros((len(group), 1, longest), dtype=np.float32)
        for row, index in enumerate(group):
            samples = corpus.audio(int(index))
            audio[row, 0, : len(samples)] = samples.astype(np.float32) / 32768.0
        made = codes_of(mimi, torch.from_numpy(audio).to(device)).cpu().numpy()
        for row, index in enumerate(group):
            count = counts[index]
            codes[offset[index] : offset[index] + count] = made[row, :, :count].T
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".new").open("wb") as file:
        np.savez(file, codes=codes, offset=offset)
    path.with_suffix(".new").replace(path)


def main() -> None:
    arguments = parser("codec.encode", "Turn the corpus into codes.")
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    given = arguments.parse_args()
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    codec = trained_codec(given.work, given.device)
    for split in SPLITS:
        encode(codec, Corpus.open(given.work / "corpus", split), codes_path(given.work, split))


if __name__ == "__main__":
    main()
