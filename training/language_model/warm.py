"""The start of a training from a language model that is there, whose codes are another codec's.

Text, attention and feed-forward come as they are. A code's embedding and its row of a head are the
means of theirs, each weighed by how often it stands where the new code does: the same audio, told
by both codecs. So what sounded alike is read and said alike from the first step on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.tokenizer.codec.mimi import Mimi
from training.codec import codes
from training.codec.codes import codes_path
from training.codec.encode import encode
from training.corpus.store import Corpus, part_names

_SEMANTIC_END = 0
"""The first codebook's code of the end: no audio has it."""


def shares(theirs: Tensor, ours: Tensor, size: int) -> Tensor:
    """Of the frames that have one of our codes, the shares of each of theirs.

    Args:
        theirs: int64 [frames], a codebook of the codec the weights come from.
        ours: int64 [frames], the same codebook of the new one, of the same audio.
        size: codes there are.

    Returns:
        float32 [size, size], rows of ours that add up to 1; of a code that is in no frame, the
        shares over all frames.
    """
    counts = torch.bincount(ours * size + theirs, minlength=size * size)
    found = counts.view(size, size).float()
    everywhere = found.sum(0) / found.sum().clamp(min=1)
    rows = found.sum(1, keepdim=True)
    return torch.where(rows > 0, found / rows.clamp(min=1), everywhere)


@torch.no_grad()
def warmed(source: Csm, config: CsmConfig, theirs: Tensor, ours: Tensor) -> Csm:
    """A model of shape `config` with the weights of `source`, for the codes `ours`.

    Args:
        theirs: int64 [frames, codebooks], audio in the codes of the codec of `source`.
        ours: the same audio, frame by frame, in those of the new one.

    Raises:
        ValueError: the shapes differ.
    """
    if source.config != config:
        name = next(n for n, v in vars(config).items() if v != getattr(source.config, n))
        raise ValueError(
            f"{name} is {getattr(config, name)!r}; allowed: {getattr(source.config, name)!r}, as "
            f"the language model has that it starts from"
        )
    model = weights.create(config, seed=0)
    model.load_state_dict(source.state_dict())
    size = config.codebook_size
    embeddings = model.audio_embeddings.view(config.num_codebooks, config.audio_vocab_size, -1)
    heads = [model.lm_head.weight, *model.depth.heads]
    for book, (embedding, head) in enumerate(zip(embeddings, heads, strict=True)):
        weighed = shares(theirs[:, book], ours[:, book], size)
        if book == 0:
            weighed[_SEMANTIC_END] = 0.0
            weighed[_SEMANTIC_END, _SEMANTIC_END] = 1.0
        for table in (embedding, head):
            table[:size] = weighed @ table[:size].float()
    return model


def told_by_both(
    work: Path, codec: Mimi, encoded: Callable[[Mimi, Corpus], Sequence[np.ndarray]] = encode
) -> tuple[Tensor, Tensor]:
    """Audio in the codes of another codec, and in those of the work directory.

    One training part of each speaker there is, and the validation split, which has all of them.

    Returns:
        Twice int64 [frames, codebooks], the same frames.

    Raises:
        FileNotFoundError: a part has no codes yet.
        ValueError: the codecs' frames are not of one length, or their codebooks not as many.
    """
    place = work / "corpus"
    # train-heart-000 comes before train-heart-dialogues-000.
    first = {name.split("-")[1]: name for name in reversed(part_names(place, "train"))}
    chosen = [("train", name) for name in first.values()]
    chosen += [("validation", name) for name in part_names(place, "validation")]
    ours, _ = codes.read([codes_path(work, name) for _, name in chosen])
    made = [encoded(codec, Corpus.open(place, split, [name])) for split, name in chosen]
    theirs = np.concatenate([each for part in made for each in part])
    if theirs.shape != ours.shape:
        raise ValueError(
            f"codes of shape {theirs.shape} are not allowed, must be {ours.shape} as in {work}"
        )
    return torch.from_numpy(theirs.astype(np.int64)), torch.from_numpy(ours.astype(np.int64))
