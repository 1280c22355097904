"""The codec of a model directory, checked for what the service can serve."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import torch

from csm.errors import FailedPrecondition
from services.model_directory import missing
from services.tokenizer import codec
from services.tokenizer.codec import Mimi

Device = Literal["auto", "cpu", "cuda"]
# Code values travel as uint16.
_MAX_CODEBOOK_SIZE = 1 << 16


def load_codec(path: Path, device: Device) -> Mimi:
    """The codec of a model directory.

    Raises:
        FailedPrecondition: what is wrong with which file, or that there is no such device.
    """
    if not path.exists():
        raise FailedPrecondition(missing(path))
    if device == "cuda" and not torch.cuda.is_available():
        raise FailedPrecondition("device: cuda is not available on this machine; use cpu or auto")
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        mimi = codec.load(path, device=place)
    except (ValueError, OSError) as error:
        raise FailedPrecondition(f"model: {path} cannot be used: {error}") from error
    config = mimi.config
    if config.audio_channels != 1:
        raise FailedPrecondition(
            f"model: {path}: audio_channels is {config.audio_channels}; allowed is 1"
        )
    if config.codebook_size > _MAX_CODEBOOK_SIZE:
        raise FailedPrecondition(
            f"model: {path}: codebook_size is {config.codebook_size}; "
            f"allowed is up to {_MAX_CODEBOOK_SIZE}"
        )
    return mimi


def digest(mimi: Mimi) -> str:
    """SHA-256 of the weights in use, names and values, hexadecimal."""
    sha = hashlib.sha256()
    for name, tensor in sorted(mimi.state_dict().items()):
        sha.update(f"{name} {list(tensor.shape)}\n".encode())
        sha.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
