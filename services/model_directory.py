"""Where the model is when nobody says: the voice that ships in the repository."""

import os
from pathlib import Path

ENVIRONMENT = "CSM_MODEL"


def default_model_directory() -> Path:
    """`$CSM_MODEL`, else `models/pico` of the source tree, else of the working directory."""
    if given := os.environ.get(ENVIRONMENT):
        return Path(given)
    shipped = Path(__file__).resolve().parents[1] / "models" / "pico"
    return shipped if shipped.is_dir() else Path("models") / "pico"
