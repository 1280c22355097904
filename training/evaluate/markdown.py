"""Pieces of a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

PARTS = {
    "teacher": "teacher",
    "codec": "through the codec",
    "speech": "pico",
    "context": "pico in context",
}
"""What each part is called on the page."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a bar within a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def number(value: float | None, form: str = ".3f") -> str:
    """Return a figure as text, a dash where there is none."""
    return "-" if value is None else format(value, form)
