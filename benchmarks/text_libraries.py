"""How many rows of the tables of spoken forms a library of text normalisation gets right.

    python -m benchmarks.text_libraries ours num2words inflect wetext nemo

Each library is installed by hand where it is measured (`docs/notes/text_libraries.md`).
"""

import importlib
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

TABLES = Path(__file__).parents[1] / "tests" / "gateway" / "text" / "data"
Speak = Callable[[str], str]


def _ours() -> Speak:
    from gateway.text.spoken import spoken_words

    return spoken_words


def _by_number(cardinal: Callable[[str], str], ordinal: Callable[[str], str]) -> Speak:
    """A library that only spells numbers, with the least around it: every number in digits."""

    def speak(text: str) -> str:
        text = re.sub(r"(\d+)(?:st|nd|rd|th)\b", lambda match: ordinal(match[1]), text)
        return re.sub(
            r"\d+(?:,\d{3})*(?:\.\d+)?", lambda match: cardinal(match[0].replace(",", "")), text
        )

    return speak


def _num2words() -> Speak:
    spell = importlib.import_module("num2words").num2words
    return _by_number(spell, lambda number: spell(number, to="ordinal"))


def _inflect() -> Speak:
    engine = importlib.import_module("inflect").engine()
    return _by_number(
        lambda number: engine.number_to_words(number, andword=""),
        lambda number: engine.ordinal(engine.number_to_words(number, andword="")),
    )


def _wetext() -> Speak:
    return importlib.import_module("wetext").Normalizer(lang="en", operator="tn").normalize


def _nemo() -> Speak:
    module = importlib.import_module("nemo_text_processing.text_normalization.normalize")
    return module.Normalizer(input_case="cased", lang="en").normalize


LIBRARIES: dict[str, Callable[[], Speak]] = {
    "ours": _ours,
    "num2words": _num2words,
    "inflect": _inflect,
    "wetext": _wetext,
    "nemo": _nemo,
}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower().replace("'", "").replace("_", " "))


def measure(name: str) -> None:
    """Print a library's rows right of each table, and its median time a row."""
    start = time.perf_counter()
    speak = LIBRARIES[name]()
    print(f"{name}: ready in {time.perf_counter() - start:.1f} s")
    for table in ("text.tsv", "spoken_more.tsv"):
        lines = (TABLES / table).read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in lines if "\t" in line and line[:6] != "# text"]
        right, spent = 0, []
        for written, said in rows:
            text = written.replace("\\n", "\n").replace("\\u200b", "\u200b")
            begin = time.process_time()
            try:
                spoken = speak(text)
            except Exception as error:  # a library that fails has the row wrong
                spoken = f"{type(error).__name__}"
            spent.append(time.process_time() - begin)
            right += _words(spoken) in [_words(one) for one in said.split("||")]
        print(f"  {table}: {right} of {len(rows)} right, {median(spent) * 1e3:.2f} ms a row")


if __name__ == "__main__":
    for library in sys.argv[1:] or ["ours"]:
        measure(library)
