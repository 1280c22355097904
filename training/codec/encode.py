"""The corpus as codes: what the language model is trained on.

A part of the corpus is a file of codes, so that a stopped run goes on with the next one. Codes
older than the codec are made again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from services.native.build import NativeUnavailable
from services.native.malloc import give_back
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.native.codec import NativeEncoder
from training import checkpoint
from training.arguments import parser
from training.codec import codes
from training.codec.codes import codes_path
from training.codec.train import STAGE, trained_codec
from training.corpus.store import Corpus, part_names, to_float
from training.memory import keep_freed_memory

SPLITS = ("validation", "train")
"""What the language model reads."""

_ROWS = 16


def codes_of(mimi: Mimi, audio: Tensor) -> Tensor:
    """Whole crops `[rows, 1, samples]` to codes `[rows, codebooks, frames]`, by a frozen codec.

    With gradients enabled, though none is asked for, a convolution runs as one: over whole
    utterances twice as fast as the gathered windows of a step. In fp32: in bf16 a third of the last
    codebook's codes would be others than those the service finds, and in the TF32 that convolutions
    on CUDA take by default some 4 %.
    """
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        latents = mimi.latents(audio)
    return mimi.quantizer.encode(latents)


def encode(mimi: Mimi, corpus: Corpus) -> list[np.ndarray]:
    """Return the codes of every utterance, uint16 [frames, codebooks].

    The last partial frame of an utterance is completed with silence. On the CPU the service's own
    encoder finds them where it can be compiled: the same codes in 0.6 of torch's time.
    """
    config = mimi.config
    try:
        native = NativeEncoder(mimi, 1)
    except NativeUnavailable:
        return _encode_by_torch(mimi, corpus)
    found = []
    for index, utterance in enumerate(corpus.utterances):
        audio = np.zeros(
            (1, config.num_frames(utterance.samples), config.frame_samples), np.float32
        )
        audio.reshape(-1)[: utterance.samples] = to_float(corpus.audio(index))
        native.reset(0)
        found.append(native.step([0], audio)[0].astype(np.uint16))
    return found


@torch.no_grad()
def _encode_by_torch(mimi: Mimi, corpus: Corpus) -> list[np.ndarray]:
    config = mimi.config
    device = next(mimi.parameters()).device
    counts = [config.num_frames(u.samples) for u in corpus.utterances]
    found = [np.zeros((0, config.num_codebooks), dtype=np.uint16)] * len(counts)
    # By length, so that a batch holds little silence; the codec is causal, so what is appended to
    # a row does not change the codes before it.
    order = np.argsort(counts, kind="stable")
    for group in (order[start : start + _ROWS] for start in range(0, len(order), _ROWS)):
        longest = max(counts[i] for i in group) * config.frame_samples
        audio = np.zeros((len(group), 1, longest), dtype=np.float32)
        for row, index in enumerate(group):
            samples = corpus.audio(int(index))
            audio[row, 0, : len(samples)] = to_float(samples)
        made = codes_of(mimi, torch.from_numpy(audio).to(device)).cpu().numpy()
        for row, index in enumerate(group):
            found[index] = made[row, :, : counts[index]].T.astype(np.uint16)
    return found


def main() -> None:
    arguments = parser("codec.encode", "Turn the corpus into codes.")
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    given = arguments.parse_args()
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    codec = trained_codec(given.work, given.device)
    place = given.work / "corpus"
    for split in SPLITS:
        waiting = [name for name in part_names(place, split) if not _made(given.work, name)]
        for name in track(waiting, description=f"encode {split}"):
            found = encode(codec, Corpus.open(place, split, [name]))
            codes.write(codes_path(given.work, name), found)
            # Batches differ in length: what is kept in pieces that fit none of them grows, by
            # 0.3 GB a part.
            give_back()


def _made(work: Path, part: str) -> bool:
    """Whether a part's codes are there, and by this codec rather than one before it."""
    path, by = codes_path(work, part), checkpoint.path_of(work, STAGE)
    return path.is_file() and path.stat().st_mtime_ns >= by.stat().st_mtime_ns


if __name__ == "__main__":
    main()
