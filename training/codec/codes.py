"""The corpus's codes on disk, one file for every part of the corpus.

`<work>/codes/<part>.npz` holds what the encoder made of the audio, `<work>/codes/predicted/...`
what the language model would say in its place (`training.language_model.predict`): `codes` uint16
[frames, codebooks], the part's utterances one after another, and `offset` int64 [utterances + 1],
where each starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def codes_path(work: Path, part: str, *, predicted: bool = False) -> Path:
    """Where the codes of a part lie."""
    return work / "codes" / ("predicted" if predicted else "") / f"{part}.npz"


def is_predicted(work: Path, part: str) -> bool:
    """Whether there are predicted codes of a part, made after the codes they stand in for."""
    predicted, true = codes_path(work, part, predicted=True), codes_path(work, part)
    if not predicted.is_file():
        return False
    return not true.is_file() or predicted.stat().st_mtime_ns >= true.stat().st_mtime_ns


def write(path: Path, codes: Sequence[np.ndarray]) -> None:
    """Write the codes of a part's utterances, each [frames, codebooks], whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    offset = np.cumsum([0, *map(len, codes)], dtype=np.int64)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        np.savez(file, codes=np.concatenate(codes).astype(np.uint16), offset=offset)
    fresh.replace(path)


def read(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return `codes` and `offset` of several parts together, in the order given.

    Raises:
        FileNotFoundError: the codes of a part are missing; says which and what makes them.
    """
    codes: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; `python -m training.codec.encode`")
        with np.load(path) as arrays:
            codes.append(arrays["codes"])
            lengths.append(np.diff(arrays["offset"]))
    offset = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return np.concatenate(codes), offset
