"""Codes in a safetensors file: one tensor and what is needed to decode it exactly."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from csm.cli.place import whole_file
from csm.cli.reporting import CommandError

FORMAT = "csm-codes-1"
TENSOR = "codes"


@dataclass(frozen=True)
class CodeFile:
    """An encoded recording."""

    codes: NDArray[np.uint16]
    """[frames, codebooks]"""
    num_samples: int
    """True length at the codec's rate; 0: whole frames."""
    sample_rate_hz: int
    model: str = ""
    digest: str = ""
    """Of the codec's weights."""

    def write(self, path: Path) -> None:
        """Writes the file in one go; `-` is standard output."""
        metadata = {
            "format": FORMAT,
            "num_samples": str(self.num_samples),
            "sample_rate_hz": str(self.sample_rate_hz),
            "model": self.model,
            "digest": self.digest,
        }
        with whole_file(path) as part:
            save_file({TENSOR: np.ascontiguousarray(self.codes, np.int32)}, part, metadata)

    @classmethod
    def read(cls, path: Path) -> "CodeFile":
        """Reads a file; also one of another's making with just the tensor.

        Raises `CommandError` naming the file, what is wrong and what is allowed.
        """
        if not path.is_file():
            raise CommandError(f"{path}: {'is a directory' if path.is_dir() else 'no such file'}")
        try:
            with safe_open(path, framework="numpy") as stored:
                metadata = stored.metadata() or {}
                names = list(stored.keys())
                codes = stored.get_tensor(TENSOR) if TENSOR in names else None
        except (SafetensorError, OSError) as error:
            raise CommandError(f"{path}: not a safetensors file: {error}") from None
        if codes is None:
            raise CommandError(f"{path}: has no tensor {TENSOR!r} (it has {', '.join(names)})")
        if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer) or not codes.size:
            raise CommandError(
                f"{path}: {TENSOR} is {codes.dtype} {list(codes.shape)}; "
                "integers [frames, codebooks] are needed, at least one frame"
            )
        if codes.min() < 0 or codes.max() > 65535:
            raise CommandError(
                f"{path}: {TENSOR} has values {codes.min()}..{codes.max()}; 0..65535 are allowed"
            )
        lengths = {}
        for name in ("num_samples", "sample_rate_hz"):
            value = metadata.get(name, "0")
            if not value.isascii() or not value.isdigit():
                raise CommandError(f"{path}: metadata {name} is {value!r}; a number is needed")
            lengths[name] = int(value)
        return cls(
            codes.astype(np.uint16),
            **lengths,
            model=metadata.get("model", ""),
            digest=metadata.get("digest", ""),
        )

    def check(self, path: Path, num_codebooks: int, codebook_size: int) -> None:
        """Raises `CommandError` where a codec of these sizes cannot decode the codes."""
        if self.codes.shape[1] != num_codebooks:
            raise CommandError(
                f"{path}: frames of {self.codes.shape[1]} codes; this codec has {num_codebooks}"
            )
        if (largest := int(self.codes.max())) >= codebook_size:
            raise CommandError(
                f"{path}: code {largest} is out of range; this codec has 0..{codebook_size - 1}"
            )
