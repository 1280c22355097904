"""Cases of texts, shared by the tests of this folder."""

from pathlib import Path

_ESCAPES = {
    r"\n": "\n",
    r"\r": "\r",
    r"\t": "\t",
    r"\f": "\x0c",
    r"\u2028": "\u2028",
    r"\u200b": "\u200b",
    r"\u202e": "\u202e",
    r"\u00ad": "\u00ad",
    r"\u2060": "\u2060",
    r"\ufeff": "\ufeff",
    r"\ue000": "\ue000",
}
DATA = Path(__file__).parent / "data"


def rows(name: str) -> list[tuple[str, list[str]]]:
    """The cases of a table: a text with its cuts, and its sentences."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    parted = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(_unescaped(text), _unescaped(sentences).split(" | ")) for text, sentences in parted]


def _unescaped(text: str) -> str:
    for escape, char in _ESCAPES.items():
        text = text.replace(escape, char)
    return text
