"""The packages that only a measuring needs: imported at their first use."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

EXTRA = "make .venv/.ready-training, or: pip install -c constraints.txt -e '.[training]'"
_APART = "pip install --no-deps resemblyzer==0.1.4"
"""It asks for the package `typing`, which takes the place of Python's own."""


def imported(name: str) -> ModuleType:
    """Return the module `name`.

    Raises:
        ValueError: it, or something that it needs, is not installed; says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"{name}: cannot be imported ({error}); install what measuring needs: {EXTRA}; and "
            f"{_APART}"
        ) from error


def missing(*names: str) -> list[str]:
    """Return those of the packages that are not installed; none is imported."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def need(*names: str) -> None:
    """Be sure that the packages are installed; only one that is not is looked for by importing.

    Raises:
        ValueError: one is missing; says what to install.
    """
    for name in missing(*names):
        imported(name)
