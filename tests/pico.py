"""The voice that ships, and the sizes that tests of other things take from it."""

import json
from pathlib import Path

PICO = Path(__file__).resolve().parents[1] / "models" / "pico"
_CODEC = json.loads((PICO / "config.json").read_text(encoding="utf-8"))["codec_config"]
BOOKS: int = _CODEC["num_quantizers"]
CODEBOOK_SIZE: int = _CODEC["codebook_size"]
