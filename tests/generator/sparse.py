"""Models of any size that take no disk."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from services.generator.model import layouts
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm


def sparse_model(directory: Path, config: CsmConfig, dtype: str = "BF16") -> None:
    """A model of zeros that takes no disk: the file is a hole behind its header. `dtype`: BF16 or
    F32."""
    tensors = layouts.entries(Csm(config, device="meta"), layouts.Layout.HUGGING_FACE)
    header, end = {}, 0
    for name, entry in tensors.items():
        if name in layouts.aliases(layouts.Layout.HUGGING_FACE):
            continue
        size = (4 if dtype == "F32" else 2) * entry.view.numel()
        header[name] = {
            "dtype": dtype, "shape": list(entry.shape), "data_offsets": [end, end + size],
        }  # fmt: skip
        end += size
    raw = json.dumps(header).encode()
    with open(directory / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + end)
    (directory / "config.json").write_text(json.dumps(config.to_dict(None)))
