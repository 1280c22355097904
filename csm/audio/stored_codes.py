"""Codes as safetensors: one tensor and what is needed to decode it exactly."""

import json
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from csm.audio.pcm import AudioError

FORMAT = "csm-codes-1"
TENSOR = "codes"


@dataclass(frozen=True)
class StoredCodes:
    """An encoded recording. Needs the package safetensors where it is written or read."""

    codes: NDArray[np.uint16]
    """[frames, codebooks]"""
    num_samples: int
    """True length at the codec's rate; 0: whole frames."""
    sample_rate_hz: int
    model: str = ""
    digest: str = ""
    """Of the codec's weights."""

    def to_bytes(self) -> bytes:
        """The file."""
        from safetensors.numpy import save

        metadata = {
            "format": FORMAT,
            "num_samples": str(self.num_samples),
            "sample_rate_hz": str(self.sample_rate_hz),
            "model": self.model,
            "digest": self.digest,
        }
        return bytes(save({TENSOR: np.ascontiguousarray(self.codes, np.int32)}, metadata))

    @classmethod
    def from_bytes(cls, data: bytes, field: str) -> Self:
        """The codes of a file; also of one of another's making with just the tensor.

        Raises `AudioError` about `field`: what is wrong and what is allowed.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            metadata = header.get("__metadata__") or {}
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise AudioError(field, f"not a safetensors file: {error}") from None
        codes = tensors.get(TENSOR)
        if codes is None:
            names = ", ".join(str(name)[:64] for name in list(tensors)[:8])
            raise AudioError(field, f"has no tensor {TENSOR!r} (it has {names})")
        if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer) or not codes.size:
            raise AudioError(
                field,
                f"{TENSOR} is {codes.dtype} {list(codes.shape)}; "
                "integers [frames, codebooks] are needed, at least one frame",
            )
        if codes.min() < 0 or codes.max() > 65535:
            raise AudioError(
                field,
                f"{TENSOR} has values {codes.min()}..{codes.max()}; 0..65535 are allowed",
            )
        lengths = {}
        for name in ("num_samples", "sample_rate_hz"):
            value = metadata.get(name, "0")
            if not value.isascii() or not value.isdigit() or len(value) > 18:
                raise AudioError(field, f"metadata {name} is {value[:32]!r}; a number is needed")
            lengths[name] = int(value)
        return cls(
            codes.astype(np.uint16),
            **lengths,
            model=metadata.get("model", ""),
            digest=metadata.get("digest", ""),
        )

    def check_codec(self, field: str, num_codebooks: int, codebook_size: int) -> None:
        """Raises `AudioError` about `field` where a codec of these sizes cannot decode them."""
        if self.codes.shape[1] != num_codebooks:
            raise AudioError(
                field, f"frames of {self.codes.shape[1]} codes; this codec has {num_codebooks}"
            )
        if (largest := int(self.codes.max())) >= codebook_size:
            raise AudioError(
                field, f"code {largest} is out of range; this codec has 0..{codebook_size - 1}"
            )
