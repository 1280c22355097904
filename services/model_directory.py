"""Where the model is when nobody says: the voice that ships in the repository."""

import os
import re
from pathlib import Path

ENVIRONMENT = "CSM_MODEL"
# owner/name; models/NAME is where they are put.
_HUB_NAME = re.compile(r"(?!models/)[\w-][\w.-]*/[\w-][\w.-]*")


def default_model_directory() -> Path:
    """`$CSM_MODEL`, else `models/pico` of the source tree, else of the working directory."""
    if given := os.environ.get(ENVIRONMENT):
        return Path(given)
    shipped = Path(__file__).resolve().parents[1] / "models" / "pico"
    return shipped if shipped.is_dir() else Path("models") / "pico"


def missing(path: Path) -> str:
    """Why a model directory that is not there is refused; how to get it where it is a hub's name.

    A service never fetches anything itself.
    """
    problem = f"model: {path} does not exist; it must be a model directory"
    if _HUB_NAME.fullmatch(str(path)):
        problem += f" (`csm models pull {path}` makes one of the Hugging Face hub's)"
    return problem
